"""Completion of texts: missing words are filled in by sampling latents given the observed words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase
from transformers.utils import ModelOutput, logging

from .arguments import (
    GUIDANCE,
    MOST_SAMPLES,
    MOST_STEPS,
    Mask,
    Seed,
    Texts,
    TokenIds,
    Tokenizer,
    TokenList,
    checked,
)
from .constrained_search import FREE, FittingTexts, Templates, read_templates, search_templates
from .latent_chains import LatentChains
from .masked_texts import Completion, pieces_of_words, read_masked_texts
from .recurrent import text_lengths
from .sampling import one_warning_of_chains
from .validation import Count, Flag

logger = logging.get_logger(__name__)

MAX_LOGITS = 2**25
"""The most next-word logits that are held in memory at a time when completions are scored."""


SEARCH = {
    "max_span_length": Count(at_most=MOST_STEPS),
    "guidance_scale": GUIDANCE,
    "num_return_sequences": Count(at_most=MOST_STEPS),
    "num_chains": Count(at_most=MOST_STEPS),
    "num_encoder_rounds": Count(at_least=0, at_most=MOST_STEPS),
    "num_rounds": Count(at_least=0, at_most=MOST_STEPS),
    "num_steps": Count(at_least=0, at_most=MOST_STEPS),
    "num_beams": Count(at_most=MOST_STEPS),
    "suppress_tokens": TokenList(),
    "allow_fewer": Flag(),
    "generator": Seed(),
}
"""How completions are searched for."""


@dataclass
class CompletionOutput(ModelOutput):
    """
    Different completions of each text, `num_return_sequences` per text, the most probable first.

    Args:
        sequences (`torch.LongTensor` of shape `(n, length)`): Token ids as [`generate`] returns them, with begin and
            end marks, padded on the right.
        is_filled (`torch.BoolTensor` of the same shape): Whether a token fills in a missing word.
        scores (`torch.FloatTensor` of shape `(n,)`): log p(completion | observed words), estimated by the chains among
            the likeliest completions that they found.
        log_likelihoods (`torch.FloatTensor` of shape `(n,)`): log p(x|z) at `latents`, in nats.
        latents (`torch.FloatTensor` of shape `(n, total_latent_size)`): The chain's latent under which the completion
            is likeliest.
        symbol_logits (`torch.FloatTensor` of shape `(n, num_symbols)`, *optional*): Logits of the symbols of the
            completed text as the model encodes it, if its prior has symbols.
    """

    sequences: torch.LongTensor | None = None
    is_filled: torch.BoolTensor | None = None
    scores: torch.FloatTensor | None = None
    log_likelihoods: torch.FloatTensor | None = None
    latents: torch.FloatTensor | None = None
    symbol_logits: torch.FloatTensor | None = None


@torch.no_grad()
@checked(
    input_ids=TokenIds(in_vocabulary=False),
    attention_mask=Mask(),
    mask_token_id=Count(at_least=0, at_most=2**31),
    span_token_id=Count(at_least=0, at_most=2**31),
    **SEARCH,
)
@one_warning_of_chains()
def complete(
    model,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    *,
    mask_token_id: int | None = None,
    span_token_id: int | None = None,
    max_span_length: int = 10,
    class_labels: int | str | Sequence[int | str] | torch.Tensor | None = None,
    guidance_scale: float | None = None,
    num_return_sequences: int = 1,
    num_chains: int = 8,
    num_encoder_rounds: int = 3,
    num_rounds: int = 2,
    num_steps: int = 10,
    num_beams: int = 10,
    suppress_tokens: Sequence[int] = (),
    allow_fewer: bool = False,
    generator: torch.Generator | int | None = None,
) -> CompletionOutput:
    """
    Fill in the missing words of texts. All observed words are kept, in their order.

    Chains of latents z start from the posterior q(z|x) of the text with its masks (from the prior if no word is
    observed or a symbol is requested), and sample p(z, missing words | observed words) in rounds. Each round first
    draws a filling from the likeliest texts that fit, which a beam search finds under p(x|z). It then draws z given
    the filled text: in the first rounds from the encoder's q(z|x), which is fast and makes large moves; in the later
    rounds by Langevin steps with Metropolis correction on log p(z) + log p(x|z) + γ log p(y|z) (for the diffusion
    prior see `ldebm_hf.model.latent_chains`). In the end, the probability of a completion is its share of p(x|z) among
    the `num_beams` completions that all chains together found likeliest, averaged over the chains.

    If fillings are likely under separate regions of latents, a chain stays in its region, and more chains help more
    than more rounds.

    A model without a latent (`prior="none"`) completes by the beam search alone.

    Args:
        input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Texts with masks, padded on the right.
            [`complete_texts`] takes strings instead.
        attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at padding; defaults to
            0 at `config.pad_token_id`.
        mask_token_id (`int`, *optional*): Token that stands for one missing word; defaults to `config.unk_token_id`.
            With another token, unknown words count as observed and stay unknown.
        span_token_id (`int`, *optional*): Token that stands for one to `max_span_length` missing words. It and
            `mask_token_id` may lie beyond the vocabulary.
        max_span_length (`int`, *optional*, defaults to 10): The most words that a span may stand for.
        class_labels (`int`, `str` or a sequence of them, *optional*): Symbol to complete each text for, by id or name
            as in [`symbol_ids`]; a single symbol is used for all texts.
        guidance_scale (`float`, *optional*): γ, as in [`sample_latents`].
        num_return_sequences (`int`, *optional*, defaults to 1): Number of different completions of each text, at most
            `num_beams`.
        num_chains (`int`, *optional*, defaults to 8): Number of chains for each text.
        num_encoder_rounds (`int`, *optional*, defaults to 3): Number of rounds that draw z from q(z|x).
        num_rounds (`int`, *optional*, defaults to 2): Number of rounds of Langevin steps after these.
        num_steps (`int`, *optional*, defaults to 10): Number of Langevin steps in each such round.
        num_beams (`int`, *optional*, defaults to 10): Number of texts that each search keeps.
        suppress_tokens (`Sequence[int]`, *optional*): Tokens that must not fill a gap, in addition to `<pad>`,
            `<unk>`, `<s>` and `</s>`.
        allow_fewer (`bool`, *optional*, defaults to `False`): If a text has fewer different completions than
            requested, return that number for each text instead of raising an error.
        generator (`torch.Generator` or `int`, *optional*): Source of all noise; an integer is a seed.

    Returns:
        [`CompletionOutput`]

    Raises:
        ValueError: For a model of documents or points, with contexts or in training mode; for a text without a mask;
            for an unknown symbol, or neither one symbol nor one per text; for a number below its minimum; if no word
            is left that may fill gaps; and, without `allow_fewer`, for fewer different completions than requested.
    """
    config = model.config
    _check_model(model)
    if num_return_sequences > num_beams:
        raise ValueError(f"num_return_sequences must be at most num_beams={num_beams}, got {num_return_sequences}")
    if guidance_scale is not None:
        _check_guidance(model, guidance_scale, class_labels)
    lengths = text_lengths(input_ids, attention_mask, config.pad_token_id)
    symbols = None if class_labels is None else _symbols_of_texts(model, class_labels, len(input_ids))
    if mask_token_id is None:
        mask_token_id = config.unk_token_id
    templates = read_templates(
        input_ids,
        lengths,
        mask_token_id,
        span_token_id,
        max_span_length,
        config.bos_token_id,
        config.eos_token_ids[0],
        config.vocab_size,
    )
    may_fill = _words_that_may_fill(config, suppress_tokens, model.device)
    if not config.has_latent:  # there are no latents to sample
        num_chains, num_encoder_rounds, num_rounds = 1, 0, 0
    if symbols is not None:
        symbols = symbols.repeat_interleave(num_chains)

    masks = [mask_token_id] if span_token_id is None else [mask_token_id, span_token_id]
    is_missing = torch.isin(input_ids, torch.tensor(masks, device=model.device))
    readable = TokenIds()("input_ids", input_ids.masked_fill(is_missing, config.unk_token_id), model)
    chains = _start_chains(model, readable, lengths, templates, num_chains, symbols, guidance_scale, generator)
    chain_templates = templates.repeat_interleave(num_chains)
    for number in range(num_encoder_rounds + num_rounds):
        drawn = _search(model, chain_templates, chains.latents, may_fill, num_beams).draw(generator)
        if number < num_encoder_rounds:
            chains.restart(model.posterior(*_as_inputs(config, drawn)))
        else:
            chains.move(lambda latents, drawn=drawn: _log_likelihood(model, drawn, latents), num_steps)
    found = _search(model, chain_templates, chains.latents, may_fill, num_beams)
    candidates, log_likelihoods = _score(model, len(templates), found, chains.latents, num_chains, num_beams)
    fewest = int(candidates.rows.bincount(minlength=len(templates)).min())
    if fewest < num_return_sequences and not allow_fewer:
        found_number = f"{fewest}, the number of fillings that were found"
        raise ValueError(f"num_return_sequences must be at most {found_number}, got {num_return_sequences}")
    best = candidates.order(min(num_return_sequences, fewest))
    return _output(model, templates, candidates.select(best), log_likelihoods[best], chains.latents, num_chains)


@checked(
    texts=Texts(or_one=False),
    tokenizer=Tokenizer(),
    batch_size=Count(at_most=MOST_SAMPLES),
    show_progress=Flag(),
    **SEARCH,
)
@one_warning_of_chains()
def complete_texts(
    model,
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    batch_size: int = 16,
    show_progress: bool = False,
    **options,
) -> list[list[Completion]]:
    """
    Complete strings in which `<mask>` (or `<unk>`) stands for one missing word and `<span>` (or T5's `<extra_id_0>`)
    for one or more. Observed words that the tokenizer does not know are kept as they are written.

    With a tokenizer of subwords `<mask>` is filled by a word that is one token, and `<span>` by one token or more. If
    a text has a `<span>`, or a mask without a space before it, pieces of words may fill its masks too.

    Args:
        texts (`Sequence[str]`): Texts with at least one mask each.
        tokenizer (`PreTrainedTokenizerBase`): The model's tokenizer.
        batch_size (`int`, *optional*, defaults to 16): Number of texts completed at a time. With another batch size
            the same seed gives other samples.
        show_progress (`bool`, *optional*, defaults to `False`): Show a progress bar.
        options: As in [`complete`].

    Returns:
        `list[list[Completion]]`: `num_return_sequences` completions of each text, the most probable first.

    Raises:
        ValueError: As in [`complete`], without texts, and for a text without a mask (which the error names).
    """
    masked = read_masked_texts(texts, tokenizer, model.config.vocab_size)
    if masked.unread.message:
        logger.warning(masked.unread.message)
    pieces = pieces_of_words(texts, tokenizer)
    if pieces:
        options["suppress_tokens"] = [*options.get("suppress_tokens", ()), *pieces]
    labels = options.pop("class_labels", None)
    if labels is not None:
        labels = _symbols_of_texts(model, labels, len(texts))
    completions = []
    with logging.tqdm(total=len(texts), desc="completing", unit="text", disable=not show_progress) as bar:
        for start in range(0, len(texts), batch_size):
            part = masked[start : start + batch_size]
            output = model.complete(
                **part.inputs(model.config.pad_token_id),
                class_labels=None if labels is None else labels[start : start + batch_size],
                **options,
            )
            completions += part.completions(output, tokenizer, model.config)
            bar.update(len(part))
    return completions


def _check_model(model) -> None:
    """Raise ValueError for a model that cannot complete texts."""
    if not model.modality.is_autoregressive:
        raise ValueError(f"complete fills in words and cannot be used with a model of {model.config.modality}s")
    if model.config.context_size:
        raise ValueError("complete reads no contexts and cannot be used with a model that has them: see respond")
    if not model.config.eos_token_ids:
        raise ValueError("complete needs a model with an end mark, got one with eos_token_id=None")
    if model.training:
        raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")


def _check_guidance(model, guidance_scale: float, class_labels) -> None:
    if class_labels is None:
        raise ValueError(f"guidance_scale needs class_labels, got {guidance_scale} without them")
    if "guidance_scale" not in model.prior.sampling_options:
        raise ValueError(f"prior={model.config.prior!r} takes no guidance_scale, got guidance_scale={guidance_scale}")


def _symbols_of_texts(model, class_labels, num_texts: int) -> torch.Tensor:
    """The id of the symbol of each text, `(num_texts,)`."""
    symbols = model.symbol_ids(class_labels)
    if len(symbols) not in (1, num_texts):
        raise ValueError(f"class_labels must name one symbol or {num_texts}, got {len(symbols)}")
    return symbols.expand(num_texts)


def _words_that_may_fill(config, suppress_tokens: Sequence[int], device: torch.device) -> torch.Tensor:
    """Which tokens may fill gaps, a mask `(vocab_size,)`."""
    special = [config.pad_token_id, config.unk_token_id, config.bos_token_id, config.decoder_start_token_id]
    never = [token for token in (*special, *config.eos_token_ids, *suppress_tokens) if token is not None]
    may_fill = torch.ones(config.vocab_size, dtype=torch.bool, device=device)
    may_fill[never] = False
    if not may_fill.any():
        raise ValueError("suppress_tokens must leave a word that may fill gaps, got the whole vocabulary")
    return may_fill


def _start_chains(
    model, input_ids, lengths, templates: Templates, num_chains: int, symbols, guidance_scale, generator
) -> LatentChains:
    """
    Chains that start at draws of q(z|x) of each text. Where no word is observed they start at draws of the prior
    instead, and where a symbol is requested at draws of the prior for that symbol, because a chain that starts at the
    latents of a text with another symbol takes long to get there.
    """
    repeated = input_ids.repeat_interleave(num_chains, 0)
    posterior = model.posterior(repeated, lengths=[length for length in lengths for _ in range(num_chains)])
    steering = {"class_labels": symbols, "guidance_scale": guidance_scale}
    chains = LatentChains(model.prior, model.config, posterior, **steering, generator=generator)
    from_prior = templates.repeat_interleave(num_chains).num_observed == 0
    if symbols is not None and not model.prior.decodes_codes:  # else the chains have the codes of the symbols already
        from_prior = torch.ones_like(from_prior)
    if from_prior.any() and model.config.has_latent:
        if symbols is None:
            steering = {}
        else:
            steering = {"class_labels": symbols[from_prior], "guidance_scale": guidance_scale}
        chains.latents[from_prior] = model.sample_latents(int(from_prior.sum()), **steering, generator=generator)
    return chains


def _search(
    model, templates: Templates, latents: torch.Tensor, may_fill: torch.Tensor, num_beams: int
) -> FittingTexts:
    """The likeliest texts that fit each template under p(x|z), with z the template's row of `latents`."""

    def step(words, rows, state):
        logits, state = model.decoder.next_tokens(words[:, None], latents[rows], state, last_only=True)
        return logits[:, -1].float().log_softmax(-1), state

    start, pad = model.config.decoder_start_token_id, model.config.pad_token_id
    return search_templates(templates, step, start, may_fill=may_fill, num_beams=num_beams, pad_token_id=pad)


def _as_inputs(config, texts: FittingTexts) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of texts, with the begin mark, and their attention mask."""
    begin = torch.full_like(texts.words[:, :1], config.decoder_start_token_id)
    input_ids = torch.cat([begin, texts.words], 1)
    positions = torch.arange(input_ids.shape[1], device=input_ids.device)
    return input_ids, (positions <= texts.lengths[:, None]).long()


def _log_likelihood(model, texts: FittingTexts, latents: torch.Tensor) -> torch.Tensor:
    """log p(x|z) of each text at its latent, `(num_texts,)`; differentiable in the latents."""
    return model.conditional_log_likelihood(latents, *_as_inputs(model.config, texts))


def _score(
    model, num_texts: int, found: FittingTexts, latents: torch.Tensor, num_chains: int, num_candidates: int
) -> tuple[FittingTexts, torch.Tensor]:
    """
    Score the likeliest completions that the chains of a text have found under the latents of all its chains.

    Returns:
        At most `num_candidates` completions of each text with their `scores`, and log p(x|z) of each at the latent of
        each chain, `(num_completions, num_chains)`.
    """
    candidates = found.merged(num_chains).best(num_candidates)
    pairs = torch.arange(len(candidates.rows), device=latents.device).repeat_interleave(num_chains)
    chains = torch.arange(num_chains, device=latents.device)
    chains = (candidates.rows[:, None] * num_chains + chains).flatten()
    at_a_time = max(1, MAX_LOGITS // (candidates.words.shape[1] * model.config.vocab_size))
    log_likelihoods = torch.cat([
        _log_likelihood(model, candidates.select(part_pairs), latents[part_chains])
        for part_pairs, part_chains in zip(pairs.split(at_a_time), chains.split(at_a_time), strict=True)
    ]).unflatten(0, (-1, num_chains))  # fmt: skip
    totals = torch.full((num_texts, num_chains), -torch.inf, device=latents.device)
    for row in range(num_texts):
        totals[row] = log_likelihoods[candidates.rows == row].logsumexp(0)
    candidates.scores = (log_likelihoods - totals[candidates.rows]).logsumexp(1) - math.log(num_chains)
    return candidates, log_likelihoods


def _output(
    model,
    templates: Templates,
    texts: FittingTexts,
    log_likelihoods: torch.Tensor,
    latents: torch.Tensor,
    num_chains: int,
) -> CompletionOutput:
    """Completed texts in the form of [`CompletionOutput`]; arguments as returned by [`_score`]."""
    best, chain = log_likelihoods.max(1)
    sequences, mask = _as_inputs(model.config, texts)
    is_filled = torch.zeros_like(sequences, dtype=torch.bool)
    rows = zip(texts.rows.tolist(), texts.words.tolist(), texts.lengths.tolist(), strict=True)
    for number, (row, words, length) in enumerate(rows):
        slots = templates.words[row, templates.align(row, words[:length])]
        is_filled[number, 1 : length + 1] = slots == FREE
    symbol_logits = None
    if model.config.has_symbols:
        symbol_logits = model.encode(sequences, mask).symbol_logits
    return CompletionOutput(
        sequences=sequences,
        is_filled=is_filled,
        scores=texts.scores,
        log_likelihoods=best,
        latents=latents[texts.rows * num_chains + chain],
        symbol_logits=symbol_logits,
    )
