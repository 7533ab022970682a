"""Rejection sampling of texts: candidates are drawn until the model itself reads the requested symbol in enough."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig
from transformers.utils import logging

from .arguments import CONTEXT, DECODING, SAMPLING, checked
from .outputs import AcceptedTextsOutput
from .sampling import expand_to_samples, one_warning_of_chains
from .validation import Number

logger = logging.get_logger(__name__)

MAX_ATTEMPTS = 20
"""Maximum number of candidates for each text, on average over the texts of the same request."""
FIRST_RATE = 0.8
"""The fraction of accepted candidates that is expected before any was drawn."""
FIRST_SURPLUS = 16
"""The first block has at most so many candidates more than texts: another block costs about as much as they do."""
SMALL_BLOCK = 64
"""A block may have so many candidates even if fewer texts are asked for."""
WEIGHT_OF_ALL = 4
"""A request's rate is estimated as if so many more of its candidates had been accepted at the rate of all requests."""
SPARE_DEVIATIONS = 1.3
"""A block is to suffice up to so many standard deviations of the number of candidates that are needed (about 90 %)."""
ONE_TEXT_PER_ROW = {"num_return_sequences": 1, "return_dict_in_generate": False, "streamer": None}
"""Values of options with which `generate` returns the token ids of exactly one text for each row."""


@dataclass(frozen=True)
class AcceptedTexts:
    """
    Args:
        token_ids (`torch.LongTensor` of shape `(n, length)`): The texts, padded on the right.
        probabilities (`torch.FloatTensor` of shape `(n, num_symbols)`): p(y|x) as the model reads each text.
        is_accepted (`torch.BoolTensor` of shape `(n,)`): Whether the requested symbol is read with enough probability.
        num_candidates (`torch.LongTensor` of shape `(n,)`): The number of candidates that were examined for each text,
            the text itself among them. The candidates after the last accepted text of a request are shared out among
            its texts that are not accepted.
        num_drawn (`int`): The number of all candidates, those among them that came after the last text was accepted.
    """

    token_ids: torch.Tensor
    probabilities: torch.Tensor
    is_accepted: torch.Tensor
    num_candidates: torch.Tensor
    num_drawn: int

    @property
    def acceptance_rate(self) -> float:
        """The fraction of the examined candidates that were accepted."""
        return int(self.is_accepted.sum()) / int(self.num_candidates.sum())

    def to_output(self) -> AcceptedTextsOutput:
        """The same as `generate` returns it."""
        return AcceptedTextsOutput(
            sequences=self.token_ids,
            symbol_probabilities=self.probabilities,
            is_accepted=self.is_accepted,
            num_candidates=self.num_candidates,
            num_drawn=self.num_drawn,
            acceptance_rate=self.acceptance_rate,
        )


class Candidate(Protocol):
    """A text that the model has read, and the probability of the requested symbol in it."""

    @property
    def probability(self) -> float: ...


@dataclass(frozen=True)
class CandidateTokens:
    """
    Args:
        token_ids (`torch.LongTensor` of shape `(length,)`): The text up to its end mark.
        probabilities (`torch.FloatTensor` of shape `(num_symbols,)`): p(y|x) as the model reads it.
        probability (`float`): That of the requested symbol.
    """

    token_ids: torch.Tensor
    probabilities: torch.Tensor
    probability: float


