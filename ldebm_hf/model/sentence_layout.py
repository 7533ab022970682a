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

POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weighted_mean",
    "pooling_mode_lasttoken": "last",
}
"""Names of the poolings, by their entries in a pooling's `config.json`."""
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
        ValueError: If the model has a step that is not known here.
    """

    def read(file: str) -> Any:
        path = cached_file(name_or_path, file, revision=revision, _raise_exceptions_for_missing_entries=False)
        if path is None:
            return None
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)

    layout = dict(NO_LAYOUT)
    modules = read("modules.json")
    if modules is None:
        return layout
    for module in modules:
        kind, folder = module["type"].rpartition(".")[2], module["path"].strip("/")
        prefix = f"{folder}/" if folder else ""
        if kind == "Transformer":
            layout["subfolder"] = folder
            settings = read(f"{prefix}sentence_bert_config.json") or {}
            layout["max_length"] = settings.get("max_seq_length")
            layout["lowercase"] = bool(settings.get("do_lower_case"))
        elif kind == "Pooling":
            layout["pooling"] = _poolings(read(f"{prefix}config.json"))
        elif kind == "Dense":
            dense = read(f"{prefix}config.json")
            layout["dense"] = [*layout["dense"], {**dense, "path": prefix}]
        elif kind == "Normalize":
            layout["normalize"] = True
        elif kind != "Dropout":
            raise ValueError(
                f"encoder_name_or_path={name_or_path!r} has a step {kind} in modules.json; known are Transformer, "
                "Pooling, Dense and Normalize"
            )
    settings = read("config_sentence_transformers.json") or {}
    layout["prompt"] = (settings.get("prompts") or {}).get(settings.get("default_prompt_name")) or ""
    return layout


def _poolings(settings: dict[str, Any]) -> list[str]:
    if isinstance(settings.get("pooling_mode"), str):
        names = {name.removeprefix("pooling_mode_"): pooling for name, pooling in POOLINGS.items()}
        names |= {pooling: pooling for pooling in POOLINGS.values()} | {"lasttoken": "last"}
        return [names[settings["pooling_mode"]]]
    return [pooling for name, pooling in POOLINGS.items() if settings.get(name)]


def pool(states: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """
    One vector for each text, `(batch_size, hidden_size)`.

    Args:
        states (`torch.Tensor` of shape `(batch_size, sequence_length, hidden_size)`): Last hidden states.
        mask (`torch.Tensor` of shape `(batch_size, sequence_length)`): 0 at padding, on either side.
        pooling (`str`): `"mean"`, `"mean_sqrt_len"` (the sum divided by the square root of the length),
            `"weighted_mean"` (weights that grow linearly with the position), `"max"`, `"cls"` (the first token) or
            `"last"` (the last one).
    """
    mask = mask.to(states.dtype)
    if pooling in ("cls", "last"):
        positions = torch.arange(1, mask.shape[1] + 1, device=mask.device)
        if pooling == "last":
            place = (mask * positions).argmax(1)
        else:
            place = (mask > 0).int().argmax(1)
        return states[torch.arange(len(states), device=states.device), place]
    if pooling == "max":
        return states.masked_fill(mask[..., None] == 0, torch.finfo(states.dtype).min).amax(1)
    weights = mask * mask.cumsum(1) if pooling == "weighted_mean" else mask
    total = weights.sum(1, keepdim=True).clamp(min=1)
    if pooling == "mean_sqrt_len":
        total = total.sqrt()
    return (states * (weights / total)[..., None]).sum(1)


class SentencePooling(nn.Module):
    """
    The steps after the transformer.

    Args:
        layout (`dict`): From [`read_layout`].
        hidden_size (`int`): Size of the transformer's hidden states.

    Attributes:
        num_features (`int`): Size of the vectors.
    """

    def __init__(self, layout: dict[str, Any], hidden_size: int):
        super().__init__()
        self.poolings, self.normalize = layout["pooling"], layout["normalize"]
        self.num_features = len(self.poolings) * hidden_size
        self.dense, self.activations = nn.ModuleList(), []
        for dense in layout["dense"]:
            self.dense.append(nn.Linear(dense["in_features"], dense["out_features"], bias=dense.get("bias", True)))
            self.activations.append(_activation(dense.get("activation_function")))
            self.num_features = dense["out_features"]

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The vectors of texts, `(batch_size, num_features)`; arguments as in [`pool`]."""
        vectors = torch.cat([pool(states, mask, pooling) for pooling in self.poolings], -1)
        for layer, activation in zip(self.dense, self.activations, strict=True):
            vectors = activation(layer(vectors))
        return F.normalize(vectors, dim=-1) if self.normalize else vectors

    @torch.no_grad()
    def load(self, layout: dict[str, Any], name_or_path: str, revision: str | None) -> None:
        """Load the weights of the dense layers from the files of the base model."""
        for layer, dense in zip(self.dense, layout["dense"], strict=True):
            weights = load_file(cached_file(name_or_path, f"{dense['path']}model.safetensors", revision=revision))
            layer.load_state_dict({name.removeprefix("linear."): tensor for name, tensor in weights.items()})


def _activation(name: str | None) -> nn.Module:
    """The activation of a dense layer, which its file names as a class of torch."""
    kind = (name or "torch.nn.modules.linear.Identity").rpartition(".")[2]
    known = {"Identity": nn.Identity, "Tanh": nn.Tanh, "ReLU": nn.ReLU, "GELU": nn.GELU, "Sigmoid": nn.Sigmoid}
    if kind not in known:
        raise ValueError(f"activation_function of a dense layer must be one of {', '.join(known)}, got {name!r}")
    return known[kind]()
