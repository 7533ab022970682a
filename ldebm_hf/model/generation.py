"""Samples: latents from the prior, and what the decoder makes of them, texts by transformers' own decoding."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from transformers import (
    EosTokenCriteria,
    GenerationMixin,
    MaxLengthCriteria,
    MaxTimeCriteria,
    MinLengthLogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import logging

from .outputs import LatentTrajectory
from .rejection import written_as_read

ROW_BY_ROW = {
    EosTokenCriteria,
    MaxLengthCriteria,
    MaxTimeCriteria,
    MinLengthLogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
}
"""The usual processors and criteria that treat each row by itself, whichever others are there."""
_OF_THE_PRIOR = {"class_labels": "symbols", "context_input_ids": "context"}
MAX_NAMES = 20
"""Symbols that an error names."""
PLAIN_WRITING = {
    "num_return_sequences": 1,
    "return_dict_in_generate": False,
    "streamer": None,
}
"""One text for each row, and nothing about it but its tokens."""


class LDEBMGenerationMixin(GenerationMixin):
    """`sample_latents` and `generate` for a model with `encode`, a `prior` and a recurrent `decoder`."""

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    @property
    def has_symbols(self) -> bool:
        """Whether the prior has symbols."""
        return self.config.has_symbols

    def require_symbols(self) -> None:
        """Raise ValueError if the prior has no symbols."""
        if not self.config.has_symbols:
            reason = "class_labels cannot be given or inferred"
            if self.config.has_codes:
                joint = self.config.num_joint_codes
                reason = f"its {joint} joint codes are more or fewer than the {self.config.num_labels} names"
            raise ValueError(f"prior={self.config.prior!r} has no symbols: {reason}")

    def symbol_ids(self, class_labels: int | str | Sequence[int | str] | torch.Tensor) -> torch.Tensor:
        """
        Symbols by name of `config.label2id` or by id, as a `torch.LongTensor` of shape `(n,)` on the model's device.
        `"6"` is an id, too, unless it is a name.

        Raises:
            ValueError: For a name or an id that the model does not have, and if the prior has no symbols.
        """
        self.require_symbols()
        if hasattr(class_labels, "flatten"):  # a tensor, an array or an array's scalar
            class_labels = class_labels.flatten().tolist()
        elif isinstance(class_labels, str) or not isinstance(class_labels, Iterable):
            class_labels = [class_labels]
        known = self.config.label2id
        spelt = {str(symbol): symbol for symbol in self.config.id2label}
        ids = [known.get(label, spelt.get(label, label)) for label in class_labels]
        for label in ids:
            if label not in self.config.id2label:
                names = ", ".join(repr(name) for name in sorted(known, key=known.get)[:MAX_NAMES])
                more = ", …" if len(known) > MAX_NAMES else ""
                raise ValueError(f"class_labels must be of 0..{len(known) - 1} or of {names}{more}; got {label!r}")
        return torch.tensor(ids, dtype=torch.long, device=self.device)

    @torch.no_grad()
    def sample_latents(
        self,
        num_samples: int | None = None,
        *,
        class_labels: int | str | Sequence[int | str] | torch.Tensor | None = None,
        guidance_scale: float | None = None,
        num_langevin_steps: int | None = None,
        generator: torch.Generator | None = None,
        return_trajectory: bool = False,
        batch_size: int | None = None,
        show_progress: bool = False,
        context_input_ids: torch.Tensor | None = None,
        context_attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor | LatentTrajectory:
        """
        Draw latents from the prior, the diffusion prior's by reverse diffusion (Algorithm 2).

        Args:
            num_samples (`int`, *optional*): Number of latents; defaults to one per entry of `class_labels` or, if
                there are several, per context; else 1.
            class_labels (`int`, `str` or a sequence of them, *optional*): Symbol per sample, by id or name; a single
                one serves all samples.
            guidance_scale (`float`, *optional*): Weight γ of log p(y|z). 0 ignores the symbol; 1 samples the model's
                joint density; larger values insist. Defaults to `config.label_guidance`, and that to 1/τ_t.
            num_langevin_steps (`int`, *optional*): Steps per level; defaults to `config.langevin_steps`.
            generator (`torch.Generator`, *optional*): Source of all noise.
            return_trajectory (`bool`, *optional*, defaults to `False`): Also return the states after every level.
            batch_size (`int`, *optional*): Draw at most so many at a time, one batch after the other, which bounds the
                memory beside the result. Defaults to all at once. Other sizes give other samples from the same seed.
            show_progress (`bool`, *optional*, defaults to `False`): Show a progress bar over the batches.
            context_input_ids, context_attention_mask: For a model with contexts the turns before each sample, as in
                [`forward`]; a single context serves all samples.

        Returns:
            `torch.FloatTensor` of shape `(num_samples, total_latent_size)`, or [`LatentTrajectory`].

        Raises:
            ValueError: If a symbol is unknown or there is not one per sample, or if the prior has none; likewise of
                contexts; if `guidance_scale` is given without symbols, or it or `num_langevin_steps` for a prior
                without an energy; if `num_samples` or `batch_size` is below 1.
        """
        steering = {"guidance_scale": guidance_scale, "num_langevin_steps": num_langevin_steps}
        for name, value in steering.items():
            if value is not None and name not in self.prior.sampling_options:
                prior = self.config.prior
                raise ValueError(f"{name} steers the chains of prior='diffusion', got {value} with {prior!r}")
        steering = {name: value for name, value in steering.items() if name in self.prior.sampling_options}
        symbols = None if class_labels is None else self.symbol_ids(class_labels)
        context = self._context(context_input_ids, context_attention_mask)
        num_samples, given = for_each_row(num_samples, class_labels=symbols, context_input_ids=context)
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if symbols is None and guidance_scale is not None:
            raise ValueError(f"guidance_scale needs class_labels to insist on, got {guidance_scale} and no symbol")
        rows = torch.arange(num_samples, device=self.device)
        parts = []
        with logging.tqdm(total=num_samples, desc="latents", unit="latent", disable=not show_progress) as bar:
            for part in rows.split(batch_size or num_samples):
                asked = {_OF_THE_PRIOR[name]: of_rows[part] for name, of_rows in given.items()}
                trajectory = self.prior.sample(len(part), **asked, **steering, generator=generator)
                parts.append(trajectory if return_trajectory else trajectory[-1].clone())  # lets the levels go
                bar.update(len(part))
        samples = torch.cat(parts, dim=-2)
        return LatentTrajectory(latents=samples[-1], trajectory=samples) if return_trajectory else samples

    @torch.no_grad()
    def generate(
        self,
        input_ids: torch.Tensor | None = None,
        generation_config=None,
        *,
        attention_mask: torch.Tensor | None = None,
        latents: torch.Tensor | None = None,
        class_labels: int | str | Sequence[int | str] | torch.Tensor | None = None,
        num_samples: int | None = None,
        guidance_scale: float | None = None,
        num_langevin_steps: int | None = None,
        min_label_probability: float | None = None,
        points: torch.Tensor | None = None,
        context_input_ids: torch.Tensor | None = None,
        context_attention_mask: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        **generation_kwargs,
    ):
        """
        Write texts or documents, or draw points: reconstructions of what is given, or decoded `latents`, or samples of
        the prior.

        All rows are decoded at once, in memory for their number times the vocabulary;
        `ldebm_hf.files.writing.write_samples` is for more. A seed gives the same tokens again for the same
        arguments; with `do_sample` also the batch, and whether it is returned as a dictionary or streamed, changes
        which random numbers a row meets.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*): Texts to reconstruct
                from their posterior means.
            generation_config (`GenerationConfig`, *optional*): As in transformers.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at padding;
                defaults to 0 at `config.pad_token_id`.
            latents (`torch.Tensor` of shape `(n, total_latent_size)`, *optional*): Latents to decode.
            class_labels, num_samples, guidance_scale, num_langevin_steps: As in [`sample_latents`], for samples of the
                prior. `num_return_sequences` instead decodes each latent several times.
            min_label_probability (`float`, *optional*): Write texts of `class_labels` again, from other latents, that
                the model itself reads so with less than this probability
                ([`~ldebm_hf.model.rejection.written_as_read`]).
            points (`torch.FloatTensor` of shape `(batch_size, point_size)`, *optional*): Points to reconstruct.
            context_input_ids, context_attention_mask: For a model with contexts the turns before each text, as in
                [`forward`]; a single context serves all samples or latents.
            generator (`torch.Generator`, *optional*): Source of all noise, sampled tokens included.
            generation_kwargs: Everything that transformers' `generate` takes, streamers and beams included. A model of
                points takes `do_sample` alone (default `False`: the mean of p(x|z) instead of a draw), one of
                documents `do_sample` (default `False`: the likeliest words, not draws) and `max_new_tokens`.

        Returns:
            As transformers' `generate`: token ids `(n, length)`, or a dictionary with `return_dict_in_generate=True`.
            For a model of documents words `(n, max_new_tokens)`, without marks; for one of points `torch.FloatTensor`
            of shape `(n, point_size)`.

        Raises:
            ValueError: If more than one of text, latents and prior sampling is asked for; if `min_label_probability`
                is not a probability, or is given without `class_labels` or with what asks for other than one plain
                text each; and as in [`sample_latents`].
        """
        input_ids = generation_kwargs.pop("inputs", input_ids)  # transformers' own name of its first argument
        if "max_length" in generation_kwargs:
            generation_kwargs.setdefault("max_new_tokens", None)  # whose default would overrule max_length
        prior_arguments = {
            "num_samples": num_samples,
            "class_labels": class_labels,
            "guidance_scale": guidance_scale,
            "num_langevin_steps": num_langevin_steps,
        }
        samples_prior = any(value is not None for value in prior_arguments.values())
        context = {"context_input_ids": context_input_ids, "context_attention_mask": context_attention_mask}
        given = {name: value is not None for name, value in
                 [("input_ids", input_ids), ("points", points), ("latents", latents)]}  # fmt: skip
        asked = [name for name, is_given in given.items() if is_given] + ["prior samples"] * samples_prior
        if len(asked) > 1:
            inputs = self.modality.input_name
            raise ValueError(f"generate takes one of {inputs}, latents and class_labels/num_samples, got {asked}")
        if min_label_probability is not None:
            self._require_plain_writing(class_labels, generation_config, generation_kwargs)
            starts = generation_kwargs.pop("decoder_input_ids", None)
            given = {"class_labels": self.symbol_ids(class_labels), "decoder_input_ids": starts, **context}
            _, of_rows = for_each_row(num_samples, **given)
            steering = {"guidance_scale": guidance_scale, "num_langevin_steps": num_langevin_steps}
            options = {"generation_config": generation_config, "generator": generator, **steering, **generation_kwargs}
            return written_as_read(self, min_label_probability, of_rows, **options)
        if input_ids is not None or points is not None:
            latents = self.reconstruction_latents(input_ids, attention_mask, points=points, **context)
        elif latents is None:
            latents = self.sample_latents(**prior_arguments, **context, generator=generator)
        latents = torch.as_tensor(latents, device=self.device)
        if latents.ndim != 2 or latents.shape[1] != self.config.total_latent_size or len(latents) == 0:
            expected = f"(n, {self.config.total_latent_size}) with n at least 1"
            raise ValueError(f"latents must have shape {expected}, got {tuple(latents.shape)}")
        _, of_rows = for_each_row(len(latents), context_input_ids=self._context(**context))
        if not self.modality.is_autoregressive:
            options = {"generation_config": generation_config, **generation_kwargs}
            if input_ids is None:
                options["attention_mask"] = attention_mask
            given = {name: value for name, value in options.items() if value is not None}
            names = [name for name in given if name not in self.modality.generation_options]
            if names:
                kind = self.config.modality
                raise ValueError(f"a model of {kind}s decodes no tokens in turn and has no use for {', '.join(names)}")
            return self.modality.generate(latents, generator, **given)
        prompts = generation_kwargs.get("decoder_input_ids")
        if prompts is not None and len(prompts) != len(latents):
            raise ValueError(f"decoder_input_ids must have one row per text, {len(latents)}, got {len(prompts)}")
        conditions = latents
        for of_context in of_rows.values():
            conditions = torch.cat([latents.to(of_context.dtype), of_context], -1)
        encoder_outputs = BaseModelOutput(last_hidden_state=conditions[:, None])
        with _seeded_by(generator, self.device):
            return super().generate(
                generation_config=generation_config, encoder_outputs=encoder_outputs, **generation_kwargs
            )

    def _context(self, context_input_ids, context_attention_mask) -> torch.Tensor | None:
        given = (context_input_ids, context_attention_mask)
        ids, mask = (None if tensor is None else torch.as_tensor(tensor, device=self.device) for tensor in given)
        return self.modality.context(context_input_ids=ids, context_attention_mask=mask)

    def _require_plain_writing(self, class_labels, generation_config, generation_kwargs) -> None:
        """ValueError for what does not go with rejection."""
        if class_labels is None:
            raise ValueError("min_label_probability needs class_labels that texts are to be read as")
        if not self.modality.is_autoregressive:
            raise ValueError(f"min_label_probability is for models of text, got one of {self.config.modality}s")
        require_plain_writing("min_label_probability", generation_config, generation_kwargs)

    def _sample(self, input_ids, logits_processor, stopping_criteria, generation_config, **kwargs):
        """
        Greedy search and sampling, as in transformers; but rows that have ended leave the batch and cost no more.

        They stay where somebody sees or counts all of them: a streamer, `return_dict_in_generate`, and processors and
        criteria that are not known to go row by row.
        """
        rules = {type(rule) for rule in (*logits_processor, *stopping_criteria)}
        sees_all_rows = any(kwargs.get(name) for name in ("synced_gpus", "streamer", "past_key_values"))
        if sees_all_rows or generation_config.return_dict_in_generate or not kwargs["use_cache"] or rules - ROW_BY_ROW:
            return super()._sample(input_ids, logits_processor, stopping_criteria, generation_config, **kwargs)
        pad = generation_config._pad_token_tensor
        padding = input_ids.new_full((len(input_ids), 1), self.config.pad_token_id if pad is None else pad)
        rows = torch.arange(len(input_ids), device=input_ids.device)
        conditions, state, unread = kwargs["encoder_outputs"][0].squeeze(1), None, input_ids
        while len(rows) > 0:
            latents, context = self.modality.split_conditions(conditions)
            hidden, state = self.decoder(unread, latents, state, context)
            scores = logits_processor(input_ids[rows], self.decoder.logits(hidden[:, -1]).float())
            unread = scores.softmax(-1).multinomial(1) if generation_config.do_sample else scores.argmax(-1, True)
            input_ids = torch.cat([input_ids, padding.index_copy(0, rows, unread)], 1)
            goes_on = ~stopping_criteria(input_ids[rows], None)
            if not goes_on.all():
                rows, conditions = rows[goes_on], conditions[goes_on]
                state, unread = state[goes_on], unread[goes_on]
        return input_ids


def require_plain_writing(asker: str, generation_config, generation_kwargs) -> None:
    """ValueError for what asks `generate` for other than one plain text for each row."""
    for name, plain in PLAIN_WRITING.items():
        value = generation_kwargs.get(name, getattr(generation_config, name, None))
        if value is not None and value != plain:
            raise ValueError(f"{asker} writes one plain text for each row, got {name}={value}")


def for_each_row(num_rows: int | None, **given: torch.Tensor | None) -> tuple[int, dict[str, torch.Tensor]]:
    """How many rows are asked for, by default as many as are given, and what is given for each of them."""
    given = {name: torch.as_tensor(rows) for name, rows in given.items() if rows is not None}
    if num_rows is None:
        num_rows = max(map(len, given.values()), default=1)
    if num_rows < 1:
        raise ValueError(f"num_samples must be at least 1, got {num_rows}")
    for name, rows in given.items():
        if len(rows) not in (1, num_rows):
            raise ValueError(f"{name} must be one, or one for each of {num_rows} samples, got {len(rows)}")
    return num_rows, {name: rows.expand(num_rows, *rows.shape[1:]) for name, rows in given.items()}


@contextmanager
def _seeded_by(generator: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """Let transformers' token sampling, which only knows the global generator, follow `generator`."""
    if generator is None:
        yield
        return
    seed = torch.randint(2**62, (), generator=generator, device=generator.device).item()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
