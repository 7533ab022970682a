"""Texts, documents and points from latents: texts by transformers' own decoding methods."""

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from transformers import (
    EosTokenCriteria,
    GenerationConfig,
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
    StopStringCriteria,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.modeling_outputs import BaseModelOutput

from .arguments import DECODING, INPUTS, LATENTS, SAMPLING, checked
from .rejection import generate_accepted
from .sampling import context_vectors, expand_to_samples
from .validation import Number

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
"""Processors and stopping criteria that treat each row by itself, independently of the other rows."""

NOT_READ = {
    "inputs_embeds": "input_ids, because the model reads tokens",
    "decoder_inputs_embeds": "decoder_input_ids, because the decoder reads tokens",
    "encoder_outputs": "latents, which are all that the decoder reads of a text",
    **dict.fromkeys(
        ("past_key_values", "cache"), "decoder_input_ids, because the decoder's state starts from the latents"
    ),
    "encoder_features": "latents, from encode",
    "lengths": "attention_mask",
    "position_ids": "decoder_input_ids, because the decoder counts positions itself",
    **dict.fromkeys(
        ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "seq_idx"),
        "one text per row, because the model does not read packed texts",
    ),
    "negative_prompt_ids": "class_labels, with guidance_scale",
    "negative_prompt_attention_mask": "class_labels, with guidance_scale",
}
"""Arguments that the forward pass or other models have, with what `generate` takes instead."""

TAKEN = (
    {*inspect.signature(GenerationMixin.generate).parameters, *vars(GenerationConfig())}
    | {"decoder_input_ids", "labels", "tokenizer"}
) - {"self", "kwargs"}
"""
Options that `generate` takes besides its own. `labels` are not read, as in all of transformers, so that a batch for
training can be given as it is.
"""

OF_THE_TEXT_READ = {"encoder_repetition_penalty": 1, "encoder_no_repeat_ngram_size": 0}
"""Options about the tokens of the text that is read, which the decoder does not see, with what changes nothing."""

OFF_BY_NONE = {
    "bad_words_ids",
    "begin_suppress_tokens",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "max_time",
    "sequence_bias",
    "stop_strings",
    "suppress_tokens",
}
"""Options that `None` turns off. Every other option that is `None` has its default, as if it was not given."""


