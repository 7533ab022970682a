"""How a pretrained encoder makes one vector of a text, as the files of a sentence-transformers model say it.

`modules.json` lists the steps: the transformer, a pooling, perhaps dense layers and a normalisation. A model without
these files is pooled by the mean over its tokens.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F
from transformers.utils import cached_file

from .base_model_files import missing_explained, not_found
from .noise import at_least_float32
from .validation import require

POOLINGS = {
    "cls": "cls",
    "cls_token": "cls",
    "max": "max",
    "max_tokens": "max",
    "mean": "mean",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "weightedmean_tokens": "weighted_mean",
    "lasttoken": "last",
}
"""Names of the poolings, by those of sentence-transformers: as values of `pooling_mode` and, in older files, after
`pooling_mode_` as entries of their own, in the order in which the results are joined."""
TRANSFORMER_SETTINGS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""Files with settings of the transformer, of which a model has at most one."""
ACTIVATIONS = {
    f"torch.nn.modules.{place}": activation
    for place, activation in {
        "linear.Identity": nn.Identity,
        "activation.Tanh": nn.Tanh,
        "activation.ReLU": nn.ReLU,
        "activation.GELU": nn.GELU,
        "activation.SiLU": nn.SiLU,
        "activation.Sigmoid": nn.Sigmoid,
    }.items()
}
"""Activations of dense layers by the names in their files."""
NO_LAYOUT = {"subfolder": "", "pooling": ["mean"], "dense": [], "normalize": False, "max_length": None,
             "lowercase": False, "prompt": ""}  # fmt: skip
"""How texts become vectors where no file says it. `pooling` may have several entries, whose results are joined."""


def read_layout(name_or_path: str, revision: str | None = None) -> dict[str, Any]:
    """
    How a sentence-transformers model makes one vector of a text.

    Args:
        name_or_path (`str`): An id of the Hub or a folder.
        revision (`str`, *optional*): Branch, tag or commit on the Hub.

    Returns:
        `dict`: with the keys of [`NO_LAYOUT`].

    Raises:
        OSError: If there is no such model, or it cannot be downloaded.
        ValueError: If the model has a step, or a setting of a step, that is not known here.
    """

    def read(file: str) -> Any:
        with missing_explained(not_found("encoder_name_or_path", name_or_path)):
            path = cached_file(name_or_path, file, revision=revision, _raise_exceptions_for_missing_entries=False)
        if path is None:
            return None
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)

    def refuse(what: str, expected: str) -> None:
        raise ValueError(f"encoder_name_or_path={name_or_path!r} has {what}; {expected}")

    layout = dict(NO_LAYOUT)
    modules = read("modules.json")
    if modules is None:
        return layout
    settings = read("config_sentence_transformers.json") or {}
    layout["prompt"] = (settings.get("prompts") or {}).get(settings.get("default_prompt_name")) or ""
    for module in modules:
        package, kind = module["type"].partition(".")[0], module["type"].rpartition(".")[2]
        folder = module["path"].strip("/")
        prefix = f"{folder}/" if folder else ""
        if package != "sentence_transformers":
            refuse(f"the step {module['type']} in modules.json", "steps must be those of sentence_transformers")
        if layout["normalize"]:
            refuse(f"the step {kind} after Normalize in modules.json", "Normalize must be the last step")
        if kind == "Transformer":
            layout["subfolder"] = folder
            settings = next(filter(None, (read(prefix + file) for file in TRANSFORMER_SETTINGS)), {})
            layout["max_length"] = settings.get("max_seq_length")
            layout["lowercase"] = bool(settings.get("do_lower_case"))
        elif kind == "Pooling":
            settings = read(f"{prefix}config.json") or {}
            layout["pooling"] = _poolings(settings)
            if layout["prompt"] and not settings.get("include_prompt", True):
                refuse("a prompt and include_prompt=false in its pooling", "the prompt must be pooled too")
        elif kind == "Dense":
            layout["dense"] = [*layout["dense"], _dense(read(f"{prefix}config.json") or {}, prefix)]
        elif kind == "Normalize":
            layout["normalize"] = True
        elif kind != "Dropout":
            refuse(f"a step {kind} in modules.json", "known are Transformer, Pooling, Dense and Normalize")
    return layout


def _poolings(settings: dict[str, Any]) -> list[str]:
    modes = settings.get("pooling_mode")
    if modes is None:
        modes = [name for name in POOLINGS if settings.get(f"pooling_mode_{name}")] or ["mean"]
    elif isinstance(modes, str):
        modes = [modes]
    for mode in modes:
        if mode not in POOLINGS:
            raise ValueError(f"pooling_mode of the base model must be one of {', '.join(POOLINGS)}, got {mode!r}")
    return [POOLINGS[mode] for mode in modes]


