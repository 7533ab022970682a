"""Pretrained models of the Hub as parts of a model: where they are, what is trained, and what a checkpoint holds.

A checkpoint names its base models and does not repeat their weights: it holds what training changed. A self-contained
one (`config.includes_base_models`) holds everything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.pytorch_utils import Conv1D
from transformers.tokenization_utils_base import TOKENIZER_CONFIG_FILE
from transformers.utils import CONFIG_NAME, cached_file
from transformers.utils.hub import extract_commit_hash

from .checkpoint_tokenizer import load_tokenizer
from .validation import require

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig

LEFT_OUT = ("dtype", "torch_dtype", "_name_or_path", "transformers_version", "architectures", "quantization_config",
            "output_attentions", "output_hidden_states", "return_dict", "id2label", "label2id")  # fmt: skip
"""Entries of a base model's configuration that say nothing about its architecture."""
BASE_TOKENIZER_FILES = ("encoder_tokenizer.json", "encoder_tokenizer_config.json")
"""Files of a checkpoint with the tokenizer of a pretrained encoder."""
KEPT_OF_A_TOKENIZER = (
    "model_max_length", "model_input_names", "padding_side", "truncation_side",
    "pad_token", "unk_token", "cls_token", "sep_token", "bos_token", "eos_token", "mask_token",
)  # fmt: skip
"""What the second of these files holds."""


def absolute_name(name_or_path: str) -> str:
    """The name of a base model, or the absolute path of its folder, so that it is found from any folder."""
    return str(Path(name_or_path).resolve()) if os.path.isdir(name_or_path) else name_or_path


def base_model_folders(config: LDEBMConfig) -> dict[str, str]:
    """The settings that name a base model by a folder, which is on this machine alone, with their values."""
    names = {name: getattr(config, name) for name in ("encoder_name_or_path", "decoder_name_or_path")}
    return {name: value for name, value in names.items() if value is not None and os.path.isabs(value)}


def require_name(setting: str, name_or_path: str | None) -> None:
    """Raise ValueError if a base model is needed and not named; `setting` is where it would be named."""
    if name_or_path is None:
        component = setting.partition("_")[0]
        raise ValueError(
            f'{setting} must be an id of the Hub or the folder of a model, with {component}="pretrained", got None'
        )