class LDEBMGenerationMixin(GenerationMixin):
    """transformers' `generate` for a model that decodes latents, and the methods that must be overridden for it."""

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    @torch.no_grad()
    @checked(
        **INPUTS,
        **SAMPLING,
        **DECODING,
        inputs=INPUTS["input_ids"],
        latents=LATENTS,
        min_label_probability=Number(at_least=0, at_most=1),
    )
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
        sampler: str | None = None,
        num_proposals: int | None = None,
        min_label_probability: float | None = None,
        points: torch.Tensor | None = None,
        context_input_ids: torch.Tensor | None = None,
        context_attention_mask: torch.Tensor | None = None,
        generator: torch.Generator | int | None = None,
        **generation_kwargs,
    ):
        """
        Generate texts, documents or points, in one of three ways: reconstruct the given ones, decode the given
        `latents`, or decode samples of the prior.

        All rows are decoded at once, which takes memory in proportion to their number times the vocabulary;
        `ldebm_hf.files.writing.write_samples` writes many texts in batches. The same seed and arguments give the same
        tokens. With `do_sample` a row's tokens also depend on the other rows of the batch, and on whether the result
        is returned as a dictionary or streamed.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*): Texts to reconstruct
                from the likeliest latents of their posteriors.
            generation_config (`GenerationConfig`, *optional*): As in transformers.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at the padding of
                `input_ids`; defaults to 0 at `config.pad_token_id`.
            latents (`torch.Tensor` of shape `(n, total_latent_size)`, *optional*): Latents to decode.
            class_labels, num_samples, guidance_scale, num_langevin_steps, sampler, num_proposals: As in
                [`sample_latents`], for samples of the prior. To decode each latent several times, use
                `num_return_sequences`.
            min_label_probability (`float`, *optional*): Resample texts in which the model itself reads the requested
                symbol of `class_labels` with a smaller probability than this
                ([`~ldebm_hf.model.rejection.generate_accepted`], which says how many candidates are drawn).
            points (`torch.FloatTensor` of shape `(batch_size, point_size)`, *optional*): Points to reconstruct.
            context_input_ids, context_attention_mask (*optional*): For a model with contexts, the turns before each
                text, as in [`forward`]; a single context is used for all samples or latents.
            generator (`torch.Generator` or `int`, *optional*): Source of all noise, including the sampling of
                tokens; an integer is a seed.
            generation_kwargs: For a model of texts, every argument of transformers' `generate`, including streamers
                and beam search; `None` turns off `eos_token_id`, `stop_strings`, `max_time` and what forbids or forces
                tokens, and means the default of all others. `decoder_input_ids` are prompts of one length without
                padding, one per text. For a model of points only `do_sample` (default `False`: the mean of p(x|z);
                `True`: a draw from it); for a model of documents `do_sample` (default `False`: the likeliest words;
                `True`: draws) and `max_new_tokens`.

        Returns:
            For texts as transformers' `generate`: token ids `(n, length)`, or a dictionary with
            `return_dict_in_generate=True`, which is an [`AcceptedTextsOutput`] with `min_label_probability`. For
            documents words `(n, max_new_tokens)`, without begin and end marks. For points a `torch.FloatTensor` of
            shape `(n, point_size)`.

        Raises:
            ValueError: If more than one of inputs, latents and prior samples is requested; for `attention_mask`
                without `input_ids`; for prompts with padding; if `min_label_probability` is not a probability, or is
                given without `class_labels` or with options that return anything but one text per row, or scores; for
                options that a model of documents or points does not have; and as in [`sample_latents`].
        """
        generation_kwargs = {
            name: value for name, value in generation_kwargs.items() if value is not None or name in OFF_BY_NONE
        }
        input_ids = generation_kwargs.pop("inputs", input_ids)  # transformers' own name of its first argument
        self._refuse_before_sampling(generation_config, generation_kwargs)
        if input_ids is not None and "synced_gpus" in generation_kwargs:
            class_labels = None  # transformers' Seq2SeqTrainer hands on whole batches, the labels of texts included
        if "max_length" in generation_kwargs:
            generation_kwargs.setdefault("max_new_tokens", None)  # its default would overrule max_length
        prior_arguments = {
            "num_samples": num_samples,
            "class_labels": class_labels,
            "guidance_scale": guidance_scale,
            "num_langevin_steps": num_langevin_steps,
            "sampler": sampler,
            "num_proposals": num_proposals,
        }
        context = {"context_input_ids": context_input_ids, "context_attention_mask": context_attention_mask}
        _require_one_source(self, prior_arguments, input_ids=input_ids, points=points, latents=latents)
        if attention_mask is not None and input_ids is None and self.modality.input_name == "input_ids":
            raise ValueError("attention_mask must be given with input_ids, whose padding it marks, got no input_ids")
        if min_label_probability is not None:
            options = {"generation_config": generation_config, "generator": generator, **generation_kwargs}
            returns_dict = options.get("return_dict_in_generate")
            if returns_dict is None:
                returns_dict = getattr(generation_config, "return_dict_in_generate", None)
            if returns_dict:
                _refuse_scores(generation_config, generation_kwargs)
                options["return_dict_in_generate"] = False  # of each block of candidates
            accepted = generate_accepted(self, min_label_probability, **prior_arguments, **context, **options)
            return accepted.to_output() if returns_dict else accepted.token_ids
        if input_ids is not None or points is not None:
            latents = self.reconstruction_latents(input_ids, attention_mask, points=points, **context)
        elif latents is None:
            latents = self.sample_latents(**prior_arguments, **context, generator=generator)
        conditions = _conditions(self, latents, context)
        if not self.modality.is_autoregressive:
            options = {"generation_config": generation_config, **generation_kwargs}
            if input_ids is None:
                options["attention_mask"] = attention_mask
            return _decode_at_once(self, latents, generator, options)
        prompts = generation_kwargs.get("decoder_input_ids")
        if prompts is not None:
            if len(prompts) != len(latents):
                raise ValueError(f"decoder_input_ids must have one row per text, {len(latents)}, got {len(prompts)}")
            _refuse_padding(prompts, self.config)
        if generation_config is not None and "max_new_tokens" not in generation_kwargs:
            generation_config = _in_new_tokens(generation_config, 1 if prompts is None else prompts.shape[1])
        encoder_outputs = BaseModelOutput(last_hidden_state=conditions[:, None])
        with _seeded_by(generator, self.device):
            return super().generate(
                generation_config=generation_config, encoder_outputs=encoder_outputs, **generation_kwargs
            )

    def _refuse_before_sampling(self, generation_config, options: dict) -> None:
        """Raise ValueError for options that cannot be had, before the chains of the prior take their time."""
        for name, instead in NOT_READ.items():
            if options.get(name) is not None:
                raise ValueError(f"{name} cannot be given to generate: give {instead}")
        if self.modality.is_autoregressive and options.get("custom_generate") is None:
            # transformers would let pass what any of its models reads, and refuses other names after the chains only
            unread = [name for name, value in options.items() if value is not None and name not in TAKEN]
            if unread:
                raise ValueError(f"{', '.join(unread)} cannot be given to generate, which does not read it")
        for name, neutral in OF_THE_TEXT_READ.items():
            value = options.get(name, getattr(generation_config, name, None))
            if value not in (None, neutral):
                allowed = f"{neutral}, because the decoder does not see the tokens of the text that was read"
                raise ValueError(f"{name} must be {allowed}, got {value}")
        for name in ("output_attentions", "output_hidden_states"):
            self._refuse_outputs(**{name: options.get(name, getattr(generation_config, name, None))})
        stop_strings = options.get("stop_strings", getattr(generation_config, "stop_strings", None))
        if stop_strings is None:
            return
        if options.get("tokenizer") is None:
            raise ValueError(f"stop_strings need the argument tokenizer as well, got {stop_strings} without it")
        try:
            StopStringCriteria(options["tokenizer"], stop_strings)
        except ValueError as error:  # transformers looks for a part of a word that the tokenizer does not have
            raise ValueError(
                f"stop_strings must be used with a tokenizer of subwords, got {stop_strings} with one of whole words: "
                "give the ids of the words as eos_token_id"
            ) from error

    def prepare_inputs_for_generation(self, *args, tokenizer=None, **kwargs):
        """As in transformers, which would pass the tokenizer of `stop_strings` on to `forward`."""
        return super().prepare_inputs_for_generation(*args, **kwargs)

    def _sample(self, input_ids, logits_processor, stopping_criteria, generation_config, **kwargs):
        """
        Greedy search and sampling, as in transformers; but rows that have ended leave the batch and cost no more.

        Rows stay in the batch where something observes all of them: a streamer, `return_dict_in_generate`, and
        processors and criteria that are not known to treat each row by itself.
        """
        rules = {type(rule) for rule in (*logits_processor, *stopping_criteria)}
        observes_all_rows = any(kwargs.get(name) for name in ("synced_gpus", "streamer"))
        observes_all_rows = observes_all_rows or generation_config.return_dict_in_generate or rules - ROW_BY_ROW
        if observes_all_rows or not kwargs["use_cache"]:
            return super()._sample(input_ids, logits_processor, stopping_criteria, generation_config, **kwargs)
        pad = generation_config._pad_token_tensor
        padding = input_ids.new_full((len(input_ids), 1), self.config.pad_token_id if pad is None else pad)
        rows = torch.arange(len(input_ids), device=input_ids.device)
        conditions, state, unread = kwargs["encoder_outputs"][0].squeeze(1), None, input_ids
        while len(rows) > 0:
            latents, context = self.modality.split_conditions(conditions)
            logits, state = self.decoder.next_tokens(unread, latents, state, context, last_only=True)
            scores = logits_processor(input_ids[rows], logits[:, -1].float())
            unread = scores.softmax(-1).multinomial(1) if generation_config.do_sample else scores.argmax(-1, True)
            input_ids = torch.cat([input_ids, padding.index_copy(0, rows, unread)], 1)
            is_unfinished = ~stopping_criteria(input_ids[rows], None)
            if not is_unfinished.all():
                rows, conditions = rows[is_unfinished], conditions[is_unfinished]
                state, unread = state[is_unfinished], unread[is_unfinished]
        return input_ids


