"""What all models have in common: how weights are initialised, loaded and saved, with those of base models."""

import copy
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.utils import logging

from .adversarial_prior import LatentGenerator
from .base_model_files import BASE_MODEL_NAMES, base_model_folders, code_downloaded_with
from .base_models import RefusesOtherAdapters, has_adapters, read_base_tokenizer, read_tokenizer
from .checkpoint_code import CodeInCheckpoint
from .configuration_ldebm import LDEBMConfig
from .distilled_sampler import DistilledSampler
from .energy import EnergyLinear, restart_power_iteration
from .validation import Flag, require
from .weight_files import refuse_pickled_weights, refuse_unreadable_files

logger = logging.get_logger(__name__)

FROM_THE_HUB = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
"""Arguments of `from_pretrained` that say where files are."""
ALSO_OF_BASE_MODELS = ("cache_dir", "local_files_only", "token")
"""Those of them that hold for the base models that a checkpoint names, too."""
PLACE = ("cache_dir", "local_files_only", "revision", "subfolder")
"""Those that a model remembers, to load its tokenizer from the same place."""
RANKS = ("encoder_lora_rank", "decoder_lora_rank")
NUMBERS_OF_LAYERS = ("encoder_trainable_layers", "decoder_trainable_layers")
"""Settings that say what of a base model is trained."""
MEANING_OF_WEIGHTS = ("encoder_pooling", "encoder_normalize", "decoder_prefix_length", "decoder_conditioning")
"""Settings without which a checkpoint's weights mean nothing."""


