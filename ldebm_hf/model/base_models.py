"""Pretrained models of the Hub as parts of a model: where they are, what is trained, and what a checkpoint holds.

A checkpoint names its base models and does not repeat their weights: it holds what training changed. A self-contained
one (`config.includes_base_models`) holds everything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from transformers import AutoConfig, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.pytorch_utils import Conv1D
from transformers.tokenization_utils_base import TOKENIZER_CONFIG_FILE
from transformers.utils import cached_file

from .arguments import OneText, Texts
from .base_model_files import OWN_CODE, OWN_VOCABULARY, BaseModelFiles, architecture
from .checkpoint_tokenizer import load_tokenizer
from .validation import Choice, Count, Rule, require

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from .configuration_ldebm import LDEBMConfig

BASE_TOKENIZER_FILES = ("encoder_tokenizer.json", "encoder_tokenizer_config.json")
"""Files of a checkpoint with the tokenizer of a pretrained encoder."""
KEPT_OF_A_TOKENIZER: dict[str, Rule] = {
    "model_max_length": Count(at_least=-1),  # which some write for no limit
    "model_input_names": Texts(or_one=False),
    **dict.fromkeys(("padding_side", "truncation_side"), Choice("left", "right")),
    **dict.fromkeys(
        ("pad_token", "unk_token", "cls_token", "sep_token", "bos_token", "eos_token", "mask_token"), OneText()
    ),
}
"""What the second of these files holds, and what each entry must be like where it is not null."""


def require_layers(setting: str, value: int, base: dict[str, Any] | None) -> None:
    """Raise ValueError if a number of layers to train is negative, or more than the base model has."""
    require(value >= 0, setting, value, "at least 0")
    if value and base is not None:
        if OWN_CODE in base:
            number = base.get("num_hidden_layers", value)
        else:
            number = getattr(AutoConfig.for_model(**architecture(base)).get_text_config(), "num_hidden_layers", value)
        require(value <= number, setting, value, f"at most {number}, the number of layers of the base model")


def encoder_of(model: PreTrainedModel) -> PreTrainedModel:
    """The part of a base model that encodes: the model itself, or the encoder of an encoder-decoder model."""
    return model.get_encoder() if model.config.is_encoder_decoder else model


def layers_of(model: PreTrainedModel) -> nn.ModuleList:
    """
    The layers of a transformer: the list of modules that is in no other list. Of several, it is the one whose modules
    the model names as its layers (`_no_split_modules`), and of several such, the one with as many modules as the
    configuration says the text has layers (`num_hidden_layers`).

    Raises:
        ValueError: If there is none, or if this does not tell which it is.
    """
    found: dict[str, nn.ModuleList] = {}
    for name, module in model.named_modules():
        is_outermost = not any(name.startswith(f"{other}.") for other in found)
        if isinstance(module, nn.ModuleList) and len(module) and is_outermost:
            found[name] = module
    if not found:
        raise ValueError(f"{type(model).__name__} has no list of layers (torch.nn.ModuleList), which this needs")
    candidates = list(found.values())
    kinds = set(getattr(model, "_no_split_modules", None) or ())
    named = [layers for layers in candidates if {type(layer).__name__ for layer in layers} <= kinds]
    candidates = named or candidates
    if len(candidates) > 1:
        number = getattr(model.config.get_text_config(), "num_hidden_layers", None)
        candidates = [layers for layers in candidates if len(layers) == number]
    if len(candidates) != 1:
        lists = ", ".join(f"{name} ({len(layers)})" for name, layers in found.items())
        raise ValueError(
            f"the layers of {type(model).__name__} must be one list, got {lists}, of which neither _no_split_modules "
            "nor num_hidden_layers chooses one: train none of its last layers alone, without gradient checkpointing"
        )
    return candidates[0]


def choose_trainable(base: PreTrainedModel, trainable_layers: int, lora_rank: int) -> None:
    """
    Freeze a base model, but for its last layers and its adapters.

    Args:
        base (`PreTrainedModel`): The base model.
        trainable_layers (`int`): Number of last layers that are trained. All of them: the embeddings and the rest are
            trained too.
        lora_rank (`int`): Rank of the low-rank adapters (Hu et al., ICLR 2022) of all linear maps but the output; 0
            for none. They are added at the first call.
    """
    if lora_rank and not has_adapters(base):
        _add_adapters(base, lora_rank)
    for name, parameter in base.named_parameters():
        parameter.requires_grad_("lora_" in name)
    if trainable_layers:
        layers = layers_of(base)
        if trainable_layers >= len(layers):
            base.requires_grad_(True)
        for layer in layers[-trainable_layers:]:
            layer.requires_grad_(True)
    if _pooler_of(base) is not None:
        _pooler_of(base).requires_grad_(False)
    base.trained_names = frozenset(_trainable_names(base))
    base.own_names = frozenset(_names(base))


def _names(base: nn.Module) -> set[str]:
    """The names of all parameters, each tied one by all of its names."""
    return {name for name, _ in base.named_parameters(remove_duplicate=False)}


def _trainable_names(base: nn.Module) -> set[str]:
    """The names of the parameters that have a gradient now, each tied one by all of its names."""
    return {name for name, parameter in base.named_parameters(remove_duplicate=False) if parameter.requires_grad}


def _pooler_of(base: nn.Module) -> nn.Module | None:
    """
    The module of an encoder that makes its pooled output, if there is one. That output is not used here, and
    parameters without a gradient confuse distributed training.
    """
    return getattr(base, "pooler", None)


def has_adapters(base: nn.Module) -> bool:
    """Whether low-rank adapters have been added to a base model."""
    return any("lora_" in name for name, _ in base.named_parameters())


def _add_adapters(base: PreTrainedModel, rank: int) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ImportError("low-rank adapters need the package peft: pip install 'ldebm_hf[pretrained]'") from error
    is_transposed = any(isinstance(module, Conv1D) for module in base.modules())  # as in GPT-2
    settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", fan_in_fan_out=is_transposed)
    if _pooler_of(base) is not None:
        settings.exclude_modules = r"pooler\..*"
    inject_adapter_in_model(settings, base)


class RefusesOtherAdapters(dict):
    """
    The attribute `peft_config` of a model with adapters of its own, which the package peft puts the settings of new
    adapters into before it adds them. They are refused, because peft takes all adapters in a model for those it adds:
    it would overwrite the model's own, switch them off, or merge them into weights that a checkpoint does not hold.

    Args:
        ranks (`dict[str, int]`): The settings that gave the model its own adapters.
    """

    def __init__(self, ranks: dict[str, int]):
        super().__init__()
        self.ranks = ranks

    def refuse(self) -> None:
        """Raise ValueError."""
        settings = " and ".join(f"{name}={rank}" for name, rank in self.ranks.items())
        raise ValueError(
            f"a model with {settings} has adapters of its own, which others that peft adds would overwrite, switch "
            "off or merge: train these, or add others to a model with rank 0"
        )

    def __setitem__(self, name, settings):
        self.refuse()

    def update(self, *args, **kwargs):
        self.refuse()


class BasePart(nn.Module):
    """
    An encoder or decoder with a base model, `base`, and what transformers asks of it to place and load a model.

    Attributes:
        part (`str`): `"encoder"` or `"decoder"`.
        auto_class (`type`): The class of transformers that loads the base model.
        gradient_checkpointing (`bool`): Whether layers of the base model keep their inputs only, in training, and are
            computed again in the backward pass.
    """

    part: ClassVar[str]
    auto_class: ClassVar[type]
    base: PreTrainedModel
    _was_changed = False

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self._checkpoint: Callable[..., Any] | None = None
        self._checkpoint_every = 1
        self.register_load_state_dict_post_hook(_tie_weights_again)

    @classmethod
    def files_of(cls, config: LDEBMConfig) -> BaseModelFiles:
        """The files of the base model that a configuration names."""
        layout = getattr(config, f"{cls.part}_layout", None)
        return BaseModelFiles.of(config, cls.part, cls.auto_class, layout["subfolder"] if layout else "")

    @property
    def _base_config(self) -> dict[str, Any]:
        return getattr(self.config, f"{self.part}_config")

    def _build_base(self) -> PreTrainedModel:
        return self.files_of(self.config).build(self._base_config, attention_of(self.config))

    def add_adapters(self) -> None:
        """Freeze the base model, but for the parts and the adapters that the configuration says are trained."""
        layers, rank = (getattr(self.config, f"{self.part}_{name}") for name in ("trainable_layers", "lora_rank"))
        choose_trainable(self.base, layers, rank)

    def load_base_weights(
        self,
        only_frozen: bool = False,
        trained_with: str | None = None,
        given: AbstractSet[str] = frozenset(),
        **hub: Any,
    ) -> None:
        """
        Load the weights of the base model from where the configuration says they are.

        Args:
            only_frozen (`bool`, *optional*, defaults to `False`): Whether the weights that are trained stay as they
                are.
            given (`set[str]`, *optional*): Names in the state dict of this part that stay as they are, because the
                user gave their values.
            trained_with (`str`, *optional*): The base model that the checkpoint names, for error messages. Default:
                the one that is loaded.
            hub: Arguments of `from_pretrained` about the Hub, such as `token` and `cache_dir`.

        Raises:
            OSError: If there is no such model, or it cannot be downloaded.
            ValueError: If its weights are not those that the model was trained with.
        """
        files = self.files_of(self.config)
        given = self.base_names("") & given
        self._require_digest(files, only_frozen, trained_with, **hub)
        given_of_base = {name.removeprefix("base.") for name in given}
        copy_base_weights(self.base, self._loaded_base(files, **hub), only_frozen, given_of_base)
        self._was_changed = bool(given)

    def require_weights_of_files(self) -> None:
        """
        Raise ValueError if a weight that a checkpoint without base models leaves out is not that of the base model's
        own files.
        """
        source, weights = self._loaded_base(self.files_of(self.config)).state_dict(), self.base.state_dict()
        for name in sorted(weights.keys() - self.base.trained_names):
            original = source.get(_plain(name))
            if original is None or not _is_equal(weights[name], original):
                name_or_path = getattr(self.config, f"{self.part}_name_or_path")
                raise ValueError(
                    f"include_base_models must be True for a model whose {self.part}.base.{name} is not that of "
                    f"{self.part}_name_or_path={name_or_path!r}, got False"
                )

    def _loaded_base(self, files: BaseModelFiles, **hub: Any) -> PreTrainedModel:
        return files.load(self._base_config, **hub)

    @property
    def _other_weights(self) -> Sequence[str]:
        """Further files of weights of the base model."""
        return ()

    def _require_digest(self, files: BaseModelFiles, is_trained: bool, trained_with: str | None, **hub: Any) -> None:
        """Compare the base model's weights with the digest in the configuration, or put it there for a new model."""
        setting = f"{self.part}_digest"
        expected = getattr(self.config, setting)
        if expected is None and is_trained:  # a checkpoint of an earlier version, or one that is to take any weights
            return
        found = files.digest(self._other_weights, **hub)
        if expected is None:
            setattr(self.config, setting, found)
        elif found is not None and found != expected:
            original = "it" if trained_with in (None, files.name_or_path) else repr(trained_with)
            raise ValueError(
                f"{files.setting}={files.name_or_path!r} holds other weights than {original} had when this model was "
                f"trained with them (digest {found} instead of {expected}), and the model would compute something "
                f"else. Name the base model that it was trained with; or give {setting}=None, which takes any weights"
            )

    def set_gradient_checkpointing(self, checkpoint: Callable[..., Any] | None, every: int = 1) -> None:
        """
        Switch gradient checkpointing on or off.

        Args:
            checkpoint (callable, *optional*): `torch.utils.checkpoint.checkpoint` with its options; `None`: off.
            every (`int`, *optional*, defaults to 1): Compute every so many-th layer again, and keep the others.

        Raises:
            ValueError: For the option `use_reentrant=True`, or if the base model has no list of layers.
        """
        if checkpoint is not None:
            options = checkpoint.keywords if isinstance(checkpoint, partial) else {}
            require(not options.get("use_reentrant"), "use_reentrant", True, "False, in gradient_checkpointing_kwargs")
            layers_of(self.base)
        self.gradient_checkpointing = checkpoint is not None
        self._checkpoint, self._checkpoint_every = checkpoint, every

    @contextmanager
    def recomputed_layers(self) -> Iterator[None]:
        """
        A forward pass of the base model under this computes its layers again in the backward pass, if gradient
        checkpointing is on. Transformers' own would leave out the cache, which holds the prefix of a decoder, and base
        models in evaluation mode, as frozen ones are.
        """
        is_training = self.training and torch.is_grad_enabled()
        if is_training:
            self._notice_changes()
        if not (is_training and self.gradient_checkpointing):
            yield
            return
        layers = layers_of(self.base)[:: self._checkpoint_every]
        replaced = [vars(layer).get("forward") for layer in layers]  # which Accelerate's hooks set
        for layer in layers:
            layer.forward = partial(self._checkpoint, layer.forward)
        try:
            yield
        finally:
            for layer, forward in zip(layers, replaced, strict=True):
                if forward is None:
                    del layer.forward
                else:
                    layer.forward = forward

    @property
    def is_frozen(self) -> bool:
        """Whether nothing of the base model is trained."""
        return not any(parameter.requires_grad for parameter in self.base.parameters())

    @property
    def is_unfrozen(self) -> bool:
        """
        Whether weights of the base model may have changed that the configuration says are frozen: they are or were
        trained, others were loaded, embeddings were replaced or resized, or there were other adapters than the model's
        own, which peft may have merged into them.
        """
        return self._was_changed or self.is_resized or self._trains_more

    @property
    def is_resized(self) -> bool:
        """Whether the base model has another vocabulary here than in its own files."""
        return bool(self._base_config.get(OWN_VOCABULARY))

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the embeddings of the base model, with what is tied to them. A checkpoint then holds its weights."""
        self.base.set_input_embeddings(value)
        self.base.tie_weights(recompute_mapping=False)
        self._was_changed = True

    @property
    def _trains_more(self) -> bool:
        trained = getattr(self.base, "trained_names", None)  # which is chosen when the model is complete
        return trained is not None and not _trainable_names(self.base) <= trained

    def _notice_changes(self) -> None:
        """Remember that the base model may not be that of its files any more."""
        if self._was_changed:
            return
        names = _names(self.base)
        has_other_adapters = names != getattr(self.base, "own_names", names)
        self._was_changed = has_other_adapters or (self.training and self._trains_more)

    def train(self, mode: bool = True):
        """As any module; but a frozen base model always stays in evaluation mode, without dropout."""
        super().train(mode)
        self._notice_changes()
        if mode and self.is_frozen:
            self.base.eval()
        return self

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self._notice_changes()  # other adapters, which peft loads this way
        weights = self.state_dict()
        for name in self.base_names("") & weights.keys():  # which are loaded after this
            new = state_dict.get(prefix + name)
            if new is not None and not _is_equal(weights[name], new):
                self._was_changed = True
        loaded = next((value for value in state_dict.values() if isinstance(value, torch.Tensor)), torch.empty(0))
        compute_unsaved_buffers(self.base, loaded.device)

    @property
    def _no_split_modules(self) -> list[str]:
        return list(self.base._no_split_modules or ())

    @property
    def _skip_keys_device_placement(self) -> list[str]:
        return list(self.base._skip_keys_device_placement or ())

    @property
    def _keep_in_fp32_modules(self) -> list[str]:
        return list(self.base._keep_in_fp32_modules or ())


def _tie_weights_again(part: BasePart, incompatible_keys: object) -> None:
    """
    Tie weights of a base model that are no longer one parameter: loading a state dict with `assign=True` makes one of
    each entry, and `to_empty`, which comes before loading, one of each name.
    """
    base, parameters = part.base, dict(part.base.named_parameters(remove_duplicate=False))
    for names in base.all_tied_weights_keys.items():
        if parameters.keys() >= set(names) and parameters[names[0]] is not parameters[names[1]]:
            base.tie_weights(recompute_mapping=False)
            return


@torch.no_grad()
def compute_unsaved_buffers(base: PreTrainedModel, device: torch.device) -> None:
    """
    Give the buffers of a base model that are not in its state dict, such as frequencies of positions, the values that
    its configuration determines. A model that was built on the meta device has none, or memory that nobody has filled.

    Args:
        base (`PreTrainedModel`): The base model, of which nothing else is changed.
        device (`torch.device`): Where buffers go that are on the meta device.
    """
    names = base.state_dict().keys()
    saved = [*base.parameters(), *(buffer for name, buffer in base.named_buffers() if name in names)]
    for tensor in saved:
        tensor._is_hf_initialized = True  # by which transformers leaves a tensor as it is
    for module in base.modules():
        unsaved = [name for name in module._non_persistent_buffers_set if module._buffers.get(name) is not None]
        for name in unsaved:
            if module._buffers[name].is_meta:
                module._buffers[name] = torch.empty_like(module._buffers[name], device=device)
        if unsaved:
            base._init_weights(module)
    for tensor in saved:
        del tensor._is_hf_initialized


def frozen_names(base: nn.Module, prefix: str) -> set[str]:
    """
    The names in the state dict of all tensors of a base model that training does not change, with `prefix`. What
    [`choose_trainable`] chose is trained, also if it is frozen later on, as one does with a model that is finished.
    """
    frozen = _names(base) - base.trained_names - _trainable_names(base)
    buffers = {name for name, _ in base.named_buffers()} & base.state_dict().keys()
    return {prefix + name for name in frozen | buffers}


def _plain(name: str) -> str:
    """The name that a tensor of a base model with adapters has without them."""
    return name.replace(".base_layer.", ".")


def _is_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.is_meta or one.shape != other.shape:
        return False
    return torch.equal(one, other.to(one.device, one.dtype))


@torch.no_grad()
def copy_base_weights(
    base: PreTrainedModel, source: PreTrainedModel, only_frozen: bool, given: AbstractSet[str] = frozenset()
) -> None:
    """
    Give the tensors of a base model, but for its adapters, the values of another model of the same architecture.

    Args:
        base (`PreTrainedModel`): The model that is changed.
        source (`PreTrainedModel`): The model whose values are copied.
        only_frozen (`bool`): Whether tensors that are trained are left as they are.
        given (`set[str]`, *optional*): Names of further tensors that are.

    Raises:
        ValueError: If a tensor is missing or of another shape, or is not in memory.
    """
    values = source.state_dict()
    targets = base.state_dict()
    names = frozen_names(base, "") if only_frozen else targets.keys()
    for name in sorted(name for name in names - given if "lora_" not in name):
        target, plain = targets[name], _plain(name)
        if plain not in values or values[plain].shape != target.shape:
            raise ValueError(
                f"the base model {source.name_or_path!r} has no tensor {plain} of shape {tuple(target.shape)}"
            )
        if target.is_meta:
            raise ValueError(
                f"{name} is on the disk or offloaded, where the base model cannot be loaded: save a self-contained "
                "checkpoint first, with save_pretrained(..., include_base_models=True)"
            )
        target.copy_(values[plain])


def save_base_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> None:
    """
    Save the tokenizer of a base model in two files of their own, beside those of the model's tokenizer.

    Raises:
        ValueError: If it is not a fast tokenizer.
    """
    if not tokenizer.is_fast:
        raise ValueError(f"the tokenizer of a base model must be a fast one (tokenizer.json), got {type(tokenizer)}")
    tokenizer.backend_tokenizer.save(str(Path(folder, BASE_TOKENIZER_FILES[0])))
    values = {name: getattr(tokenizer, name) for name in KEPT_OF_A_TOKENIZER}
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    Path(folder, BASE_TOKENIZER_FILES[1]).write_text(text, encoding="utf-8")


def read_base_tokenizer(
    checkpoint: str | Path, folder: str, options: dict[str, Any]
) -> PreTrainedTokenizerBase | None:
    """
    The tokenizer that [`save_base_tokenizer`] saved; `None` if there is none.

    Args:
        checkpoint (`str` or `Path`): A folder or an id of the Hub.
        folder (`str`): Folder in it, empty for itself.
        options (`dict`): Arguments of `cached_file`.

    Raises:
        OSError: If the file of its settings is not JSON.
        ValueError: If one of the settings cannot be that of a tokenizer. Settings of other names are not read.
    """
    tokenizer_file, settings_file = (_find(checkpoint, name, folder, options) for name in BASE_TOKENIZER_FILES)
    if tokenizer_file is None or settings_file is None:
        return None
    try:
        saved = json.loads(Path(settings_file).read_bytes())
    except ValueError as error:
        raise OSError(f"{settings_file} is damaged, because it is not JSON: copy or download it again") from error
    require(isinstance(saved, dict), BASE_TOKENIZER_FILES[1], saved, "the settings of a tokenizer by name")
    values = {
        name: rule(f"{name} in {BASE_TOKENIZER_FILES[1]}", saved[name])
        for name, rule in KEPT_OF_A_TOKENIZER.items()
        if saved.get(name) is not None
    }
    return PreTrainedTokenizerFast(tokenizer_file=tokenizer_file, **values)


def read_tokenizer(
    checkpoint: str | Path, config: LDEBMConfig, folder: str, options: dict[str, Any]
) -> PreTrainedTokenizerBase | None:
    """The model's tokenizer beside its weights; `None` if there is none. Arguments as in [`read_base_tokenizer`]."""
    if _find(checkpoint, TOKENIZER_CONFIG_FILE, folder, options) is None:
        return None
    return load_tokenizer(checkpoint, config, subfolder=folder, **options)


def _find(checkpoint: str | Path, name: str, folder: str, options: dict[str, Any]) -> str | None:
    return cached_file(checkpoint, name, subfolder=folder, _raise_exceptions_for_missing_entries=False, **options)


def attention_of(config: LDEBMConfig) -> str | None:
    """The `attn_implementation` that a model was asked for, if any."""
    return getattr(config, "_attn_implementation_internal", None)