def _in_new_tokens(generation_config, prompt_length: int):
    """
    The configuration, with its `max_length`, if that is all it says of lengths, as a number of new tokens. Otherwise
    the model's own default of `max_new_tokens` would overrule it.
    """
    if generation_config.max_length is None or generation_config.max_new_tokens is not None:
        return generation_config
    generation_config = copy.deepcopy(generation_config)
    generation_config.max_new_tokens = generation_config.max_length - prompt_length
    generation_config.max_length = None
    return generation_config


def _refuse_padding(prompts: torch.Tensor, config) -> None:
    """Raise ValueError for prompts that begin or end with padding, which the decoder would read as words."""
    begins_with_padding = config.decoder_start_token_id == config.pad_token_id
    words = prompts[:, 1:] if begins_with_padding else prompts
    is_padded = (torch.cat([words[:, :1], words[:, -1:]], 1) == config.pad_token_id).any(-1)
    if is_padded.any():
        row = is_padded.int().argmax().item()
        raise ValueError(
            f"decoder_input_ids must have no padding, got {prompts[row].tolist()} in row {row}: give prompts of "
            "different lengths one after the other"
        )


def _require_one_source(model, prior_arguments: dict, **given: torch.Tensor | None) -> None:
    """Raise ValueError if more than one of inputs, latents and samples of the prior is requested."""
    requested = [name for name, value in given.items() if value is not None]
    if any(value is not None for value in prior_arguments.values()):
        requested.append("prior samples")
    if len(requested) > 1:
        expected = f"{model.modality.input_name}, latents and class_labels/num_samples"
        raise ValueError(f"generate takes one of {expected}, got {requested}")