class LDEBMPreTrainedModel(CodeInCheckpoint, PreTrainedModel):
    """
    What all models have in common.

    Attributes:
        checkpoint_place (`dict`): The arguments of `from_pretrained` that say where in `name_or_path` the model is.
    """

    config: LDEBMConfig
    base_model_prefix = "ldebm"
    main_input_name = "input_ids"
    _keep_in_fp32_modules_strict = ["prior"]
    _keys_to_ignore_on_load_unexpected = [r"(^|\.)prior\.distilled_sampler\."]  # of symbols before some were merged

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs):
        """
        As in transformers. The loaded model computes exactly the same as the saved one. A file that is a Git LFS
        pointer, empty or truncated is an OSError that says so, and so are weights that are not safetensors.

        Of a model with base models, more may be trained from here on than before: `encoder_lora_rank` and
        `decoder_lora_rank` add adapters to a model without them, which change nothing until they are trained, and
        `encoder_trainable_layers` and `decoder_trainable_layers` may be larger than they were.

        Args:
            trust_remote_code (`bool`, *optional*, defaults to `False`): Whether code in the repositories of the base
                models may be run, for base models that need it.

        Raises:
            OSError: If a file cannot be read, or a base model is not found.
            ValueError: If a base model has other weights than the model was trained with or needs code that is not
                trusted, or a setting is given that does not go with the checkpoint's weights.
        """
        refuse_unreadable_files(pretrained_model_name_or_path, kwargs.get("subfolder") or "")
        refuse_pickled_weights(pretrained_model_name_or_path, kwargs)
        kwargs["use_safetensors"] = True
        config = None
        if isinstance(kwargs.get("config"), PreTrainedConfig):
            config = kwargs["config"] = copy.deepcopy(kwargs["config"])
        if Flag()("trust_remote_code", kwargs.get("trust_remote_code") or False):
            if config is None:
                kwargs["trusts_base_models"] = True  # transformers takes the other name out of the arguments
            else:
                config.trusts_base_models = True
        saved = cls._saved_config(pretrained_model_name_or_path, config, kwargs)
        more_trained = {} if saved is None else _take_out_what_is_trained_later(saved, config, kwargs)
        with code_downloaded_with(**_given(kwargs, ALSO_OF_BASE_MODELS)):
            loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        _copy_out_of_the_files(model)
        for module in model.modules():
            if isinstance(module, nn.GRU):
                module.flatten_parameters()  # cuDNN wants a GRU's parameters in one block of memory
        model.checkpoint_place = _given(kwargs, PLACE)
        model.load_parts_beside_the_weights(pretrained_model_name_or_path, kwargs, saved)
        new_names = model._train_more(more_trained) if more_trained else set()
        if new_names:
            logger.warning(
                f"Some weights of {cls.__name__} were not initialized from the model checkpoint at "
                f"{pretrained_model_name_or_path} and are newly initialized: {sorted(new_names)}. These low-rank "
                "adapters change nothing until they are trained."
            )
            if isinstance(loaded, tuple):
                loaded[1]["missing_keys"] |= new_names
        return loaded

    @classmethod
    def _saved_config(
        cls, checkpoint: str | Path | None, config: LDEBMConfig | None, arguments: dict[str, Any]
    ) -> LDEBMConfig | None:
        """The configuration of a checkpoint with base models as it was saved, if the arguments may change it."""
        names = (*RANKS, *NUMBERS_OF_LAYERS, *MEANING_OF_WEIGHTS, *BASE_MODEL_NAMES)
        if config is None:
            may_change = any(name in arguments for name in names)
        else:
            may_change = "pretrained" in (config.encoder, config.decoder)
        if checkpoint is None or not may_change:
            return None
        try:
            return cls.config_class.from_pretrained(checkpoint, **_given(arguments, FROM_THE_HUB))
        except OSError:  # of a folder with weights only, to which a configuration is given
            return None

    def _train_more(self, settings: dict[str, int]) -> set[str]:
        """Change settings that say what of base models is trained. Returns the names of tensors that are new."""
        before = self.state_dict().keys()
        for name, value in settings.items():
            setattr(self.config, name, value)
        self.config.validate()
        self.add_adapters()
        self.eval()
        return {name for name in self.state_dict().keys() - before if "lora_" in name}

    def _set_gradient_checkpointing(
        self,
        enable: bool = True,
        gradient_checkpointing_func: Callable[..., Any] = checkpoint,
        every_n_layers: int = 1,
    ) -> None:
        # What transformers calls for the whole model concerns the layers of base models only.
        for part in self._base_parts.values():
            part.set_gradient_checkpointing(gradient_checkpointing_func if enable else None, every_n_layers)

    def recompute_base_layers(self) -> None:
        """
        Compute the layers of base models again in the backward pass of training instead of keeping what they computed.
        As transformers' `gradient_checkpointing_enable()` with its default options, which works too.
        """
        self._set_gradient_checkpointing(gradient_checkpointing_func=partial(checkpoint, use_reentrant=False))

    def enable_input_require_grads(self) -> None:
        """
        As in transformers. Gradient checkpointing calls this, too, for its reentrant kind; here it would make frozen
        layers below the trained ones take part in the backward pass, and is left out.
        """
        if not any(part.gradient_checkpointing for part in self._base_parts.values()):
            super().enable_input_require_grads()

    def _initialize_missing_keys(self, *args, **kwargs) -> None:
        # What base models load from their own files afterwards need not be drawn at random first.
        self.add_adapters()  # a loaded tensor is trained unless this is said again
        for module in self.modules():
            if isinstance(module, (DistilledSampler, LatentGenerator)):
                module.requires_grad_(False)
        weights = self.state_dict(keep_vars=True)
        for name in self.names_beside_the_weights():
            weights[name]._is_hf_initialized = True
        super()._initialize_missing_keys(*args, **kwargs)

    def _initialize_weights(self, module: nn.Module, is_custom_code: bool = False):
        # transformers skips modules of custom code whose own tensors were all loaded, but a weight with a spectral
        # norm belongs to a submodule. No module needs to be skipped, because loaded tensors are never drawn again.
        super()._initialize_weights(module, is_custom_code=False)

    def _init_weights(self, module: nn.Module):
        """
        Initialise a module. A class of this package with tensors of its own has a method `init_tensors` for it; linear
        maps, embeddings and recurrent layers are initialised according to `config.uniform_init_range`, and torch's
        batch normalisation as in transformers. There are no other modules with tensors.
        """
        if hasattr(module, "init_tensors"):
            module.init_tensors()
        elif isinstance(module, (nn.Linear, EnergyLinear, nn.Embedding, nn.GRU)):
            self._init_layer(module)
        elif isinstance(module, nn.BatchNorm1d):
            super()._init_weights(module)

    def _init_layer(self, layer: nn.Module):
        bound, is_normalized = self.config.uniform_init_range, parametrize.is_parametrized(layer)
        if bound is None and is_normalized:
            bound = layer.in_features**-0.5  # as in `reset_parameters`, which does not find a normalised weight
        if bound is not None:
            for parameter in layer.parameters():
                init.uniform_(parameter, -bound, bound)
        elif isinstance(layer, nn.Embedding):  # torch's unit normal embeddings drown the latent at first
            init.normal_(layer.weight, std=2 * layer.embedding_dim**-0.5)
        else:
            layer.reset_parameters()
        if is_normalized:
            restart_power_iteration(layer)

    @property
    def _base_parts(self) -> dict[str, nn.Module]:
        """Encoder and decoder by name, as far as they have a base model."""
        parts = {"encoder": self.encoder, "decoder": self.decoder}
        return {name: part for name, part in parts.items() if hasattr(part, "load_base_weights")}

    @property
    def has_base_models(self) -> bool:
        """Whether the encoder or the decoder is a pretrained model."""
        return bool(self._base_parts)

    def add_adapters(self) -> None:
        """Freeze base models, but for the parts and the adapters that the configuration says are trained."""
        for part in self._base_parts.values():
            part.add_adapters()
        with_adapters = [name for name, part in self._base_parts.items() if has_adapters(part.base)]
        if with_adapters:
            ranks = {f"{name}_lora_rank": getattr(self.config, f"{name}_lora_rank") for name in with_adapters}
            self.peft_config = RefusesOtherAdapters(ranks)
        if not self.config.includes_base_models:
            expected = {f"^{re.escape(name)}$" for name in self.frozen_base_names()}
            self._keys_to_ignore_on_load_missing = set(self._keys_to_ignore_on_load_missing or ()) | expected
            self._keys_to_ignore_on_save = self.frozen_base_names()  # which transformers' Trainer does not miss then

    def add_adapter(self, *args, **kwargs) -> None:
        """As in transformers. A ValueError for a model that has adapters of its own."""
        self._refuse_other_adapters()
        super().add_adapter(*args, **kwargs)

    def load_adapter(self, *args, **kwargs):
        """As in transformers. A ValueError for a model that has adapters of its own."""
        self._refuse_other_adapters()
        return super().load_adapter(*args, **kwargs)

    def _refuse_other_adapters(self) -> None:
        own = getattr(self, "peft_config", None)
        if isinstance(own, RefusesOtherAdapters):
            own.refuse()

    def base_parameters(self) -> list[nn.Parameter]:
        """The parameters of all base models, trained or not."""
        return [parameter for part in self._base_parts.values() for parameter in part.base.parameters()]

    def load_base_models(self) -> None:
        """
        Load the weights of the base models that the configuration names, also those that training is to change. A
        model that was built from a configuration needs this; `from_pretrained` does it.

        Raises:
            OSError: If a base model is not found.
        """
        for part in self._base_parts.values():
            part.load_base_weights()

    def frozen_base_names(self) -> set[str]:
        """The names in the state dict of all tensors that stay as they are in the base models."""
        names: set[str] = set()
        for name, part in self._base_parts.items():
            names |= part.base_names(f"{name}.")
        return names

    def names_beside_the_weights(self) -> set[str]:
        """The names in the state dict of all tensors of base models that are not in the model's own checkpoint."""
        return set() if self.config.includes_base_models else self.frozen_base_names()

    def load_parts_beside_the_weights(
        self, checkpoint: str | Path | None, arguments: dict[str, Any], saved: LDEBMConfig | None = None
    ) -> None:
        """
        Load what `from_pretrained` leaves out: the weights of base models, unless the checkpoint holds them, and the
        tokenizers that a pretrained encoder reads with.

        Args:
            checkpoint (`str` or `Path`, *optional*): Folder or id of the model on the Hub.
            arguments (`dict`): Arguments of `from_pretrained`, of which those about the Hub are used.
            saved ([`LDEBMConfig`], *optional*): The configuration in the checkpoint, if arguments change it.
        """
        self.add_adapters()  # loaded tensors are trained unless this is said again
        options = _given(arguments, FROM_THE_HUB)
        if not self.config.includes_base_models:
            if checkpoint is not None and not os.path.isdir(checkpoint):
                _refuse_folders_of_elsewhere(checkpoint, self.config, arguments)
            of_base_models = _given(arguments, ALSO_OF_BASE_MODELS)
            for name, part in self._base_parts.items():
                trained_with = None if saved is None else getattr(saved, f"{name}_name_or_path")
                given = {key.partition(f"{name}.")[2] for key in arguments.get("state_dict") or ()}
                part.load_base_weights(only_frozen=True, trained_with=trained_with, given=given, **of_base_models)
        if not hasattr(self.encoder, "read_texts") or checkpoint is None:
            return
        folder = options.pop("subfolder", "")
        tokenizer = read_tokenizer(checkpoint, self.config, folder, options)
        if tokenizer is not None:
            self.set_tokenizer(tokenizer)
        self.encoder.base_tokenizer = read_base_tokenizer(checkpoint, folder, options) or self.encoder.base_tokenizer

    def save_pretrained(
        self, save_directory: str | os.PathLike, *args, include_base_models: bool | None = None, **kwargs
    ) -> None:
        """
        As in transformers.

        Args:
            include_base_models (`bool`, *optional*): Whether the weights of pretrained encoders and decoders are saved
                too, so that the checkpoint is self-contained. Default: as the model was loaded; at first they are not,
                and the checkpoint names the base models with their revisions. A model of which more is or was trained
                than its configuration says is saved with them, too, because only then nothing is lost.

        Raises:
            ValueError: For `include_base_models=False` if a weight that would be left out is not that of the base
                model's own files.
        """
        if include_base_models is False:
            for part in self._base_parts.values():
                if part.is_unfrozen or self.config.includes_base_models:
                    part.require_weights_of_files()
        as_loaded = self.config.includes_base_models
        if include_base_models is not None:
            self.config.includes_base_models = include_base_models and self.has_base_models
        elif any(part.is_unfrozen for part in self._base_parts.values()):
            self.config.includes_base_models = True
        self._keys_to_ignore_on_save = self.names_beside_the_weights()
        try:
            super().save_pretrained(save_directory, *args, **kwargs)
            self._save_tokenizers(save_directory)
        finally:
            self.config.includes_base_models = as_loaded

    def _save_tokenizers(self, folder: str | os.PathLike) -> None:
        if hasattr(self.encoder, "save_tokenizers"):
            self.encoder.save_tokenizers(folder)

    def _upload_modified_files(self, working_dir: str | os.PathLike, *args, **kwargs):
        # What `save_pretrained(..., push_to_hub=True)` calls at its end: tokenizers belong to what is uploaded.
        self._save_tokenizers(working_dir)
        return super()._upload_modified_files(working_dir, *args, **kwargs)


