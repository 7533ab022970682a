"""What the value of each setting of a configuration must be like by itself, whatever the others are."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from numbers import Real
from pathlib import PurePosixPath
from typing import Any

import torch
from transformers import CONFIG_MAPPING

from .arguments import GUIDANCE, LARGEST_COORDINATE, MOST_STEPS, MOST_TYPES
from .base_model_files import OWN_CODE
from .sentence_layout import ACTIVATIONS, NO_LAYOUT, POOLINGS
from .text_reading import SURROGATE
from .validation import Count, Flag, Number, Rule, plain_number, require, shown

MOST_UNITS = 2**20
"""The most units of a layer; beyond it a single linear map takes four terabytes."""
MOST_LAYERS = 1000
LARGEST_WEIGHT = 1e6
"""The largest weight of a term of the loss, temperature and so on."""
TORCH_DTYPES = {
    str(value).removeprefix("torch."): value for value in vars(torch).values() if type(value) is torch.dtype
}


class NamesById(Rule):
    """Names of symbols by id, where ids may be strings as in JSON; at most a million of them."""

    def __call__(self, name: str, value: Any, model: Any = None) -> dict[int, str]:
        require(isinstance(value, Mapping), name, value, "a mapping from ids to names")
        try:
            names = {int(symbol): label for symbol, label in value.items() if not isinstance(symbol, (bool, float))}
        except (ValueError, TypeError):
            names = {}
        are_names = all(isinstance(label, str) for label in names.values())
        is_right = len(names) == len(value) <= MOST_UNITS and are_names
        require(is_right, name, value, "a mapping from ids, which are integers, to names, which are strings")
        return names


class IdsByName(Rule):
    """Ids of symbols by name."""

    def __call__(self, name: str, value: Any, model: Any = None) -> dict[str, int]:
        require(isinstance(value, Mapping), name, value, "a mapping from names to ids")
        allowed = "a mapping from names, which are strings, to ids, which are integers"
        require(all(isinstance(label, str) for label in value), name, value, allowed)
        names = {label: symbol for label, symbol in value.items() if not isinstance(symbol, (bool, float))}
        try:
            ids = {label: int(symbol) for label, symbol in names.items()}
        except (ValueError, TypeError):
            ids = {}
        require(len(ids) == len(value), name, value, allowed)
        return ids


class SymbolNumbers(Rule):
    """A list of ids of symbols."""

    def __call__(self, name: str, value: Any, model: Any = None) -> list[int]:
        is_list = isinstance(value, list) and 1 <= len(value) <= MOST_UNITS
        require(is_list, name, value, "a list of ids of symbols")
        return [Count(at_least=0, at_most=MOST_UNITS)(f"{name}[{i}]", symbol) for i, symbol in enumerate(value)]


class Dtype(Rule):
    """A floating-point type of torch, or its name."""

    def __call__(self, name: str, value: Any, model: Any = None) -> torch.dtype | str:
        dtype = TORCH_DTYPES.get(value) if isinstance(value, str) else value
        is_float = isinstance(dtype, torch.dtype) and dtype.is_floating_point
        require(is_float or value == "auto", name, value, "a floating-point type of torch, such as float32")
        return value


class BaseConfig(Rule):
    """The configuration of a base model, of a type that transformers knows or with the names of its own classes."""

    def __call__(self, name: str, value: Any, model: Any = None) -> dict[str, Any]:
        values = value if isinstance(value, Mapping) else {}
        kind, own_code = values.get("model_type"), values.get(OWN_CODE)
        is_known = isinstance(kind, str) and (kind in CONFIG_MAPPING or bool(own_code))
        require(is_known, name, value, "the configuration of a model of transformers, with its model_type")
        names_classes = own_code is None or (
            isinstance(own_code, Mapping)
            and "AutoConfig" in own_code
            and len(own_code) == 2
            and all(isinstance(reference, str) for reference in own_code.values())
        )
        allowed = "the classes of the base model's own code, by AutoConfig and the auto class of the model"
        require(names_classes, f"{name}[{OWN_CODE!r}]", own_code, allowed)
        return value


class Layout(Rule):
    """How a pretrained encoder makes one vector of a text, with the keys of [`NO_LAYOUT`]."""

    def __call__(self, name: str, value: Any, model: Any = None) -> dict[str, Any]:
        is_complete = isinstance(value, Mapping) and value.keys() == NO_LAYOUT.keys()
        require(is_complete, name, value, f"a mapping with the keys {', '.join(NO_LAYOUT)}")
        poolings = sorted(set(POOLINGS.values()))
        is_known = isinstance(value["pooling"], list) and value["pooling"] and set(value["pooling"]) <= set(poolings)
        require(bool(is_known), f"{name}['pooling']", value["pooling"], f"a list of some of {', '.join(poolings)}")
        for key in ("normalize", "lowercase"):
            Flag()(f"{name}[{key!r}]", value[key])
        if value["max_length"] is not None:
            Count()(f"{name}['max_length']", value["max_length"])
        require(isinstance(value["prompt"], str), f"{name}['prompt']", value["prompt"], "a string")
        _require_inner_path(f"{name}['subfolder']", value["subfolder"])
        require(isinstance(value["dense"], list), f"{name}['dense']", value["dense"], "a list of layers")
        for number, dense in enumerate(value["dense"]):
            self._require_dense(f"{name}['dense'][{number}]", dense)
        return value

    def _require_dense(self, name: str, dense: Any) -> None:
        keys = ("in_features", "out_features", "bias", "activation_function", "path")
        is_complete = isinstance(dense, Mapping) and dense.keys() == set(keys)
        require(is_complete, name, dense, f"a mapping with the keys {', '.join(keys)}")
        for key in ("in_features", "out_features"):
            UNITS(f"{name}[{key!r}]", dense[key])
        Flag()(f"{name}['bias']", dense["bias"])
        activation = dense["activation_function"]
        is_known = isinstance(activation, str) and activation in ACTIVATIONS
        require(is_known, f"{name}['activation_function']", activation, f"one of {', '.join(ACTIVATIONS)}")
        _require_inner_path(f"{name}['path']", dense["path"])


def _require_inner_path(name: str, value: Any) -> None:
    """Raise ValueError for a path that is not below the folder of the base model."""
    path = PurePosixPath(value) if isinstance(value, str) else None
    is_inner = path is not None and not path.is_absolute() and ".." not in path.parts and "\\" not in value
    require(is_inner, name, value, "a path in the folder of the base model, without ..")


class DistilledSettings(Rule):
    """Sizes of a distilled sampler, and the guidance scale that it was fitted with."""

    def __call__(self, name: str, value: Any, model: Any = None) -> dict[str, Any]:
        keys = ("hidden_size", "num_components", "guidance_scale")
        is_complete = isinstance(value, Mapping) and value.keys() == set(keys)
        require(is_complete, name, value, f"a mapping with the keys {', '.join(keys)}")
        for key in keys[:2]:
            UNITS(f"{name}[{key!r}]", value[key])
        if value["guidance_scale"] is not None:
            GUIDANCE(f"{name}['guidance_scale']", value["guidance_scale"])
        return value


class GeneratorSettings(Rule):
    """Sizes of the generator of an adversarial prior."""

    def __call__(self, name: str, value: Any, model: Any = None) -> dict[str, Any]:
        is_complete = isinstance(value, Mapping) and value.keys() == {"hidden_size"}
        require(is_complete, name, value, "a mapping with the key hidden_size")
        UNITS(f"{name}['hidden_size']", value["hidden_size"])
        return value


class StringList(Rule):
    """A list of strings."""

    def __call__(self, name: str, value: Any, model: Any = None) -> list[str]:
        is_list = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
        require(is_list, name, value, "a list of strings")
        return value


class String(Rule):
    """A string, or a path."""

    def __call__(self, name: str, value: Any, model: Any = None) -> str | os.PathLike:
        require(isinstance(value, (str, os.PathLike)), name, value, "a string")
        return value


class Coordinates(Rule):
    """A list of finite numbers."""

    def __call__(self, name: str, value: Any, model: Any = None) -> list[float]:
        are_numbers = isinstance(value, list) and all(isinstance(plain_number(entry), Real) for entry in value)
        are_in_range = are_numbers and all(abs(entry) <= LARGEST_COORDINATE for entry in value)
        require(are_in_range, name, value, f"finite numbers of a magnitude of at most {LARGEST_COORDINATE:g}")
        return value


VOCABULARY = Count(at_most=MOST_TYPES)
UNITS, LAYERS = Count(at_most=MOST_UNITS), Count(at_most=MOST_LAYERS)
SHARE = Number(at_least=0, below=1)
WEIGHT = Number(at_least=0, at_most=LARGEST_WEIGHT)
SCALE = Number(above=0, at_most=LARGEST_WEIGHT)
OWN_RULES: dict[str, Rule] = {
    "vocab_size": VOCABULARY,
    "embedding_size": UNITS,
    "encoder_hidden_size": UNITS,
    "decoder_hidden_size": UNITS,
    "latent_size": UNITS,
    "dropout": SHARE,
    "word_dropout": SHARE,
    "uniform_init_range": Number(above=0, at_most=1),
    "encoder_config": BaseConfig(),
    "encoder_layout": Layout(),
    "encoder_trainable_layers": Count(at_least=0, at_most=MOST_LAYERS),
    "encoder_lora_rank": Count(at_least=0, at_most=MOST_UNITS),
    "decoder_prefix_length": LAYERS,
    "decoder_lora_rank": Count(at_least=0, at_most=MOST_UNITS),
    "decoder_config": BaseConfig(),
    "decoder_trainable_layers": Count(at_least=0, at_most=MOST_LAYERS),
    "decoder_word_dropout": SHARE,
    "context_size": Count(at_least=0, at_most=MOST_UNITS),
    "context_hidden_size": UNITS,
    "context_turns": LAYERS,
    "document_hidden_size": UNITS,
    "document_encoder_layers": LAYERS,
    "document_decoder_layers": LAYERS,
    "document_dropout": SHARE,
    "document_batch_norm_momentum": Number(above=0, at_most=1),
    "point_size": UNITS,
    "point_center": Coordinates(),
    "point_scale": Number(at_least=1e-12, at_most=LARGEST_COORDINATE),
    "point_hidden_size": UNITS,
    "point_encoder_layers": LAYERS,
    "point_decoder_layers": LAYERS,
    "point_std": Number(at_least=1e-6, at_most=LARGEST_WEIGHT),
    "point_noise": WEIGHT,
    "num_code_variables": LAYERS,
    "num_code_categories": UNITS,
    "gumbel_temperature": Number(at_least=1e-6, at_most=LARGEST_WEIGHT),
    "dispersion_weight": Number(at_least=0, at_most=1),
    "energy_hidden_size": UNITS,
    "energy_num_blocks": Count(at_least=0, at_most=MOST_LAYERS),
    "symbol_groups": SymbolNumbers(),
    "num_levels": Count(at_most=MOST_LAYERS),
    "langevin_steps": Count(at_most=MOST_STEPS),
    "langevin_step_size": SCALE,
    "langevin_step_decay": Number(above=0, at_most=1),
    "label_guidance": GUIDANCE,
    "distilled_sampler": DistilledSettings(),
    "latent_generator": GeneratorSettings(),
    "kl_weight": WEIGHT,
    "mutual_information_weight": WEIGHT,
    "classification_weight": WEIGHT,
    "entropy_threshold": Number(at_least=-LARGEST_WEIGHT, at_most=LARGEST_WEIGHT),
}
"""Rules of the settings that [`LDEBMConfig`] declares. What is a choice among words has it in its type."""
INHERITED_RULES: dict[str, Rule] = {
    "id2label": NamesById(),
    "label2id": IdsByName(),
    "num_labels": UNITS,
    "num_symbols": UNITS,
    "dtype": Dtype(),
    "torch_dtype": Dtype(),
    "architectures": StringList(),
    "return_dict": Flag(),
    "output_hidden_states": Flag(),
    "output_attentions": Flag(),
    "tie_word_embeddings": Flag(),
    "chunk_size_feed_forward": Count(at_least=0),
    "problem_type": String(),
    "name_or_path": String(),
    "transformers_version": String(),
}
"""Rules of settings that every configuration of transformers has, where it does not look at their values."""


def require_json(name: str, value: Any) -> None:
    """Raise ValueError for a value that `config.json` cannot hold, such as an object or half a character."""
    if isinstance(value, (torch.dtype, os.PathLike)):
        return
    try:
        text = json.dumps(value, ensure_ascii=False, default=lambda other: other.to_dict())
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{name} must be a value that JSON can hold, got {shown(value)}") from error
    if SURROGATE.search(text):
        raise ValueError(f"{name} must be valid Unicode, got {shown(value)}")
