"""Rejection sampling of texts: texts are resampled until the model itself reads the requested symbol in them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig
from transformers.utils import logging

from .arguments import CONTEXT, DECODING, SAMPLING, checked
from .sampling import expand_to_samples, one_warning_of_chains
from .validation import Number

logger = logging.get_logger(__name__)

MAX_ATTEMPTS = 20
"""Maximum number of times that each text is sampled."""
ONE_TEXT_PER_ROW = {"num_return_sequences": 1, "return_dict_in_generate": False, "streamer": None}
"""Values of options with which `generate` returns the token ids of exactly one text for each row."""


@dataclass(frozen=True)
class AcceptedTexts:
    """
    Args:
        token_ids (`torch.LongTensor` of shape `(n, length)`): The texts, padded on the right.
        probabilities (`torch.FloatTensor` of shape `(n, num_symbols)`): p(y|x) as the model reads each text.
    """

    token_ids: torch.Tensor
    probabilities: torch.Tensor


@checked(min_label_probability=Number(at_least=0, at_most=1), **SAMPLING, **CONTEXT, **DECODING)
@one_warning_of_chains()
def generate_accepted(
    model,
    min_label_probability: float,
    class_labels: Any = None,
    *,
    num_samples: int | None = None,
    decoder_input_ids: torch.Tensor | None = None,
    context_input_ids: torch.Tensor | None = None,
    context_attention_mask: torch.Tensor | None = None,
    generation_config: GenerationConfig | None = None,
    **generation_kwargs: Any,
) -> AcceptedTexts:
    """
    Sample texts in which the model itself reads the requested symbol with at least a given probability.

    Accepted texts follow the model's p(x|y) restricted to texts that are read as y. The decoder may lose part of what
    the latent encodes, such as a negation, and encoding the generated text reveals this.

    If no version of a text is accepted in [`MAX_ATTEMPTS`] attempts, the most probable one is returned, and a warning
    gives the number of such texts.

    Args:
        model ([`LDEBMModel`]): A model of texts with symbols.
        min_label_probability (`float`): The least p(y|x) of the requested symbol, between 0 and 1.
        class_labels, num_samples, decoder_input_ids, context_input_ids, context_attention_mask, generation_config,
            generation_kwargs: As in [`~LDEBMModel.generate`].

    Raises:
        ValueError: If `min_label_probability` is not a probability; without `class_labels`; for a model that is not of
            texts; for options that return anything but one text per row; and as in [`~LDEBMModel.generate`].
    """
    if class_labels is None:
        raise ValueError("min_label_probability needs class_labels, the symbols to read in the texts")
    if not model.modality.is_autoregressive:
        raise ValueError(f"min_label_probability is for models of text, got one of {model.config.modality}s")
    require_one_text_per_row("min_label_probability", generation_config, generation_kwargs)
    given = {
        "class_labels": model.symbol_ids(class_labels),
        "context_input_ids": context_input_ids,
        "context_attention_mask": context_attention_mask,
        "decoder_input_ids": decoder_input_ids,
    }
    _, rows = expand_to_samples(num_samples, **given)
    num_rows, device = len(rows["class_labels"]), rows["class_labels"].device
    end_token_ids = torch.tensor(model.config.eos_token_ids, dtype=torch.long, device=device)
    texts: list[torch.Tensor] = [torch.empty(0)] * num_rows
    probabilities: list[torch.Tensor] = [torch.empty(0)] * num_rows
    best = torch.full((num_rows,), -1.0, device=device)
    rejected = torch.arange(num_rows, device=device)
    for _ in range(MAX_ATTEMPTS):
        batch = {name: values.to(device)[rejected] for name, values in rows.items()}
        token_ids = model.generate(**batch, generation_config=generation_config, **generation_kwargs)
        symbols, lengths = batch.pop("class_labels"), lengths_to_first_end(token_ids, end_token_ids)
        batch.pop("decoder_input_ids", None)
        read = model.infer_symbols(token_ids, lengths=lengths, **batch)
        requested = read.gather(1, symbols[:, None]).squeeze(1).tolist()
        for number, row in enumerate(rejected.tolist()):
            if requested[number] > best[row]:
                best[row] = requested[number]
                texts[row], probabilities[row] = token_ids[number, : lengths[number]], read[number]
        rejected = rejected[best[rejected] < min_label_probability]
        if len(rejected) == 0:
            break
    else:
        logger.warning(
            f"{len(rejected)} of {num_rows} texts do not reach min_label_probability={min_label_probability} in "
            f"{MAX_ATTEMPTS} attempts; their best versions are returned"
        )
    padded = pad_sequence(texts, batch_first=True, padding_value=model.config.pad_token_id)
    return AcceptedTexts(padded, torch.stack(probabilities))


def require_one_text_per_row(caller: str, generation_config: GenerationConfig | None, generation_kwargs: dict) -> None:
    """Raise ValueError, which names `caller`, for options of `generate` that return anything but one text per row."""
    for name, expected in ONE_TEXT_PER_ROW.items():
        value = generation_kwargs.get(name)
        value = getattr(generation_config, name, None) if value is None else value
        if value is not None and value != expected:
            raise ValueError(f"{caller} writes one text for each row, got {name}={value}")


def lengths_to_first_end(token_ids: torch.Tensor, end_token_ids: torch.Tensor) -> list[int]:
    """
    Number of tokens of each row up to and including the first end mark, or of all tokens if there is none. A padding
    token before the end mark counts like any other, because the model generated it.

    Args:
        token_ids (`torch.LongTensor` of shape `(n, length)`): Generated token ids.
        end_token_ids (`torch.LongTensor` of shape `(num_end_marks,)`): The end marks.
    """
    has_ended = torch.isin(token_ids, end_token_ids).cumsum(1) > 0
    return ((~has_ended).sum(1) + has_ended.any(1)).tolist()