def _copy_out_of_the_files(model: LDEBMPreTrainedModel) -> None:
    """
    Give tensors that are mapped from files of weights memory of their own. safetensors maps them at their offsets in
    the file, and the rounding of CPU kernels depends on alignment.
    """
    beside = model.names_beside_the_weights()
    for name, parameter in model.named_parameters():
        if name not in beside:
            parameter.data = parameter.data.clone()
    for name, buffer in list(model.named_buffers()):
        if name not in beside:
            # A loaded buffer is a view, which refers to the whole mapped file whatever its data is: it is replaced.
            module, _, name_in_module = name.rpartition(".")
            setattr(model.get_submodule(module), name_in_module, buffer.clone())


def _refuse_folders_of_elsewhere(checkpoint: str | Path, config: LDEBMConfig, arguments: dict[str, Any]) -> None:
    """Raise OSError if a model on the Hub, and not the user, says that its base model is a folder of this machine."""
    for name, folder in base_model_folders(config).items():
        if arguments.get("config") is None and arguments.get(name) is None:
            raise OSError(
                f"{checkpoint} names a folder of the machine on which it was saved, {name}={folder!r}: give {name}, "
                "the id of that base model on the Hub or a folder here"
            )


def _given(arguments: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Those of some arguments with these names that are not `None`."""
    return {name: arguments[name] for name in names if arguments.get(name) is not None}


def _take_out_what_is_trained_later(
    saved: LDEBMConfig, config: LDEBMConfig | None, arguments: dict[str, Any]
) -> dict[str, int]:
    """
    Make the configuration or, without one, the other arguments of `from_pretrained` say that what is trained of base
    models is what a checkpoint holds of them, because it is loaded like that. Returns what they said otherwise.

    Raises:
        ValueError: If the checkpoint cannot be loaded or trained with what they said.
    """
    changed = {}

    def wanted(name: str) -> Any:
        return getattr(config, name) if config is not None else arguments.get(name, getattr(saved, name))

    for name in MEANING_OF_WEIGHTS:
        value = getattr(saved, name)
        require(wanted(name) == value, name, wanted(name), f"{value!r}, with which the checkpoint was trained")
    for name in (*RANKS, *NUMBERS_OF_LAYERS):
        value = getattr(saved, name)
        if wanted(name) == value:
            continue
        if name in RANKS:
            require(value == 0, name, wanted(name), f"{value}, the rank of the adapters in the checkpoint")
        else:
            require(wanted(name) > value, name, wanted(name), f"at least {value}, of which the checkpoint has weights")
        changed[name] = wanted(name)
        if config is None:
            arguments[name] = value
        else:
            setattr(config, name, value)
    return changed
