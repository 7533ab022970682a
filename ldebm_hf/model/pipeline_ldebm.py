"""One object for a model and its tokenizer: strings go in and come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from transformers import Pipeline, PreTrainedTokenizerBase
from transformers.utils import logging

from .arguments import DECODING, LATENT, LATENTS, MOST_SAMPLES, MOST_STEPS, SAMPLING, OneText, Texts, checked
from .bag_of_words import marks
from .checkpoint_code import PIPELINE_TASK
from .checkpoint_tokenizer import load_tokenizer
from .explanation import Explanation
from .masked_texts import Completion
from .modeling_ldebm import LDEBMModel
from .pipeline_outputs import Neighbour, PathStep, Reading, WrittenText
from .pretrained_model import FROM_THE_HUB
from .rejection import AcceptedTexts, generate_accepted
from .sampling import one_warning_of_chains
from .symbols import read_symbols
from .text_reading import TextReader, require_unicode
from .validation import Count, Flag, Number

WRITING = {
    **SAMPLING,
    **DECODING,
    "num_texts": Count(at_most=MOST_SAMPLES),
    "prompt": OneText(),
    "min_label_probability": Number(at_least=0, at_most=1),
    "batch_size": Count(at_most=MOST_SAMPLES),
}
"""What [`LDEBMPipeline.write`] takes."""
CALLING = {**WRITING, "return_full_text": Flag(), "prefix": OneText()}
"""What [`LDEBMPipeline.__call__`] takes."""
NOT_READ = {
    **dict.fromkeys(("return_tensors", "return_type", "return_text"), "texts are returned; tokens come from generate"),
    **dict.fromkeys(("clean_up_tokenization_spaces", "skip_special_tokens"), "texts are as the tokenizer writes them"),
    **dict.fromkeys(
        ("add_special_tokens", "truncation", "padding", "handle_long_generation", "tokenizer_encode_kwargs"),
        "beginnings of texts are read whole, after the begin mark",
    ),
    **dict.fromkeys(("continue_final_message", "tools", "documents"), "inputs are beginnings of texts, not chats"),
}
"""Options of transformers' text generation that [`LDEBMPipeline.__call__`] does not take, with the reason."""
AS_IT_IS = {"return_text": True, "skip_special_tokens": True}
"""Values of [`NOT_READ`] that ask for what is done anyway; of the others `False` does."""
READING = {
    "texts": Texts(at_least=1),
    "batch_size": Count(at_most=MOST_SAMPLES),
    "show_progress": Flag(),
}
"""What [`LDEBMPipeline.latents`] and [`LDEBMPipeline.read`] take."""


