"""Texts completed: missing words filled in by sampling latents that explain the words that are there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase
from transformers.utils import ModelOutput, logging

from .constrained_search import FittingTexts, search_templates
from .latent_chains import LatentChains
from .masked_texts import Completion, pieces_of_words, read_masked_texts
from .packing import text_lengths
from .templates import FREE, Templates, read_templates

logger = logging.get_logger(__name__)

MAX_LOGITS = 2**25
"""Next-word logits that exist at a time when completions are scored."""


@dataclass
class CompletionOutput(ModelOutput):
    """
    Completions: of each text `num_return_sequences` different ones, the most probable first.

    Args:
        sequences (`torch.LongTensor` of shape `(n, length)`): Token ids as [`generate`] gives them, with begin and end
            marks, padded on the right.
        is_filled (`torch.BoolTensor` of the same shape): The tokens that stand for a missing word.
        scores (`torch.FloatTensor` of shape `(n,)`): log p(completion | observed words), estimated by the chains among
            the likeliest completions that they found.
        log_likelihoods (`torch.FloatTensor` of shape `(n,)`): log p(x|z) at `latents`, in nats.
        latents (`torch.FloatTensor` of shape `(n, total_latent_size)`): Of the chains' latents the one under which the
            completion is likeliest.
        symbol_logits (`torch.FloatTensor` of shape `(n, num_symbols)`, *optional*): Logits of the symbols that the
            model reads from the completion, if its prior has symbols.
    """

    sequences: torch.LongTensor | None = None
    is_filled: torch.BoolTensor | None = None
    scores: torch.FloatTensor | None = None
    log_likelihoods: torch.FloatTensor | None = None
    latents: torch.FloatTensor | None = None
    symbol_logits: torch.FloatTensor | None = None


class LDEBMCompletionMixin:
    """`complete` and `complete_texts` for a model with a `posterior`, a `prior` and a recurrent `decoder`."""

    @torch.no_grad()
    def complete(
        self,
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
        generator: torch.Generator | None = None,
    ) -> CompletionOutput:
        """
        Fill in the words that are missing from texts. Every observed word stays, in its order.

        Chains of latents z start from the posterior q(z|x) of the text with its masks (from the prior, if no word is
        observed or a symbol is asked for) and sample p(z, missing words | observed words) in rounds. Each draws a
        filling from the likeliest texts that fit, which a beam search finds under p(x|z), and then z given the filled
        text: in the first rounds from the encoder's q(z|x), which is quick and moves far; in the others by Langevin
        steps with Metropolis correction on log p(z) + log p(x|z) + γ log p(y|z) (for the diffusion prior see
        `latent_posteriors`). In the end all chains judge what they have found: the probability of a completion is its
        share of p(x|z) among the `num_beams` that were found most, averaged over the chains.
        Where hardly any filling goes with more than one region of latents, chains stay in theirs, and `num_chains`
        counts for more than the rounds.

        Without a latent (`prior="none"`) the beam search alone completes.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Texts with masks, padded on the
                right. [`complete_texts`] reads them from strings.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at padding;
                defaults to 0 at `config.pad_token_id`.
            mask_token_id (`int`, *optional*): Token that stands for one missing word; defaults to
                `config.unk_token_id`. With another one, unknown words are observed and stay unknown.
            span_token_id (`int`, *optional*): Token that stands for one to `max_span_length` missing words. It and
                `mask_token_id` may lie beyond the vocabulary.
            max_span_length (`int`, *optional*, defaults to 10): That number.
            class_labels (`int`, `str` or a sequence of them, *optional*): Symbol to complete each text for, by id or
                name; a single one serves all.
            guidance_scale (`float`, *optional*): γ, as in [`sample_latents`].
            num_return_sequences (`int`, *optional*, defaults to 1): Completions of each text, all different; at most
                `num_beams`.
            num_chains (`int`, *optional*, defaults to 8): Chains of each text.
            num_encoder_rounds (`int`, *optional*, defaults to 3): First rounds.
            num_rounds (`int`, *optional*, defaults to 2): Rounds of Langevin steps after them.
            num_steps (`int`, *optional*, defaults to 10): Langevin steps of each of these.
            num_beams (`int`, *optional*, defaults to 10): Texts that each search keeps.
            suppress_tokens (`Sequence[int]`, *optional*): Tokens that fill no gap, besides `<pad>`, `<unk>`, `<s>` and
                `</s>`.
            generator (`torch.Generator`, *optional*): Source of all noise.

        Raises:
            ValueError: For a model of points, with contexts or in training mode; a text without a mask; an unknown
                symbol or not one per text; a number below what is allowed; no word left that may fill gaps; fewer
                different completions than asked for.
        """
        config = self.config
        if config.modality != "text":
            raise ValueError(f"complete fills in words and cannot be asked of a model of {config.modality}s")
        if config.context_size:
            raise ValueError("complete reads no contexts and cannot be asked of a model with them: see respond")
        if self.training:
            raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")
        counts = {"num_chains": num_chains, "num_return_sequences": num_return_sequences, "num_beams": num_beams}
        rounds = {"num_encoder_rounds": num_encoder_rounds, "num_rounds": num_rounds, "num_steps": num_steps}
        for least, numbers in ((1, {**counts, "max_span_length": max_span_length}), (0, rounds)):
            for name, value in numbers.items():
                if value < least:
                    raise ValueError(f"{name} must be at least {least}, got {value}")
        if num_return_sequences > num_beams:
            raise ValueError(f"num_return_sequences must be at most num_beams={num_beams}, got {num_return_sequences}")
        if guidance_scale is not None and (config.prior != "diffusion" or class_labels is None):
            missing = "class_labels" if class_labels is None else 'prior="diffusion"'
            raise ValueError(f"guidance_scale needs {missing}, got {guidance_scale} without")
        symbols = None if class_labels is None else self.symbol_ids(class_labels)
        input_ids = torch.as_tensor(input_ids, device=self.device)
        lengths = text_lengths(input_ids, attention_mask, config.pad_token_id)
        if symbols is not None and len(symbols) not in (1, len(input_ids)):
            raise ValueError(f"class_labels must name one symbol or {len(input_ids)}, got {len(symbols)}")
        masks = [config.unk_token_id if mask_token_id is None else mask_token_id, span_token_id]
        ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        templates = read_templates(
            input_ids, lengths, masks[0], masks[1], max_span_length, config.bos_token_id, ends[0], config.vocab_size
        )
        may_fill = torch.ones(config.vocab_size, dtype=torch.bool, device=self.device)
        never = [config.pad_token_id, config.unk_token_id, config.bos_token_id, config.decoder_start_token_id]
        may_fill[[token for token in (*never, *ends, *suppress_tokens) if token is not None]] = False
        if not may_fill.any():
            raise ValueError("suppress_tokens must leave a word that may fill gaps, got the whole vocabulary")
        if config.prior == "none":  # nothing to sample
            num_chains, num_encoder_rounds, num_rounds = 1, 0, 0
        if symbols is not None:
            symbols = symbols.expand(len(input_ids)).repeat_interleave(num_chains)

        unknown = (input_ids >= config.vocab_size) | torch.isin(
            input_ids, torch.tensor([mask for mask in masks if mask is not None], device=self.device)
        )
        readable = input_ids.masked_fill(unknown, config.unk_token_id)
        chains = self._start_chains(readable, lengths, templates, num_chains, symbols, guidance_scale, generator)
        of_chains = templates.repeat_interleave(num_chains)
        for number in range(num_encoder_rounds + num_rounds):
            drawn = self._search(of_chains, chains.latents, may_fill, num_beams).draw(generator)
            if number < num_encoder_rounds:
                chains.restart(self.posterior(*self._as_inputs(drawn)))
            else:
                chains.move(lambda latents, drawn=drawn: self._log_likelihood(drawn, latents), num_steps)
        found = self._search(of_chains, chains.latents, may_fill, num_beams)
        return self._judge(templates, found, chains.latents, num_chains, num_beams, num_return_sequences)

    def complete_texts(
        self,
        texts: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        *,
        batch_size: int = 16,
        show_progress: bool = False,
        **options,
    ) -> list[list[Completion]]:
        """
        Complete strings: `<mask>` (or `<unk>`) stands for one missing word, `<span>` (or T5's `<extra_id_0>`) for one
        or more. Observed words that the tokenizer does not know are kept as they are written. A tokenizer of subwords
        fills `<mask>` with a word that is one token, and `<span>` with one token or more; where a text has a
        `<span>`, or a mask without a space before it, pieces of words may fill its masks too.

        Args:
            texts (`Sequence[str]`): Each with a mask at least.
            tokenizer (`PreTrainedTokenizerBase`): The model's.
            batch_size (`int`, *optional*, defaults to 16): Texts at a time. Others give other samples of one seed.
            show_progress (`bool`, *optional*, defaults to `False`): Show a progress bar.
            options: As in [`complete`].

        Returns:
            `list[list[Completion]]`: `num_return_sequences` for each text, the most probable first.

        Raises:
            ValueError: As in [`complete`], for no texts, and for a text without a mask (which it names).
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        masked = read_masked_texts(texts, tokenizer, self.config.vocab_size)
        no_words = pieces_of_words(texts, tokenizer)
        if no_words:
            options["suppress_tokens"] = [*options.get("suppress_tokens", ()), *no_words]
        if masked.unread.message:
            logger.warning(masked.unread.message)
        labels = options.pop("class_labels", None)
        if labels is not None:
            labels = self.symbol_ids(labels)
            if len(labels) not in (1, len(texts)):
                raise ValueError(f"class_labels must name one symbol or {len(texts)}, got {len(labels)}")
            labels = labels.expand(len(texts))
        completions = []
        with logging.tqdm(total=len(texts), desc="completing", unit="text", disable=not show_progress) as bar:
            for start in range(0, len(texts), batch_size):
                part = masked[start : start + batch_size]
                output = self.complete(
                    **part.inputs(self.config.pad_token_id),
                    class_labels=None if labels is None else labels[start : start + batch_size],
                    **options,
                )
                completions += part.completions(output, tokenizer, self.config)
                bar.update(len(part))
        return completions

    def _start_chains(
        self, input_ids, lengths, templates: Templates, num_chains, symbols, guidance_scale, generator
    ) -> LatentChains:
        """
        Chains at draws of q(z|x) of each text. Where no word is observed, and where a symbol is asked for, at draws of
        the prior, of that symbol: from the text's own latents the way to a symbol is far.
        """
        repeated = input_ids.repeat_interleave(num_chains, 0)
        posterior = self.posterior(repeated, lengths=[length for length in lengths for _ in range(num_chains)])
        steering = {"class_labels": symbols, "guidance_scale": guidance_scale}
        chains = LatentChains(self.prior, self.config, posterior, **steering, generator=generator)
        from_prior = templates.repeat_interleave(num_chains).num_observed == 0
        if symbols is not None and not chains.reads_code:  # whose codes are the symbol's already
            from_prior = torch.ones_like(from_prior)
        if from_prior.any() and self.config.prior != "none":
            asked = {} if symbols is None else {"class_labels": symbols[from_prior], "guidance_scale": guidance_scale}
            chains.latents[from_prior] = self.sample_latents(int(from_prior.sum()), **asked, generator=generator)
        return chains

    def _search(self, templates: Templates, latents: torch.Tensor, may_fill, num_beams: int) -> FittingTexts:
        """The likeliest texts of each template under p(x|z), z being its row of `latents`."""

        def step(words, rows, state):
            hidden, state = self.decoder(words[:, None], latents[rows], state)
            return self.decoder.logits(hidden[:, -1]).float().log_softmax(-1), state

        start, pad = self.config.decoder_start_token_id, self.config.pad_token_id
        return search_templates(templates, step, start, may_fill=may_fill, num_beams=num_beams, pad_token_id=pad)

    def _as_inputs(self, texts: FittingTexts) -> tuple[torch.Tensor, torch.Tensor]:
        """Texts as token ids with the begin mark, and their attention mask."""
        begin = torch.full_like(texts.words[:, :1], self.config.decoder_start_token_id)
        input_ids = torch.cat([begin, texts.words], 1)
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        return input_ids, (places <= texts.lengths[:, None]).long()

    def _log_likelihood(self, texts: FittingTexts, latents: torch.Tensor) -> torch.Tensor:
        """log p(x|z) of each text at its latent, `(num_texts,)`; differentiable."""
        return self.conditional_log_likelihood(latents, *self._as_inputs(texts))

    def _judge(
        self,
        templates: Templates,
        found: FittingTexts,
        latents: torch.Tensor,
        num_chains: int,
        num_candidates: int,
        num_return_sequences: int,
    ) -> CompletionOutput:
        """The most probable of what the chains have found, by what all chains of a text say of it."""
        candidates = found.merged(num_chains).best(num_candidates)
        pairs = torch.arange(len(candidates.rows), device=latents.device).repeat_interleave(num_chains)
        chains = torch.arange(num_chains, device=latents.device)
        chains = (candidates.rows[:, None] * num_chains + chains).flatten()
        at_a_time = max(1, MAX_LOGITS // (candidates.words.shape[1] * self.config.vocab_size))
        log_likelihoods = torch.cat([
            self._log_likelihood(candidates.select(texts), latents[of_chains])
            for texts, of_chains in zip(pairs.split(at_a_time), chains.split(at_a_time), strict=True)
        ]).unflatten(0, (-1, num_chains))  # fmt: skip
        total = torch.full((len(templates), num_chains), -torch.inf, device=latents.device)
        for row in range(len(templates)):
            total[row] = log_likelihoods[candidates.rows == row].logsumexp(0)
        candidates.scores = (log_likelihoods - total[candidates.rows]).logsumexp(1) - math.log(num_chains)
        order = candidates.order(num_return_sequences)
        candidates, log_likelihoods = candidates.select(order), log_likelihoods[order]
        fewest = int(candidates.rows.bincount(minlength=len(templates)).min())
        if fewest < num_return_sequences:
            most = f"{fewest}, the fillings that were found"
            raise ValueError(f"num_return_sequences must be at most {most}, got {num_return_sequences}")
        best, chain = log_likelihoods.max(1)
        sequences, mask = self._as_inputs(candidates)
        is_filled = torch.zeros_like(sequences, dtype=torch.bool)
        for number, (row, words, length) in enumerate(
            zip(candidates.rows.tolist(), candidates.words.tolist(), candidates.lengths.tolist(), strict=True)
        ):
            slots = templates.words[row, templates.align(row, words[:length])]
            is_filled[number, 1 : length + 1] = slots == FREE
        return CompletionOutput(
            sequences=sequences,
            is_filled=is_filled,
            scores=candidates.scores,
            log_likelihoods=best,
            latents=latents[candidates.rows * num_chains + chain],
            symbol_logits=self.encode(sequences, mask).symbol_logits if self.config.has_symbols else None,
        )
