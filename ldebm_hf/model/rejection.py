"""Texts that the model itself reads as asked: those it does not are written again."""

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers.utils import logging

logger = logging.get_logger(__name__)

MAX_ATTEMPTS = 20
"""A row is written at most so often."""


def written_as_read(
    model, min_label_probability: float, of_rows: dict[str, torch.Tensor], **generation_kwargs
) -> torch.Tensor:
    """
    One text per row, each with q(y|x) of at least `min_label_probability` by the model's own reading.

    Rejection sampling: what is accepted follows the model's p(x|y), restricted to texts that read so. The decoder
    loses some of what the latent says, a negation for instance; reading the text again finds it out.

    Args:
        model ([`LDEBMModel`]): One of texts, with symbols.
        min_label_probability (`float`): Between 0 and 1. A row that does not come up to it in [`MAX_ATTEMPTS`]
            attempts keeps its best one, and a warning says how many rows did.
        of_rows (`dict[str, torch.Tensor]`): For each row its symbol, `class_labels` `(n,)`, and what there is of a
            context, `context_input_ids` and `context_attention_mask`, and of its first tokens, `decoder_input_ids`.
        generation_kwargs: As in [`~LDEBMModel.generate`].

    Returns:
        `torch.LongTensor` of shape `(n, length)`.

    Raises:
        ValueError: If `min_label_probability` is not a probability.
    """
    if not 0 <= min_label_probability <= 1:
        raise ValueError(f"min_label_probability must be between 0 and 1, got {min_label_probability}")
    symbols = of_rows["class_labels"]
    ends = torch.tensor(model.config.eos_token_id, device=symbols.device)
    texts: list[torch.Tensor | None] = [None] * len(symbols)
    best = torch.full((len(symbols),), -1.0, device=symbols.device)
    rejected = torch.arange(len(symbols), device=symbols.device)
    for _ in range(MAX_ATTEMPTS):
        asked = {name: rows.to(rejected.device)[rejected] for name, rows in of_rows.items()}
        token_ids = model.generate(**asked, **generation_kwargs)
        wanted, lengths = asked.pop("class_labels"), _lengths(token_ids, ends)
        asked.pop("decoder_input_ids", None)
        read = model.infer_symbols(token_ids, lengths=lengths, **asked).gather(1, wanted[:, None]).squeeze(1)
        for row, text, length, probability in zip(rejected.tolist(), token_ids, lengths, read.tolist(), strict=True):
            if probability > best[row]:
                texts[row], best[row] = text[:length], probability
        rejected = rejected[best[rejected] < min_label_probability]
        if len(rejected) == 0:
            break
    else:
        bound = f"min_label_probability={min_label_probability}"
        logger.warning(f"{len(rejected)} of {len(symbols)} texts do not come up to {bound} in {MAX_ATTEMPTS} attempts")
    return pad_sequence(texts, batch_first=True, padding_value=model.config.pad_token_id)


def _lengths(token_ids: torch.Tensor, ends: torch.Tensor) -> list[int]:
    """Numbers of tokens up to the first end, all of them without one; a text may hold padding's token before."""
    has_ended = torch.isin(token_ids, ends).cumsum(1) > 0
    return ((~has_ended).sum(1) + has_ended.any(1)).tolist()