def _dense(settings: dict[str, Any], folder: str) -> dict[str, Any]:
    """What is needed of a dense layer's settings, with the folder that its weights are in."""
    for name, expected in (("module_input_name", "sentence_embedding"), ("module_output_name", "sentence_embedding"),
                           ("use_residual", False)):  # fmt: skip
        value = settings.get(name) or expected
        if value != expected:
            raise ValueError(f"{name} of the base model's dense layer must be {expected!r}, got {value!r}")
    activation = settings.get("activation_function") or "torch.nn.modules.activation.Tanh"
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ValueError(f"activation_function of a dense layer must be one of {known}, got {activation!r}")
    kept = {name: settings[name] for name in ("in_features", "out_features")}
    return kept | {"bias": settings.get("bias", True), "activation_function": activation, "path": folder}


def weight_files(layout: dict[str, Any]) -> list[str]:
    """The files of weights of a layout beside those of the transformer, by their paths from the top."""
    return [f"{dense['path']}model.safetensors" for dense in layout["dense"]]


def pool(states: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """
    One vector for each text, `(batch_size, hidden_size)`, in the type of the states; sums are taken in float32.

    Args:
        states (`torch.Tensor` of shape `(batch_size, sequence_length, hidden_size)`): Last hidden states.
        mask (`torch.Tensor` of shape `(batch_size, sequence_length)`): 0 at padding, on either side. Each text has a
            token at least.
        pooling (`str`): `"mean"`, `"mean_sqrt_len"` (the sum divided by the square root of the length),
            `"weighted_mean"` (weights that grow linearly with the position), `"max"`, `"cls"` (the first token) or
            `"last"` (the last one).
    """
    is_token = mask > 0
    if pooling in ("cls", "last"):
        places = torch.arange(1, mask.shape[1] + 1, device=mask.device) * is_token
        place = places.argmax(1) if pooling == "last" else is_token.int().argmax(1)
        return states[torch.arange(len(states), device=states.device), place]
    if pooling == "max":
        return states.masked_fill(~is_token[..., None], -torch.inf).amax(1)
    precise = at_least_float32(states)
    weights = is_token.to(precise.dtype)
    if pooling == "weighted_mean":
        weights = weights * weights.cumsum(1)
    total = weights.sum(1, keepdim=True)
    if pooling == "mean_sqrt_len":
        total = total.sqrt()
    return (precise * (weights / total)[..., None]).sum(1).to(states.dtype)


class SentencePooling(nn.Module):
    """
    The steps after the transformer.

    Args:
        layout (`dict`): From [`read_layout`].
        hidden_size (`int`): Size of the transformer's hidden states.

    Attributes:
        num_features (`int`): Size of the vectors.

    Raises:
        ValueError: If a dense layer does not take the vectors that come before it.
    """

    def __init__(self, layout: dict[str, Any], hidden_size: int):
        super().__init__()
        self.poolings, self.normalize = layout["pooling"], layout["normalize"]
        self.num_features = len(self.poolings) * hidden_size
        self.dense, self.activations = nn.ModuleList(), nn.ModuleList()
        for number, dense in enumerate(layout["dense"]):
            setting = f"encoder_layout['dense'][{number}]['in_features']"
            require(dense["in_features"] == self.num_features, setting, dense["in_features"], str(self.num_features))
            self.dense.append(nn.Linear(dense["in_features"], dense["out_features"], bias=dense["bias"]))
            self.activations.append(ACTIVATIONS[dense["activation_function"]]())
            self.num_features = dense["out_features"]

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The vectors of texts, `(batch_size, num_features)`; arguments as in [`pool`]."""
        vectors = torch.cat([pool(states, mask, pooling) for pooling in self.poolings], -1)
        for layer, activation in zip(self.dense, self.activations, strict=True):
            vectors = activation(layer(vectors))
        return F.normalize(vectors, dim=-1) if self.normalize else vectors

    @torch.no_grad()
    def load(self, layout: dict[str, Any], name_or_path: str, revision: str | None, **hub: Any) -> None:
        """
        Load the weights of the dense layers from the files of the base model. Arguments as in [`BaseModelFiles`].

        Raises:
            OSError: If a dense layer has no file of weights in the format safetensors.
        """
        for layer, name in zip(self.dense, weight_files(layout), strict=True):
            weights = load_file(cached_file(name_or_path, name, revision=revision, **hub))
            layer.load_state_dict({name.removeprefix("linear."): tensor for name, tensor in weights.items()})