class LDEBMPipeline(Pipeline):
    """
    A model of texts or documents with its tokenizer.

    ```python
    >>> pipe = LDEBMPipeline.from_pretrained("outputs/demo")
    >>> pipe.write("weather", 3)
    >>> pipe.classify(["will it rain tomorrow"])
    [{"label": "weather", "score": 0.99}]
    ```

    `transformers.pipeline("ldebm", model=…)` makes the same object. Called with the beginnings of texts, it continues
    them in the format of transformers' text generation; see [`__call__`].

    Args:
        model ([`LDEBMModel`]): A model of texts or documents. It is put into evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The model's tokenizer; defaults to the one saved with the
            checkpoint that the model was loaded from.
        task (`str`, *optional*, defaults to `"ldebm"`): The name of the task, for transformers.
        pipeline_kwargs: As in transformers' pipelines, such as `device` (defaults to the first GPU if there is one,
            else the CPU), `batch_size`, and options of [`__call__`] that then are its defaults.

    Raises:
        ValueError: For a model of points, and without a tokenizer if the model was not loaded from a checkpoint.
    """

    _load_tokenizer = True
    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False

    def __init__(
        self,
        model: LDEBMModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        task: str = PIPELINE_TASK,
        **pipeline_kwargs,
    ):
        if not model.modality.reads_texts:
            raise ValueError("model must be one of texts or documents, got one of points, which has no tokenizer")
        if tokenizer is None:
            if not model.name_or_path:
                raise ValueError("tokenizer must be given for a model that was not loaded with from_pretrained")
            tokenizer = load_tokenizer(model.name_or_path, model.config, **model.checkpoint_place)
        model.set_tokenizer(tokenizer)
        super().__init__(model.eval(), tokenizer, task=task, **pipeline_kwargs)

    @classmethod
    def from_pretrained(
        cls, checkpoint: str | Path, *, device: int | str | torch.device | None = None, **model_kwargs
    ) -> Self:
        """
        Load a model and its tokenizer.

        Args:
            checkpoint (`str` or `Path`): Folder or Hub id.
            device (`int`, `str` or `torch.device`, *optional*): Defaults to the first GPU if there is one, else to the
                CPU.
            model_kwargs: As in `LDEBMModel.from_pretrained`, such as `dtype` and `revision`.

        Raises:
            OSError: If there is no such checkpoint, or one of its files is a Git LFS pointer, empty or truncated.
            ValueError: For a model of points.
        """
        hub = {name: model_kwargs[name] for name in FROM_THE_HUB if name in model_kwargs}
        model = LDEBMModel.from_pretrained(checkpoint, **model_kwargs)
        tokenizer = load_tokenizer(checkpoint, model.config, **hub) if model.modality.reads_texts else None
        return cls(model, tokenizer, device=device)

    def save_pretrained(self, save_directory: str | Path, **kwargs) -> None:
        """Save the model, its code and the tokenizer into a folder, from which [`from_pretrained`] loads them."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.tokenizer.save_pretrained(save_directory, **kwargs)

    def to(self, device: str | torch.device) -> Self:
        """Move the model to a device."""
        self.device = torch.device(device)
        self.model.to(self.device)
        return self

    # ---------------------------------------------------------------------------------------------- transformers' call

    @checked(**CALLING)
    @one_warning_of_chains()
    def __call__(self, inputs, *args, **kwargs):
        """
        Continue the beginnings of texts, in the format of transformers' text generation.

        ```python
        >>> pipe("the food", class_labels="positive", num_return_sequences=2)
        [{"generated_text": "the food is great ."}, {"generated_text": "the food here is amazing !"}]
        ```

        Args:
            inputs (`str`, `Sequence[str]`, data set or generator): Beginnings of texts; `""` is one, too.
            num_return_sequences (`int`, *optional*, defaults to 1): Number of texts for each beginning and, if several
                symbols are given, for each symbol; each from its own latent.
            return_full_text (`bool`, *optional*, defaults to `True`): Whether a text is returned with its beginning,
                or only what follows it.
            prefix (`str`, *optional*, defaults to `""`): Read before each beginning, and not returned.
            stop_sequence (`str` or `list[str]`, *optional*): Strings that end a text, for a tokenizer of subwords.
            kwargs: As in [`write`]; the symbols are called `class_labels`. `batch_size` as in transformers.

        Returns:
            `list[dict]` with `{"generated_text"}` for a string; a list of these for several strings.

        Raises:
            ValueError: For an option of transformers' text generation that is not named here, such as
                `return_tensors`; and as in [`write`].
        """
        if isinstance(inputs, (list, tuple)) and not inputs:
            raise ValueError(f"inputs must be strings, at least one, got {inputs!r}")
        return super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(self, stop_sequence: str | Sequence[str] | None = None, **options):
        for name, reason in NOT_READ.items():
            value = options.pop(name, None)
            if value is not None and value is not AS_IT_IS.get(name, False):
                raise ValueError(f"{name} cannot be given to this pipeline, got {value!r:.80}: {reason}")
        if stop_sequence is not None:
            strings = [stop_sequence] if isinstance(stop_sequence, str) else stop_sequence
            options |= {"stop_strings": strings, "tokenizer": self.tokenizer}
        return {}, options, {}

    def preprocess(self, input_: str) -> dict[str, str]:
        if not isinstance(input_, str):
            raise ValueError(f"inputs must be strings, the beginnings of texts, got {input_!r:.80}")
        require_unicode("inputs", [input_])
        return {"prompt": input_}

    def _forward(
        self,
        input_tensors,
        num_return_sequences: int | None = None,
        class_labels=None,
        return_full_text: bool | None = None,
        prefix: str | None = None,
        **options,
    ):
        prompts = input_tensors["prompt"]
        is_batch = isinstance(prompts, list)
        written = []
        for prompt in prompts if is_batch else [prompts]:
            begun = (prefix or "") + prompt
            left_out = begun if return_full_text is False else prefix or ""
            texts = self.write(class_labels, num_return_sequences or 1, prompt=begun, **options)
            written.append([text[len(left_out) :] for text in texts])
        return {"generated_text": written if is_batch else written[0]}

    def postprocess(self, model_outputs) -> list[dict[str, str]]:
        return [{"generated_text": text} for text in model_outputs["generated_text"]]

    # -------------------------------------------------------------------------------------------------------- writing

    @checked(**WRITING)
    @one_warning_of_chains()
    def write(
        self,
        symbols: int | str | Sequence[int | str] | torch.Tensor | None = None,
        num_texts: int = 1,
        *,
        prompt: str = "",
        min_label_probability: float | None = None,
        batch_size: int = 256,
        generator: torch.Generator | int | None = None,
        **generation_kwargs,
    ) -> list[str]:
        """
        Write texts for symbols or, without symbols, from the whole prior.

        Args:
            symbols (`int`, `str` or a sequence of them, *optional*): Symbols by id or name, as in `model.symbol_ids`.
            num_texts (`int`, *optional*, defaults to 1): Number of texts for each symbol, each from its own latent.
            prompt (`str`, *optional*, defaults to `""`): The beginning of each text.
            min_label_probability (`float`, *optional*): Resample texts in which the model itself reads the requested
                symbol with a smaller probability than this; [`write_and_read`] says how many were drawn.
            batch_size (`int`, *optional*, defaults to 256): Number of texts written at a time. With another batch size
                the same seed gives other texts.
            generator (`torch.Generator` or `int`, *optional*): Source of all noise; an integer is a seed.
            generation_kwargs: As in `model.generate`, such as `guidance_scale`, `do_sample` and `num_beams`. The
                unknown word is not written unless `suppress_tokens` is given. For a model of documents `do_sample` and
                `max_new_tokens`, the number of words.

        Returns:
            `list[str]`: `num_texts` texts for the first symbol, then for the second, and so on.

        Raises:
            ValueError: For a model with contexts; for a number below 1; for a symbol that the model does not have; for
                a prompt and a model of documents; and as in `model.generate`.
        """
        written = self._write_batches(
            symbols,
            num_texts,
            prompt=prompt,
            min_label_probability=min_label_probability,
            batch_size=batch_size,
            generator=generator,
            **generation_kwargs,
        )
        return [text for _, texts, _ in written for text in texts]

    @checked(**WRITING)
    @one_warning_of_chains()
    def write_and_read(self, symbols=None, num_texts: int = 1, **options) -> list[WrittenText]:
        """
        Write texts as [`write`] does, and say of each which symbol the model reads in it and, with
        `min_label_probability`, how many candidates were examined for it. Arguments and errors as there.
        """
        written = []
        for requested, texts, accepted in self._write_batches(symbols, num_texts, **options):
            if accepted is None:
                read = self._symbols_of(texts)
                costs = [(None, None)] * len(texts)
            else:
                read = self._likeliest(accepted.probabilities)
                costs = zip(accepted.is_accepted.tolist(), accepted.num_candidates.tolist(), strict=True)
            names = [None if symbol is None else self.model.config.id2label[symbol] for symbol in requested]
            for text, name, symbol, cost in zip(texts, names, read, costs, strict=True):
                written.append(WrittenText(text, name, *symbol, *cost))
        return written

    def _write_batches(
        self,
        symbols: Any,
        num_texts: int,
        *,
        prompt: str = "",
        min_label_probability: float | None = None,
        batch_size: int = 256,
        generator: torch.Generator | int | None = None,
        **generation_kwargs,
    ) -> Iterator[tuple[list[int | None], list[str], AcceptedTexts | None]]:
        """
        At most `batch_size` texts at a time: the symbol of each, the texts, and, with `min_label_probability`, what is
        known of them from choosing them.
        """
        config = self.model.config
        if config.context_size:
            raise ValueError("a model with contexts writes responses: use respond")
        options = {"generator": generator, **self._writing_options(), **generation_kwargs}
        if prompt and not self.model.modality.is_autoregressive:
            raise ValueError(f"prompt must be empty for a model of documents, which have no order, got {prompt!r:.80}")
        requested = [None] if symbols is None else read_symbols(self.model, symbols, "symbols").tolist()
        requested = [symbol for symbol in requested for _ in range(num_texts)]
        for start in range(0, len(requested), batch_size):
            batch = requested[start : start + batch_size]
            asked = {"num_samples": len(batch)} if symbols is None else {"class_labels": torch.tensor(batch)}
            if prompt:
                asked["decoder_input_ids"] = torch.tensor([self._begun(prompt)] * len(batch), device=self.model.device)
            if min_label_probability is None:
                yield batch, self._strings(self.model.generate(**asked, **options), prompt), None
            else:
                accepted = generate_accepted(self.model, min_label_probability, **asked, **options)
                yield batch, self._strings(accepted.token_ids, prompt), accepted

    def _writing_options(self) -> dict[str, Any]:
        """Options of `generate` unless others are given: no unknown words, and no more words than there are."""
        config = self.model.config
        if self.model.modality.is_autoregressive:
            return {"suppress_tokens": [config.unk_token_id]}
        num_words = config.vocab_size - len(marks(config))
        return {"max_new_tokens": min(self.model.generation_config.max_new_tokens, num_words)}

    def _begun(self, prompt: str) -> list[int]:
        """Token ids of the beginning of a text, with the begin mark."""
        ids = self.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        return [self.model.config.decoder_start_token_id, *ids]

    # -------------------------------------------------------------------------------------------------------- reading

    def classify(self, texts: str | Sequence[str], **options) -> list[Any]:
        """The likeliest symbols of texts, `{"label", "score"}`. Arguments and errors as in `model.classify`."""
        return self.model.classify(texts, self.tokenizer, **options)

    @torch.no_grad()
    @checked(**READING)
    def latents(self, texts: str | Sequence[str], *, batch_size: int = 256, show_progress: bool = False) -> np.ndarray:
        """
        The means of the posteriors of texts, in float32 and of shape `(num_texts, total_latent_size)`.

        Args:
            texts (`str` or `Sequence[str]`): One text or several. A warning counts words that the tokenizer does not
                know and texts that are cut.
            batch_size (`int`, *optional*, defaults to 256): Number of texts encoded at a time.
            show_progress (`bool`, *optional*, defaults to `False`): Show a progress bar.

        Raises:
            ValueError: If there is no text, or something else than strings; for `batch_size` below 1; for a model with
                contexts or without a latent.
        """
        batches = self._batches(texts, batch_size, show_progress)
        return np.concatenate([_as_array(self.model.encode(**batch).posterior_mean) for _, batch in batches])

    @torch.no_grad()
    @checked(**READING)
    def read(self, texts: str | Sequence[str], *, batch_size: int = 256) -> Any:
        """
        What the model sees in texts: probabilities of the symbols, the latent, and the text decoded from it.

        Args:
            texts, batch_size: As in [`latents`].

        Returns:
            [`Reading`] for a string, `list[Reading]` for several.

        Raises:
            ValueError: As in [`latents`].
        """
        if not self.model.config.has_latent:
            raise ValueError(f"prior={self.model.config.prior!r} has no latent that a text could be encoded into")
        read = []
        for part, batch in self._batches(texts, batch_size):
            posterior = self.model.posterior(**batch)
            logits = self.model.symbol_logits(posterior)
            probabilities = [None] * len(part) if logits is None else map(self._by_name, logits.softmax(-1).tolist())
            copies, latents = self.decode(posterior.mode), _as_array(posterior.expectation)
            read += [Reading(*answer) for answer in zip(part, probabilities, copies, latents, strict=True)]
        return read[0] if isinstance(texts, str) else read

    def explain(self, texts: Sequence[str], **options) -> Explanation:
        """What each symbol is about. Arguments and errors as in `model.explain`."""
        return self.model.explain(texts, self.tokenizer, **options)

    @checked(texts=Texts(or_one=False), num_neighbours=Count(), latents=LATENTS)
    def neighbours(
        self,
        text: str | np.ndarray | torch.Tensor,
        texts: Sequence[str],
        num_neighbours: int = 5,
        *,
        latents: np.ndarray | None = None,
    ) -> list[Neighbour]:
        """
        The texts with the nearest latents.

        Args:
            text (`str`, or a latent of shape `(total_latent_size,)`): What to find neighbours of.
            texts (`Sequence[str]`): The texts to choose from.
            num_neighbours (`int`, *optional*, defaults to 5): The most neighbours to return.
            latents (`np.ndarray` of shape `(num_texts, total_latent_size)`, *optional*): The latents of `texts`, as
                [`latents`] returns them, so that they need not be computed again.

        Returns:
            `list[Neighbour]`: the nearest one first.

        Raises:
            ValueError: If `num_neighbours` is below 1 or there is not one latent for each text; and as in [`latents`].
        """
        latents = self.latents(texts) if latents is None else _as_array(latents)
        if len(latents) != len(texts):
            raise ValueError(f"latents must be one for each of the {len(texts)} texts, got {len(latents)}")
        if isinstance(text, str):
            latent = self.latents(OneText()("text", text))[0]
        else:
            latent = _as_array(LATENT("text", text, self.model))
        distances = np.linalg.norm(latents - latent, axis=1)
        nearest = np.argsort(distances, kind="stable")[:num_neighbours].tolist()
        return [Neighbour(texts[index], index, float(distances[index])) for index in nearest]

    # ------------------------------------------------------------------------------------------------ between the two

    @checked(latents=LATENTS)
    def decode(self, latents: np.ndarray | torch.Tensor) -> list[str]:
        """
        The text of the likeliest words of each latent, `(n, total_latent_size)`. For a model of documents these are
        the likeliest words in descending order, `generation_config.max_new_tokens` of them or all there are.
        """
        return self._strings(self.model.generate(latents=latents.float(), do_sample=False, **self._writing_options()))

    @checked(latents=LATENTS)
    def decode_and_read(self, latents: np.ndarray | torch.Tensor) -> list[WrittenText]:
        """Decode latents as [`decode`] does, and say of each text which symbol the model reads in it."""
        texts = self.decode(latents)
        return [WrittenText(text, None, *symbol) for text, symbol in zip(texts, self._symbols_of(texts), strict=True)]

    @torch.no_grad()
    @checked(first=OneText(), second=OneText(), num_steps=Count(at_least=2, at_most=MOST_STEPS))
    def interpolate(self, first: str, second: str, num_steps: int = 7) -> list[PathStep]:
        """
        Texts at equal steps on the straight line between the latents of two texts.

        Args:
            first, second (`str`): The two texts. The line goes between the likeliest latents of their posteriors.
            num_steps (`int`, *optional*, defaults to 7): Number of texts, with those decoded at both ends; at least 2.

        Raises:
            ValueError: If `num_steps` is below 2; and as in [`latents`].
        """
        ((_, batch),) = self._batches([first, second], 2)
        start, end = self.model.reconstruction_latents(**batch).float()
        shares = torch.linspace(0, 1, num_steps, device=start.device)
        latents = start + shares[:, None] * (end - start)
        steps = zip(shares.tolist(), self.decode_and_read(latents), _as_array(latents), strict=True)
        return [PathStep(share, decoded.text, decoded.read, latent) for share, decoded, latent in steps]

    @checked(texts=Texts(at_least=1))
    def complete(self, texts: str | Sequence[str], **options) -> list[Any]:
        """
        Fill in the gaps of texts. Arguments and errors as in `model.complete_texts`.

        Returns:
            `list[Completion]` for a string, a list of these for several.
        """
        given = [texts] if isinstance(texts, str) else texts
        completions: list[list[Completion]] = self.model.complete_texts(given, self.tokenizer, **options)
        return completions[0] if isinstance(texts, str) else completions

    def respond(self, turns: Sequence[str | Mapping[str, str]], **options) -> list[str] | dict[str, str]:
        """What could be said next in a dialogue. Arguments and errors as in `model.respond`."""
        return self.model.respond(turns, self.tokenizer, **options)

    # --------------------------------------------------------------------------------------------------------- shared

    def _batches(
        self, texts: str | Sequence[str], batch_size: int, show_progress: bool = False
    ) -> Iterator[tuple[list[str], dict[str, torch.Tensor]]]:
        """`batch_size` texts at a time, and what the model reads of them; then a warning of what it does not read."""
        texts = [texts] if isinstance(texts, str) else texts
        reader = TextReader(self.tokenizer, self.model.config, encoder=self.model.encoder)
        with logging.tqdm(total=len(texts), desc="reading", unit="text", disable=not show_progress) as bar:
            for start in range(0, len(texts), batch_size):
                part = texts[start : start + batch_size]
                batch = reader(part).to(self.model.device)
                yield part, {name: batch[name] for name in ("input_ids", "attention_mask")}
                bar.update(len(part))
        reader.warn()

    def _strings(self, token_ids: torch.Tensor, prompt: str = "") -> list[str]:
        """Texts of token ids; those that continue a prompt begin with it as it was written."""
        texts = self.tokenizer.batch_decode(token_ids, skip_special_tokens=True)
        if not prompt:
            return texts
        ids = self._begun(prompt)
        begun = self.tokenizer.decode(ids, skip_special_tokens=True)
        continued = []
        for row, text in zip(token_ids, texts, strict=True):
            if text.startswith(begun):
                continued.append(prompt + text[len(begun) :])
            else:  # what follows changes how the beginning is spelled, such as where n and 't become n't
                continued.append(f"{prompt} {self.tokenizer.decode(row[len(ids) :], skip_special_tokens=True)}")
        return continued

    def _by_name(self, probabilities: list[float]) -> dict[str, float]:
        return {self.model.config.id2label[symbol]: value for symbol, value in enumerate(probabilities)}

    def _symbols_of(self, texts: list[str]) -> list[tuple[str | None, float | None]]:
        """The name and probability of the likeliest symbol of texts that the model wrote."""
        if not self.model.has_symbols:
            return [(None, None)] * len(texts)
        batch = TextReader(self.tokenizer, self.model.config)(texts).to(self.model.device)
        return self._likeliest(self.model.infer_symbols(batch["input_ids"], batch["attention_mask"]))

    def _likeliest(self, probabilities: torch.Tensor) -> list[tuple[str, float]]:
        """The name and probability of the likeliest symbol in each row of p(y|x), `(num_texts, num_symbols)`."""
        values, symbols = probabilities.max(-1)
        names = [self.model.config.id2label[symbol] for symbol in symbols.tolist()]
        return list(zip(names, values.tolist(), strict=True))


def _as_array(values: torch.Tensor) -> np.ndarray:
    return values.float().cpu().numpy()
