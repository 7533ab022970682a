"""Model settings that follow from the data: token ids, the units of points, the form of contexts."""

from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..data import known_source
from ..text.tokenization import SPECIAL_TOKENS
from .data_settings import DataSettings

FROM_DATA = {
    "vocab_size", "pad_token_id", "unk_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id",
    "context_turns", "speaker_markers", "encoder_config", "encoder_layout", "encoder_digest",
    "decoder_config", "decoder_digest", "includes_base_models", "distilled_sampler",
    "latent_generator",
}  # fmt: skip
"""What a recipe cannot set, because it follows from the data, a base model or a fit to the trained model."""
UNKNOWN_WORD = SPECIAL_TOKENS[1]
PUBLISHED_POINT_STD = 8.5


def settings_of_contexts(data: DataSettings) -> dict[str, Any]:
    """How a model has to make contexts so that they are as those of its training; none without contexts."""
    if not data.context_turns:
        return {}
    markers = data.speaker_markers
    if markers is None:
        kind = known_source(data.source)
        markers = "none" if kind is None else kind.published_markers
    return {"context_turns": data.context_turns, "speaker_markers": markers}


def tokens_of(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """What a model has to know of its tokenizer."""
    unknown = tokenizer.convert_tokens_to_ids(UNKNOWN_WORD)  # a word like any other, without a role
    return {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "unk_token_id": tokenizer.pad_token_id if unknown is None else unknown,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.bos_token_id,
    }


def units_of(points: np.ndarray) -> dict[str, Any]:
    """Size and units of points; see `Settings.model_config`."""
    points = np.asarray(points, dtype=np.float64)
    deviation = float(np.sqrt(points.var(axis=0).mean()))
    if not deviation > 0:
        raise ValueError("the training points must not all be the same")
    return {
        "point_size": points.shape[1],
        "point_center": points.mean(axis=0).tolist(),
        "point_scale": deviation / PUBLISHED_POINT_STD,
    }