class RequestedTexts:
    """
    Texts for the same symbol, beginning and context, whose candidates are drawn together.

    Candidates are independent and alike, and are examined in the order in which they were drawn until there are enough
    accepted ones. How many are drawn at a time thus changes nothing about the distribution of the accepted ones.

    Args:
        rows (`Sequence[int]`): The rows that the texts are for.
        min_label_probability (`float`): The probability with which a candidate is accepted.
    """

    def __init__(self, rows: Sequence[int], min_label_probability: float):
        self.rows, self.min_label_probability = rows, min_label_probability
        self.accepted: list[Candidate] = []
        self.best_rejected: list[Candidate] = []
        self.num_candidates: list[int] = []
        self.num_examined = 0
        self.num_up_to_the_last = 0

    @property
    def num_missing(self) -> int:
        """The number of texts for which no candidate was accepted yet."""
        return len(self.rows) - len(self.accepted)

    @property
    def num_left(self) -> int:
        """The number of candidates that may still be drawn; 0 if no text is missing."""
        return MAX_ATTEMPTS * len(self.rows) - self.num_examined if self.num_missing else 0

    def num_wanted(self, rate_of_all: float) -> int:
        """The number of candidates among which there probably are enough accepted ones."""
        rate = (len(self.accepted) + WEIGHT_OF_ALL * rate_of_all) / (self.num_examined + WEIGHT_OF_ALL)
        needed = self.num_missing + SPARE_DEVIATIONS * math.sqrt(self.num_missing * (1 - rate))
        return min(math.ceil(needed / rate), self.num_left)

    def examine(self, candidate: Candidate) -> None:
        """Take the next candidate for a text if it is accepted. Without effect if no text is missing any more."""
        if self.num_missing == 0:
            return
        self.num_examined += 1
        if candidate.probability >= self.min_label_probability:
            self.accepted.append(candidate)
            self.num_candidates.append(self.num_examined - self.num_up_to_the_last)
            self.num_up_to_the_last = self.num_examined
        else:
            self.best_rejected.append(candidate)
            self.best_rejected.sort(key=lambda one: -one.probability)  # stable: of equally good ones the first is kept
            del self.best_rejected[self.num_missing :]

    def texts(self) -> list[tuple[int, Candidate, bool, int]]:
        """Row, text, whether it is accepted, and number of its candidates, for every row."""
        num_accepted, num_after_the_last = len(self.accepted), self.num_examined - self.num_up_to_the_last
        chosen = []
        for number, row in enumerate(self.rows):
            if number < num_accepted:
                chosen.append((row, self.accepted[number], True, self.num_candidates[number]))
            else:
                place = number - num_accepted
                share = (num_after_the_last + place) // self.num_missing
                chosen.append((row, self.best_rejected[place], False, share))
        return chosen


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

    Accepted texts follow the model's p(x|y) restricted to texts that are read as y: they are independent, and which of
    the candidates are accepted depends on the candidates alone. The decoder may lose part of what the latent encodes,
    such as a negation, and encoding the generated text reveals this.

    Candidates for the same request are drawn in blocks, whose size follows the fraction that was accepted so far, so
    that few blocks are needed: sampling and decoding cost much less for each text in large blocks. A block has no more
    candidates than texts are asked for, or at most [`SMALL_BLOCK`]. Nothing about a text can be told before it is
    decoded and read, so that every candidate is.

    For each text of a request there are [`MAX_ATTEMPTS`] candidates on average. If too few of them are accepted, the
    most probable ones of the others are returned too, and a warning gives the number of such texts.

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
    num_rows, rows = expand_to_samples(num_samples, **given)
    device = rows["class_labels"].device
    end_token_ids = torch.tensor(model.config.eos_token_ids, dtype=torch.long, device=device)
    requests = _requests(rows, min_label_probability)
    num_drawn = 0
    while any(request.num_left for request in requests):
        block = _next_block(requests, num_rows, min_label_probability)
        num_drawn += len(block)
        first_rows = torch.tensor([request.rows[0] for request in block], device=device)
        batch = {name: values.to(device)[first_rows] for name, values in rows.items()}
        token_ids = model.generate(**batch, generation_config=generation_config, **generation_kwargs)
        symbols, lengths = batch.pop("class_labels"), lengths_to_first_end(token_ids, end_token_ids)
        batch.pop("decoder_input_ids", None)
        read = model.infer_symbols(token_ids, lengths=lengths, **batch)
        requested = read.gather(1, symbols[:, None]).squeeze(1).tolist()
        for number, request in enumerate(block):
            request.examine(CandidateTokens(token_ids[number, : lengths[number]], read[number], requested[number]))
    num_missing = sum(request.num_missing for request in requests)
    if num_missing > 0:
        logger.warning(
            f"{num_missing} of {num_rows} texts do not reach min_label_probability={min_label_probability} with "
            f"{MAX_ATTEMPTS} candidates for each text; the best of the other candidates are returned"
        )
    texts = sorted((text for request in requests for text in request.texts()), key=lambda text: text[0])
    _, chosen, is_accepted, num_candidates = zip(*texts, strict=True)
    return AcceptedTexts(
        pad_sequence([one.token_ids for one in chosen], batch_first=True, padding_value=model.config.pad_token_id),
        torch.stack([one.probabilities for one in chosen]),
        torch.tensor(is_accepted, device=device),
        torch.tensor(num_candidates, device=device),
        num_drawn,
    )


def _requests(rows: dict[str, torch.Tensor], min_label_probability: float) -> list[RequestedTexts]:
    """The rows, of which each argument has a value, by what they ask for."""
    alike: dict[str, list[int]] = {}
    for row, values in enumerate(zip(*(argument.tolist() for argument in rows.values()), strict=True)):
        alike.setdefault(repr(values), []).append(row)
    return [RequestedTexts(same, min_label_probability) for same in alike.values()]


def _next_block(requests: list[RequestedTexts], num_rows: int, min_label_probability: float) -> list[RequestedTexts]:
    """
    The request of each candidate that is to be drawn next: first one for each row without a text, in the order of the
    rows, then more.
    """
    num_examined = sum(request.num_examined for request in requests)
    num_accepted = sum(len(request.accepted) for request in requests)
    if min_label_probability == 0:
        rate = 1.0
    else:
        rate = (num_accepted + FIRST_RATE) / (num_examined + 1)
    most = max(num_rows, SMALL_BLOCK)
    if num_examined == 0:
        most = min(most, num_rows + FIRST_SURPLUS)
    wanted = [request.num_wanted(rate) for request in requests]
    sizes = [min(request.num_missing, request.num_left) for request in requests]
    num_free = most - sum(sizes)
    while num_free > 0 and sizes != wanted:
        for number, size in enumerate(sizes):
            if num_free > 0 and size < wanted[number]:
                sizes[number] += 1
                num_free -= 1
    block: list[tuple[int, RequestedTexts]] = []
    for request, size in zip(requests, sizes, strict=True):
        missing_rows = request.rows[len(request.accepted) :][:size]
        block += [(row, request) for row in missing_rows]
        block += [(num_rows, request)] * (size - len(missing_rows))
    return [request for _, request in sorted(block, key=lambda candidate: candidate[0])]


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
