"""What all models have in common: how weights are initialised, loaded and saved, with those of base models."""

import os
import re
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.utils import parametrize
from transformers import PreTrainedModel
from transformers import initialization as init

from .base_models import RefusesOtherAdapters, has_adapters, read_base_tokenizer, read_tokenizer
from .checkpoint_code import CodeInCheckpoint
from .configuration_ldebm import LDEBMConfig
from .energy import EnergyLinear, restart_power_iteration
from .weight_files import refuse_pickled_weights, refuse_unreadable_files

FROM_THE_HUB = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
"""Arguments of `from_pretrained` that say where files are."""
ALSO_OF_BASE_MODELS = ("cache_dir", "local_files_only", "token")
"""Those of them that hold for the base models that a checkpoint names, too."""


class LDEBMPreTrainedModel(CodeInCheckpoint, PreTrainedModel):
    config: LDEBMConfig
    base_model_prefix = "ldebm"
    main_input_name = "input_ids"
    _keep_in_fp32_modules_strict = ["prior"]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs):
        """
        As in transformers. The loaded model computes exactly the same as the saved one. A file that is a Git LFS
        pointer, empty or truncated is an OSError that says so, and so are weights that are not safetensors.
        """
        refuse_unreadable_files(pretrained_model_name_or_path, kwargs.get("subfolder") or "")
        refuse_pickled_weights(pretrained_model_name_or_path, kwargs)
        kwargs["use_safetensors"] = True
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        # safetensors maps tensors at their offsets in the file, and the rounding of CPU kernels depends on alignment.
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data = tensor.data.clone()
        for module in model.modules():
            if isinstance(module, nn.GRU):
                module.flatten_parameters()  # cuDNN wants a GRU's parameters in one block of memory
        model.load_parts_beside_the_weights(pretrained_model_name_or_path, kwargs)
        return loaded

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

    def load_parts_beside_the_weights(self, checkpoint: str | Path | None, arguments: dict[str, Any]) -> None:
        """
        Load what `from_pretrained` leaves out: the weights of base models, unless the checkpoint holds them, and the
        tokenizers that a pretrained encoder reads with.

        Args:
            checkpoint (`str` or `Path`, *optional*): Folder or id of the model on the Hub.
            arguments (`dict`): Arguments of `from_pretrained`, of which those about the Hub are used.
        """
        self.add_adapters()  # loaded tensors are trained unless this is said again
        options = {name: arguments[name] for name in FROM_THE_HUB if arguments.get(name) is not None}
        if not self.config.includes_base_models:
            of_base_models = {name: value for name, value in options.items() if name in ALSO_OF_BASE_MODELS}
            for part in self._base_parts.values():
                part.load_base_weights(only_frozen=True, **of_base_models)
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
                and the checkpoint names the base models with their revisions. A model of which more is trained than
                its configuration says is saved with them, too, because only then nothing is lost.
        """
        as_loaded = self.config.includes_base_models
        if include_base_models is not None:
            self.config.includes_base_models = include_base_models and self.has_base_models
        elif any(part.is_unfrozen for part in self._base_parts.values()):
            self.config.includes_base_models = True
        self._keys_to_ignore_on_save = set() if self.config.includes_base_models else self.frozen_base_names()
        try:
            super().save_pretrained(save_directory, *args, **kwargs)
            if hasattr(self.encoder, "save_tokenizers"):
                self.encoder.save_tokenizers(save_directory)
        finally:
            self.config.includes_base_models = as_loaded
