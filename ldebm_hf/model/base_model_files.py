"""The files of a pretrained model of the Hub or in a folder: configuration, weights, tokenizer, code of its own."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.dynamic_module_utils import get_class_from_dynamic_module
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file
from transformers.utils.hub import extract_commit_hash

from .validation import require

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from .configuration_ldebm import LDEBMConfig

LEFT_OUT = ("dtype", "torch_dtype", "_name_or_path", "transformers_version", "architectures", "quantization_config",
            "output_attentions", "output_hidden_states", "return_dict", "id2label", "label2id",
            "auto_map")  # fmt: skip
"""Entries of a base model's configuration that say nothing about its architecture."""
OWN_CODE = "own_code"
"""Entry of a base model's configuration with the classes of its own code, by the auto class that stands for them."""
BASE_MODEL_NAMES = ("encoder_name_or_path", "decoder_name_or_path")
"""Settings that name a base model."""
OWN_VOCABULARY = "own_vocabulary"
"""Entry of a base model's configuration that is true if its embeddings have another size here than in its files."""
HUB_ARGUMENTS: ContextVar[dict[str, Any]] = ContextVar("HUB_ARGUMENTS")
"""Arguments of a `from_pretrained` about the Hub, for the code of base models that it runs to build a model."""
BLOCK = 128
"""Number of 8-byte words of which a digest keeps only the sum."""


def absolute_name(name_or_path: str) -> str:
    """The name of a base model, or the absolute path of its folder, so that it is found from any folder."""
    return str(Path(name_or_path).resolve()) if os.path.isdir(name_or_path) else name_or_path


def base_model_folders(config: LDEBMConfig) -> dict[str, str]:
    """The settings that name a base model by a folder, which is on this machine alone, with their values."""
    names = {name: getattr(config, name) for name in BASE_MODEL_NAMES}
    return {name: value for name, value in names.items() if value is not None and os.path.isabs(value)}


def require_name(setting: str, name_or_path: str | None) -> None:
    """Raise ValueError if a base model is needed and not named; `setting` is where it would be named."""
    if name_or_path is None:
        component = setting.partition("_")[0]
        raise ValueError(
            f'{setting} must be an id of the Hub or the folder of a model, with {component}="pretrained", got None'
        )


@contextmanager
def code_downloaded_with(**hub: Any) -> Iterator[None]:
    """
    Code of base models that is run under this is downloaded with these arguments of `from_pretrained` about the Hub,
    such as `token` and `cache_dir`, which a configuration must not hold.
    """
    before = HUB_ARGUMENTS.set(hub)
    try:
        yield
    finally:
        HUB_ARGUMENTS.reset(before)


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


def values_of(config: PreTrainedConfig) -> dict[str, Any]:
    """What the configuration of a base model says about its architecture, as JSON has it."""
    written = json.loads(config.to_json_string(use_diff=False))
    return {name: value for name, value in written.items() if name not in LEFT_OUT} | {"model_type": config.model_type}