@contextmanager
def missing_explained(message: str) -> Iterator[None]:
    """Turn both kinds of errors with which transformers reads files into an OSError that begins with a message."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise OSError(f"{message}: {error}") from error


def not_found(setting: str, name_or_path: str) -> str:
    """What is wrong with a setting that names no base model; the reason follows a colon."""
    return (
        f"{setting}={name_or_path!r} is neither a folder with a model nor a model that can be downloaded or found in "
        "the cache"
    )


def read_base_config(
    setting: str, name_or_path: str, revision: str | None, subfolder: str = ""
) -> tuple[dict[str, Any], str | None]:
    """
    The configuration of a base model and the commit that it was read from.

    Args:
        setting (`str`): The setting that names it, for error messages.
        name_or_path (`str`): An id of the Hub or a folder.
        revision (`str`, *optional*): Branch, tag or commit on the Hub.
        subfolder (`str`, *optional*, defaults to `""`): Folder in it that holds the model.

    Returns:
        `tuple[dict, str | None]`: what `AutoConfig.for_model` builds it from, and the commit on the Hub; for a folder
        `None`.

    Raises:
        OSError: If there is no such model, or it cannot be downloaded.
    """
    with missing_explained(not_found(setting, name_or_path)):
        config = AutoConfig.from_pretrained(name_or_path, revision=revision, subfolder=subfolder)
        file = cached_file(name_or_path, CONFIG_NAME, revision=revision, subfolder=subfolder)
    commit = extract_commit_hash(file, None)
    written = json.loads(config.to_json_string(use_diff=False))
    values = {name: value for name, value in written.items() if name not in LEFT_OUT}
    return values | {"model_type": config.model_type}, commit


def build(auto_class: type, values: dict[str, Any], attention: str | None) -> PreTrainedModel:
    """
    An untrained base model.

    Args:
        auto_class (`type`): `AutoModel` or `AutoModelForCausalLM`.
        values (`dict`): From [`read_base_config`].
        attention (`str`, *optional*): `attn_implementation` as in transformers.
    """
    config = AutoConfig.for_model(**values)
    options = {} if attention is None else {"attn_implementation": attention}
    return auto_class.from_config(config, dtype=torch.get_default_dtype(), **options)


def require_layers(setting: str, value: int, base: dict[str, Any] | None) -> None:
    """Raise ValueError if a number of layers to train is negative, or more than the base model has."""
    require(value >= 0, setting, value, "at least 0")
    if value and base is not None:
        number = getattr(AutoConfig.for_model(**base).get_text_config(), "num_hidden_layers", value)
        require(value <= number, setting, value, f"at most {number}, the number of layers of the base model")


def encoder_of(model: PreTrainedModel) -> PreTrainedModel:
    """The part of a base model that encodes: the model itself, or the encoder of an encoder-decoder model."""
    return model.get_encoder() if model.config.is_encoder_decoder else model


def layers_of(model: nn.Module) -> nn.ModuleList:
    """The layers of a transformer, which are the longest list of modules in it."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise ValueError(f"{type(model).__name__} has no list of layers to train some of")
    return max(lists, key=len)


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
    layers = layers_of(base)
    for name, parameter in base.named_parameters():
        parameter.requires_grad_("lora_" in name or trainable_layers >= len(layers))
    for layer in layers[max(0, len(layers) - trainable_layers) :]:
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
    """An encoder or decoder with a base model, `base`, and what transformers asks of it to place and load a model."""

    base: PreTrainedModel
    _had_other_adapters = False

    @property
    def is_frozen(self) -> bool:
        """Whether nothing of the base model is trained."""
        return not any(parameter.requires_grad for parameter in self.base.parameters())

    @property
    def is_unfrozen(self) -> bool:
        """
        Whether weights of the base model may have changed that the configuration says are frozen: they are trained, or
        there were other adapters than the model's own, which peft may have merged into them.
        """
        return self._had_other_adapters or not _trainable_names(self.base) <= self.base.trained_names

    def _notice_other_adapters(self) -> None:
        if _names(self.base) != getattr(self.base, "own_names", _names(self.base)):
            self._had_other_adapters = True

    def _load_from_state_dict(self, *args, **kwargs):  # by which peft loads adapters
        super()._load_from_state_dict(*args, **kwargs)
        self._notice_other_adapters()

    def train(self, mode: bool = True):
        """As any module; but a frozen base model always stays in evaluation mode, without dropout."""
        super().train(mode)
        self._notice_other_adapters()
        if self.is_frozen:
            self.base.eval()
        return self

    def _load_from_state_dict(self, state_dict, *args, **kwargs) -> None:
        super()._load_from_state_dict(state_dict, *args, **kwargs)
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


@torch.no_grad()
def copy_base_weights(base: PreTrainedModel, source: PreTrainedModel, only_frozen: bool) -> None:
    """
    Give the tensors of a base model, but for its adapters, the values of another model of the same architecture.

    Args:
        base (`PreTrainedModel`): The model that is changed.
        source (`PreTrainedModel`): The model whose values are copied.
        only_frozen (`bool`): Whether tensors that are trained are left as they are.

    Raises:
        ValueError: If a tensor is missing or of another shape, or is not in memory.
    """
    values = source.state_dict()
    targets = base.state_dict()
    names = frozen_names(base, "") if only_frozen else targets.keys()
    for name in sorted(name for name in names if "lora_" not in name):
        target, plain = targets[name], name.replace(".base_layer.", ".")
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


def load_base(
    auto_class: type, setting: str, name_or_path: str, revision: str | None, subfolder: str = "", **hub: Any
) -> PreTrainedModel:
    """
    A base model with its weights.

    Args:
        hub: Arguments of `from_pretrained` about the Hub, such as `token` and `cache_dir`.

    Raises:
        OSError: If there is no such model, or it cannot be downloaded.
    """
    message = (
        f"{setting}={name_or_path!r} is needed, because the checkpoint does not hold the weights of its base model, "
        "and cannot be loaded"
    )
    with missing_explained(message):
        return auto_class.from_pretrained(
            name_or_path, revision=revision, subfolder=subfolder, use_safetensors=True, **hub
        )


def load_base_tokenizer(
    setting: str, name_or_path: str, revision: str | None, subfolder: str = "", **hub: Any
) -> PreTrainedTokenizerBase:
    """The tokenizer of a base model; arguments and errors as in [`load_base`]."""
    with missing_explained(f"the tokenizer of {setting}={name_or_path!r} cannot be loaded"):
        return AutoTokenizer.from_pretrained(name_or_path, revision=revision, subfolder=subfolder, **hub)


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
    """
    tokenizer_file, settings_file = (_find(checkpoint, name, folder, options) for name in BASE_TOKENIZER_FILES)
    if tokenizer_file is None or settings_file is None:
        return None
    values = json.loads(Path(settings_file).read_text(encoding="utf-8"))
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