def _refuse_scores(generation_config, options: dict) -> None:
    """Raise ValueError if scores of tokens are to be returned, which are not kept of the candidates."""
    for name in ("output_scores", "output_logits"):
        if options.get(name, getattr(generation_config, name, None)):
            raise ValueError(f"{name} must be False with min_label_probability, got True")


def _decode_at_once(model, latents: torch.Tensor, generator: torch.Generator | None, options: dict) -> torch.Tensor:
    """Documents or points from latents, which are not decoded token by token."""
    given = {name: value for name, value in options.items() if value is not None}
    unused = [name for name in given if name not in model.modality.generation_options]
    if unused:
        kind = model.config.modality
        raise ValueError(f"a model of {kind}s decodes no tokens one by one and cannot take {', '.join(unused)}")
    return model.modality.generate(latents, generator, **given)


def _conditions(model, latents: torch.Tensor, context: dict[str, torch.Tensor | None]) -> torch.Tensor:
    """What the decoder is conditioned on: latents, followed by the context vectors in a model with contexts."""
    vectors = context_vectors(model, **context)
    if vectors is None:
        return latents
    _, rows = expand_to_samples(len(latents), context_input_ids=vectors)
    return torch.cat([latents.to(vectors.dtype), rows["context_input_ids"]], -1)


@contextmanager
def _seeded_by(generator: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """Let transformers' token sampling, which only uses the global generator, follow `generator`."""
    if generator is None:
        yield
        return
    seed = torch.randint(2**62, (), generator=generator, device=generator.device).item()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