def architecture(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a base model's configuration without the entries that are of this package."""
    return {name: value for name, value in values.items() if name not in (OWN_CODE, OWN_VOCABULARY, "auto_map")}


@dataclass(frozen=True)
class BaseModelFiles:
    """
    Where the files of a base model are. Their code is run only if the user says so.

    Args:
        part (`str`): `"encoder"` or `"decoder"`, whose settings name the base model.
        auto_class (`type`): `AutoModel` or `AutoModelForCausalLM`.
        name_or_path (`str`, *optional*): An id of the Hub or a folder.
        revision (`str`, *optional*): Branch, tag or commit on the Hub.
        trusts_code (`bool`): Whether code of the base model's repository may be run.
        subfolder (`str`, *optional*, defaults to `""`): Folder in it that holds the model.
    """

    part: str
    auto_class: type
    name_or_path: str | None
    revision: str | None
    trusts_code: bool
    subfolder: str = ""

    @classmethod
    def of(cls, config: LDEBMConfig, part: str, auto_class: type, subfolder: str = "") -> BaseModelFiles:
        """The files of the base model that a configuration names as its encoder or decoder."""
        name, revision = getattr(config, f"{part}_name_or_path"), getattr(config, f"{part}_revision")
        return cls(part, auto_class, name, revision, config.trusts_base_models, subfolder)

    @property
    def setting(self) -> str:
        """The setting that names the base model."""
        return f"{self.part}_name_or_path"

    @property
    def _auto_name(self) -> str:
        return self.auto_class.__name__

    @property
    def _named(self) -> str:
        return f"{self.setting}={self.name_or_path!r}"

    def read_config(self) -> tuple[dict[str, Any], str | None]:
        """
        The configuration of the base model and the commit that it was read from.

        Returns:
            `tuple[dict, str | None]`: what [`build`] needs, and the commit on the Hub; for a folder `None`.

        Raises:
            OSError: If there is no such model, or it cannot be downloaded.
            ValueError: If no name is given, or the model needs code of its own that may not be run.
        """
        require_name(self.setting, self.name_or_path)
        with missing_explained(not_found(self.setting, self.name_or_path)):
            file = cached_file(self.name_or_path, CONFIG_NAME, **self._place)
            own_code = self._own_code(json.loads(Path(file).read_text(encoding="utf-8")))
        if own_code:
            self._require_trust(own_code)
        with missing_explained(not_found(self.setting, self.name_or_path)):
            config = AutoConfig.from_pretrained(self.name_or_path, trust_remote_code=bool(own_code), **self._place)
        values = values_of(config)
        if own_code:
            values[OWN_CODE] = own_code
        return values, extract_commit_hash(file, None)

    def _own_code(self, values: dict[str, Any]) -> dict[str, str]:
        """The classes of the base model's own code, if transformers has none for it or code of its own may be run."""
        classes = {name: reference for name, reference in (values.get("auto_map") or {}).items() if reference}
        needed = ("AutoConfig", self._auto_name)
        if not set(needed) <= classes.keys():
            return {}
        known = CONFIG_MAPPING[values["model_type"]] if values.get("model_type") in CONFIG_MAPPING else None
        if known in self.auto_class._model_mapping and not self.trusts_code:
            return {}
        return {name: classes[name] for name in needed}

    def _require_trust(self, own_code: dict[str, str]) -> None:
        if not self.trusts_code:
            raise ValueError(
                f"{self._named} is a model with code of its own ({own_code[self._auto_name]}), which is run "
                "only if you say so: read the code, then give trust_remote_code=True (on the command line "
                "--trust_remote_code, to train --trust_remote_code true)"
            )

    def build(self, values: dict[str, Any], attention: str | None) -> PreTrainedModel:
        """
        The base model, untrained.

        Args:
            values (`dict`): From [`read_config`].
            attention (`str`, *optional*): `attn_implementation` as in transformers.

        Raises:
            ValueError: If it needs code of its own that may not be run, or cannot be built from these values.
        """
        options = {} if attention is None else {"attn_implementation": attention}
        options["dtype"] = torch.get_default_dtype()
        own_code = values.get(OWN_CODE)
        values = architecture(values)
        if not own_code:
            with self._values_named(values):
                config = AutoConfig.for_model(**values)
                return self.auto_class.from_config(config, trust_remote_code=False, **options)
        self._require_trust(own_code)
        config_class, model_class = self._own_class(own_code["AutoConfig"]), self._own_class(own_code[self._auto_name])
        with self._values_named(values):
            del values["model_type"]
            return model_class._from_config(config_class(**values), **options)

    @contextmanager
    def _values_named(self, values: dict[str, Any]) -> Iterator[None]:
        """Turn what ends the building of a base model into a ValueError that names its configuration."""
        try:
            yield
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            require(False, f"{self.part}_config", values, f"one that {self._auto_name} can be built from ({reason})")

    def _own_class(self, reference: str) -> type:
        """A class of the base model's own code, which this runs."""
        require_name(self.setting, self.name_or_path)
        with missing_explained(f"the code of {self._named} is needed and cannot be loaded"):
            return get_class_from_dynamic_module(
                reference, self.name_or_path, revision=self.revision, **HUB_ARGUMENTS.get({})
            )

    def load(self, values: dict[str, Any], **hub: Any) -> PreTrainedModel:
        """
        The base model with its weights.

        Args:
            values (`dict`): From [`read_config`].
            hub: Arguments of `from_pretrained` about the Hub, such as `token` and `cache_dir`.

        Raises:
            OSError: If there is no such model, or it cannot be downloaded.
        """
        require_name(self.setting, self.name_or_path)
        options = {"trust_remote_code": OWN_CODE in values, "use_safetensors": True, **self._place, **hub}
        with missing_explained(self._needed):
            return self.auto_class.from_pretrained(self.name_or_path, **options)

    def load_tokenizer(self, **hub: Any) -> PreTrainedTokenizerBase:
        """The tokenizer of the base model; arguments and errors as in [`load`]."""
        require_name(self.setting, self.name_or_path)
        options = {"trust_remote_code": self.trusts_code, **self._place, **hub}
        with missing_explained(f"the tokenizer of {self._named} cannot be loaded"):
            return AutoTokenizer.from_pretrained(self.name_or_path, **options)

    def digest(self, other_weights: Sequence[str] = (), **hub: Any) -> str | None:
        """
        A short text that changes if the weights of the base model do; `None` if they are not safetensors.

        Args:
            other_weights (`Sequence[str]`, *optional*): Further files of weights, by their paths from the top.
            hub: As in [`load`].

        Raises:
            OSError: As in [`load`].
        """
        require_name(self.setting, self.name_or_path)

        def find(file: str, folder: str) -> str | None:
            options = {"revision": self.revision, "subfolder": folder, **hub}
            return cached_file(self.name_or_path, file, _raise_exceptions_for_missing_entries=False, **options)

        with missing_explained(self._needed):
            files = [find(SAFE_WEIGHTS_NAME, self.subfolder)]
            if files[0] is None and (index := find(SAFE_WEIGHTS_INDEX_NAME, self.subfolder)) is not None:
                shards = set(json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values())
                files = [find(shard, self.subfolder) for shard in sorted(shards)]
            files += [find(file, "") for file in other_weights]
            return None if None in files else digest_of_weights(files)

    @property
    def _needed(self) -> str:
        return f"the weights of {self._named}, which must be safetensors, cannot be loaded"

    @property
    def _place(self) -> dict[str, str | None]:
        return {"revision": self.revision, "subfolder": self.subfolder}


def digest_of_weights(files: Sequence[str]) -> str:
    """
    A digest of the tensors in safetensors files: of names, types, shapes and contents, whatever the files.

    Of contents the sums of every kilobyte are hashed, which takes about as long as reading them from memory once. A
    model that was trained further has another digest, but exchanging values within a kilobyte leaves it.
    """
    lines = []
    for file in files:
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():
                tensor = opened.get_tensor(name)
                lines.append(f"{name} {tensor.dtype} {list(tensor.shape)} {_digest_of_contents(tensor)}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()[:32]


def _digest_of_contents(tensor: torch.Tensor) -> str:
    octets = tensor.reshape(-1).view(torch.uint8)
    num_blocks = len(octets) // (8 * BLOCK)
    whole, rest = octets.tensor_split([num_blocks * 8 * BLOCK])
    sums = whole.view(torch.int64).view(num_blocks, BLOCK).sum(1)
    return hashlib.sha256(sums.numpy().tobytes() + rest.numpy().tobytes()).hexdigest()
