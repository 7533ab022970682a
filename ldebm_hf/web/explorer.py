"""What one tries with a model by hand: small requests, checked and answered for the visitor of a page."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from huggingface_hub import snapshot_download
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ..model.configuration_ldebm import LDEBMConfig
from ..model.masked_texts import MASKS, Completion
from ..model.modeling_ldebm import LDEBMModel
from ..reports.latent_map import LatentMap
from ..training.saved_runs import find_checkpoint, settings_of
from .explorer_answers import DecodedPlace, Neighbour, PathStep, Reading, ReverseDiffusion, WrittenText
from .explorer_requests import BadRequest, Limits, real_number, whole_number

ONE_AT_A_TIME = threading.RLock()
"""Held while a model computes: cached weights (`parametrize.cached`) and `generate`'s seed are the process's."""
NUM_MAP_TEXTS = 1500
NUM_EXAMPLES = 4
GIVEN_TEXTS, WRITTEN_TEXTS, EXAMPLES = "texts.txt", "written.txt", "examples.txt"
"""What a checkpoint may bring, one text a line: real ones or ones that it wrote for the map, and some to try first."""
WRITTEN = "texts that the model wrote itself"
CHECKPOINT_FILES = ["*.json", "*.safetensors", "settings.yaml", GIVEN_TEXTS, WRITTEN_TEXTS, EXAMPLES]


class Explorer:
    """
    A model of texts with what a page about it needs. Every request is independent of all others.

    Requests that cannot be answered raise [`BadRequest`]. Threads take turns.

    Args:
        model ([`LDEBMModel`]), tokenizer (`PreTrainedTokenizerBase`): Of texts, in evaluation mode.
        texts (`Sequence[str]`): Those on the map, at least two; of a model without a latent none are read.
        origin (`str`, *optional*, defaults to `"texts"`): What they are, for the reader.
        examples (`Sequence[str]`, *optional*): To be tried first; default the first texts of the map.
        limits ([`Limits`], *optional*): The most that is allowed.
    """

    def __init__(
        self,
        model: LDEBMModel,
        tokenizer: PreTrainedTokenizerBase,
        texts: Sequence[str],
        origin: str = "texts",
        examples: Sequence[str] = (),
        limits: Limits | None = None,
    ):
        _require_plain_texts("model", model.config)
        self.model, self.tokenizer = model.eval(), tokenizer
        self.origin, self.limits = origin, limits or Limits()
        self.names: dict[int, str] = dict(model.config.id2label) if model.has_symbols else {}
        self.map: LatentMap | None = None
        if self.has_latent and self.has_symbols:
            found = model.explain(list(texts), tokenizer, num_samples=0, num_texts=0)
            self.map = LatentMap.fit(found.texts, found.latents, found.assignments)
            taken = set(self.names.values())
            for symbol, name in self.names.items():
                suggested = found.suggested_names[symbol]
                if name == f"LABEL_{symbol}" and found.symbols[symbol].num_texts and suggested not in taken:
                    self.names[symbol] = suggested
        elif self.has_latent:
            self.map = LatentMap.fit(texts, self._latents(texts))
        own = self.map.texts[:NUM_EXAMPLES] if self.map else []
        self.examples = list(examples)[:NUM_EXAMPLES] or own

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: str | Path,
        *,
        revision: str | None = None,
        num_texts: int = NUM_MAP_TEXTS,
        limits: Limits | None = None,
        device: str | torch.device = "cpu",
    ) -> Self:
        """
        The explorer of a folder or Hub id, its map computed on the CPU.

        On the map are the texts in its `texts.txt`, one per line; else those in its `written.txt`, which the model
        wrote; else training texts of the corpus that its `settings.yaml` names; else texts that the model writes now.
        `examples.txt` has texts to be tried first.

        Raises:
            FileNotFoundError: If there is no such checkpoint.
            ValueError: For one that is no model of texts, or one of texts in contexts.
        """
        find_checkpoint(str(checkpoint))
        folder = Path(checkpoint)
        if not folder.is_dir():
            folder = Path(snapshot_download(str(checkpoint), revision=revision, allow_patterns=CHECKPOINT_FILES))
        model = LDEBMModel.from_pretrained(folder)
        _require_plain_texts(str(checkpoint), model.config)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        texts, origin = texts_of(folder, num_texts)
        if len(texts) < 2:
            texts, origin = written_texts(model, tokenizer, num_texts), WRITTEN
        explorer = cls(model, tokenizer, texts, origin, _lines(folder / EXAMPLES), limits)
        model.to(device)  # last, because on a shared GPU nothing may be computed before a request has it
        return explorer

    @property
    def has_latent(self) -> bool:
        """Whether texts have latents: all but pure language models."""
        return self.model.config.prior != "none"

    @property
    def has_symbols(self) -> bool:
        """Whether there are symbols to ask for and to read."""
        return self.model.has_symbols

    @property
    def has_levels(self) -> bool:
        """Whether latents come about by reverse diffusion, which also is what guidance steers."""
        return self.model.config.prior == "diffusion"

    @property
    def default_guidance(self) -> float:
        """The model's own guidance scale as far as the limit allows it; 1 for priors that are not guided."""
        scale = self.model.config.label_guidance if self.has_levels else 1.0
        if scale is None:
            scale = 1 / float(self.model.prior.levels.temperature[0])
        return min(float(scale), self.limits.guidance_scale)

    def write(
        self,
        symbols: Sequence[str] = (),
        num_sentences: int = 5,
        guidance_scale: float | None = None,
        temperature: float = 0.0,
        min_label_probability: float = 0.0,
        seed: int = 0,
    ) -> list[WrittenText]:
        """Sentences, for each of the symbols or, without any, from the whole prior; at temperature 0 the likeliest
        words of each latent, above it draws. Those in which the model reads the symbol with less than
        `min_label_probability` are written again, some times over."""
        limits = self.limits
        count = whole_number("number of sentences", num_sentences, 1, limits.sentences)
        warmth = real_number("temperature", temperature, 0.0, limits.temperature)
        least = real_number("least probability", min_label_probability, 0.0, 1.0)
        generator = self._generator(seed)
        ids = self._symbol_ids(symbols)
        asked = [symbol for symbol in ids for _ in range(count)]
        options = {"class_labels": asked} if asked else {"num_samples": count}
        if warmth > 0:
            options |= {"do_sample": True, "temperature": warmth}
        if least > 0 and asked:
            options["min_label_probability"] = least
        options |= self._guidance(guidance_scale, bool(asked)) | _known_words(self.model)
        with ONE_AT_A_TIME:
            written = self.model.generate(generator=generator, **options)
            texts = self.tokenizer.batch_decode(written, skip_special_tokens=True)
            read = self._symbols_of(texts)
        names = [self.names[symbol] for symbol in asked] or [None] * len(texts)
        return [WrittenText(text, name, *own) for text, name, own in zip(texts, names, read, strict=True)]

    @torch.no_grad()
    def read(self, text: str, num_neighbours: int = 5) -> Reading:
        """What the model makes of a text: symbols, the text from its latent again, and texts with latents near it."""
        text, notes = self._checked_text("text", text)
        if not self.has_latent:
            raise BadRequest("This checkpoint is a language model without a latent: it writes, but it cannot read.")
        with ONE_AT_A_TIME:
            batch = self._batch([text])
            posterior = self.model.encode(batch["input_ids"], batch["attention_mask"])
            copy = self._decode(self.model.reconstruction_latents(batch["input_ids"], batch["attention_mask"]))[0]
        probabilities = None
        if posterior.symbol_logits is not None:
            shares = posterior.symbol_logits[0].softmax(-1).tolist()
            probabilities = {self.names[symbol]: share for symbol, share in enumerate(shares)}
        latent = posterior.posterior_mean[0].float().cpu().numpy()
        place = _pair(self.map.plane.project(latent[None])[0])
        return Reading(probabilities, copy, place, self._neighbours(latent, num_neighbours), notes)

    def decode_at(self, x: float, y: float, num_neighbours: int = 5) -> DecodedPlace:
        """The text behind a place of the map."""
        self._require_map()
        low, high = self.map.limits
        margin = 0.01 * (high - low)  # a place at the edge may come back with its digits rounded
        low, high = low - margin, high + margin
        place = tuple(
            real_number(name, value, float(low[axis]), float(high[axis]))
            for axis, (name, value) in enumerate([("x", x), ("y", y)])
        )
        latent = self.map.latent_at(*place)
        with ONE_AT_A_TIME:
            text = self._decode(torch.as_tensor(latent[None], dtype=torch.float32))[0]
            symbol, _ = self._symbols_of([text])[0]
        return DecodedPlace(text, symbol, place, self._neighbours(latent, num_neighbours))

    @torch.no_grad()
    def interpolate(self, first: str, second: str, num_steps: int = 7) -> list[PathStep]:
        """Texts at equal steps on the straight line between the latents of two, both ends included."""
        self._require_map()
        steps = whole_number("number of steps", num_steps, 3, self.limits.steps)
        ends = [self._checked_text(name, text)[0] for name, text in [("first text", first), ("second text", second)]]
        with ONE_AT_A_TIME:
            start, end = self.model.reconstruction_latents(*self._batch(ends).values()).float()
            shares = torch.linspace(0, 1, steps, device=start.device)
            latents = start + shares[:, None] * (end - start)
            texts = self._decode(latents)
            symbols = [symbol for symbol, _ in self._symbols_of(texts)]
        places = map(_pair, self.map.plane.project(latents.cpu().numpy()))
        return [PathStep(*step) for step in zip(shares.tolist(), texts, symbols, places, strict=True)]

    def reverse_diffusion(
        self, symbols: Sequence[str] = (), num_latents: int = 20, guidance_scale: float | None = None, seed: int = 0
    ) -> ReverseDiffusion:
        """Latents on their way from noise to data, so many for each symbol or, without any, of the whole prior."""
        self._require_map()
        if not self.has_levels:
            raise BadRequest("This checkpoint's prior is sampled in one go: there is no reverse diffusion to watch.")
        count = whole_number("number of latents", num_latents, 1, self.limits.latents)
        generator = self._generator(seed)
        ids = self._symbol_ids(symbols)
        asked = [symbol for symbol in ids for _ in range(count)]
        options = {"class_labels": asked} if asked else {"num_samples": count}
        options |= self._guidance(guidance_scale, bool(asked))
        with ONE_AT_A_TIME:
            states = self.model.sample_latents(generator=generator, return_trajectory=True, **options).trajectory
            shown = states[:, ::count]  # the first of each symbol
            texts = self._decode(shown.flatten(0, 1))
        width = shown.shape[1]
        places = np.stack([self.map.plane.project(state) for state in states.float().cpu().numpy()])
        by_state = [texts[start : start + width] for start in range(0, len(texts), width)]
        return ReverseDiffusion(places, np.array(asked) if asked else None, by_state)

    def complete(
        self,
        text: str,
        symbol: str | None = None,
        num_completions: int = 3,
        guidance_scale: float | None = None,
        seed: int = 0,
    ) -> list[Completion]:
        """Completions of a text in which `<mask>` is a missing word and `<span>` one or more, the likeliest first."""
        text, _ = self._checked_text("text", text, with_masks=True)
        masks = len(MASKS.findall(text))
        if not 1 <= masks <= self.limits.masks:
            wanted = f"Write <mask> for a missing word or <span> for several, at most {self.limits.masks} in all"
            raise BadRequest(f"{wanted}; this text has {masks or 'none'}.")
        count = whole_number("number of completions", num_completions, 1, self.limits.completions)
        ids = self._symbol_ids([symbol] if symbol else [])
        options = {"class_labels": ids} if ids else {}
        options |= self._guidance(guidance_scale, bool(ids))
        with ONE_AT_A_TIME:
            found = self._completions(text, count, seed, options)
        return found

    def _completions(self, text: str, count: int, seed: int, options: dict) -> list[Completion]:
        generator = self._generator(seed)
        try:
            return self.model.complete_texts(
                [text], self.tokenizer, num_return_sequences=count, generator=generator, **options
            )[0]
        except ValueError:
            if count == 1:
                raise
            return self._completions(text, 1, seed, options)  # there are not so many different ones

    def _checked_text(self, name: str, text: str, with_masks: bool = False) -> tuple[str, list[str]]:
        """The text on one line, and sentences about what of it the model does not read."""
        if not isinstance(text, str) or not text.strip():
            raise BadRequest(f"Please write something: the {name} is empty.")
        text = " ".join(text.split())
        if len(text) > self.limits.characters:
            most = self.limits.characters
            raise BadRequest(f"The {name} may have {most} characters at most, and this one has {len(text)}.")
        kept = ("<mask>", "<unk>", "<span>") if with_masks else ()
        reserved = [t for t in self.tokenizer.all_special_tokens if t not in kept and t in text]
        if reserved:
            raise BadRequest(f"The {name} must not hold {' or '.join(reserved)}, which the model uses itself.")
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, spans = encoded["input_ids"], encoded["offset_mapping"]
        most = self.tokenizer.model_max_length - 2
        if with_masks and len(ids) > most:
            raise BadRequest(f"The {name} may have {most} words at most, and this one has {len(ids)}.")
        notes = []
        unknown = [text[start:end] for token, (start, end) in zip(ids, spans, strict=True)
                   if token == self.model.config.unk_token_id]  # fmt: skip
        if unknown:
            shown = ", ".join(dict.fromkeys(unknown))
            notes.append(f"The model does not know {len(unknown)} of the {len(ids)} words: {shown}.")
        if len(ids) > most:
            notes.append(f"Only the first {most} of the {len(ids)} words are read.")
        return text, notes

    def _symbol_ids(self, symbols: Sequence[str] | None) -> list[int]:
        names = [symbols] if isinstance(symbols, str) else list(dict.fromkeys(symbols or []))
        if names and not self.has_symbols:
            raise BadRequest("This checkpoint has no symbols to ask for.")
        if len(names) > self.limits.symbols:
            raise BadRequest(f"Please choose {self.limits.symbols} symbols at most; these are {len(names)}.")
        known = {name: symbol for symbol, name in self.names.items()}
        missing = [str(name) for name in names if name not in known]
        if missing:
            there_are = ", ".join(known)
            raise BadRequest(f"There is no symbol called {', '.join(missing):.80}. Symbols: {there_are:.400}.")
        return [known[name] for name in names]

    def _guidance(self, guidance_scale: float | None, has_symbol: bool) -> dict[str, float]:
        if guidance_scale is None or not has_symbol or not self.has_levels:
            return {}
        return {"guidance_scale": real_number("guidance", guidance_scale, 0.0, self.limits.guidance_scale)}

    def _generator(self, seed: int) -> torch.Generator:
        return torch.Generator(self.model.device).manual_seed(whole_number("seed", seed, 0, self.limits.seed))

    def _require_map(self) -> None:
        if self.map is None:
            raise BadRequest("This checkpoint is a language model without a latent: there is no map of it.")

    def _batch(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        batch = self.tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True).to(self.model.device)
        return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}

    @torch.no_grad()
    def _latents(self, texts: Sequence[str], batch_size: int = 256) -> np.ndarray:
        parts = [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]
        means = [self.model.encode(**self._batch(part)).posterior_mean.float().cpu().numpy() for part in parts]
        return np.concatenate(means)

    def _decode(self, latents: torch.Tensor) -> list[str]:
        latents = latents.to(self.model.device)
        ids = self.model.generate(latents=latents, do_sample=False, **_known_words(self.model))
        return self.tokenizer.batch_decode(ids, skip_special_tokens=True)

    def _symbols_of(self, texts: list[str]) -> list[tuple[str | None, float | None]]:
        """The likeliest symbol of each text and its probability."""
        if not self.has_symbols:
            return [(None, None)] * len(texts)
        shares, symbols = self.model.infer_symbols(**self._batch(texts)).max(-1)
        return [(self.names[symbol], share) for symbol, share in zip(symbols.tolist(), shares.tolist(), strict=True)]

    def _neighbours(self, latent: np.ndarray, number: int) -> list[Neighbour]:
        order, distances = self.map.nearest(latent, number)
        symbols = [None] * len(order) if self.map.symbols is None else [self.names[self.map.symbols[i]] for i in order]
        texts = [self.map.texts[i] for i in order]
        return [Neighbour(*near) for near in zip(texts, symbols, distances.tolist(), strict=True)]


def texts_of(folder: Path, number: int, seed: int = 0) -> tuple[list[str], str]:
    """At most so many texts that a checkpoint brings or names, and what they are; none if it does neither."""
    if texts := _lines(folder / GIVEN_TEXTS):
        return _some(texts, number, seed), "texts that come with the checkpoint"
    if texts := _lines(folder / WRITTEN_TEXTS):
        return _some(texts, number, seed), WRITTEN
    try:
        settings = settings_of(str(folder))
        if settings is None or settings.data.streaming:
            return [], ""
        texts = settings.load_corpus().train.texts
    except (OSError, ValueError, ImportError):  # the corpus is not here, which is no fault of the checkpoint's
        return [], ""
    source = settings.data.source
    origin = "a built-in synthetic corpus" if source == "synthetic" else Path(source).name
    return _some(texts, number, seed), f"training texts of {origin}"


def written_texts(model: LDEBMModel, tokenizer: PreTrainedTokenizerBase, number: int, seed: int = 0) -> list[str]:
    """So many texts that a model writes from its whole prior."""
    generator = torch.Generator(model.device).manual_seed(seed)
    ids = model.generate(num_samples=number, generator=generator, **_known_words(model))
    return tokenizer.batch_decode(ids, skip_special_tokens=True)


def _lines(file: Path) -> list[str]:
    """The lines of a text file that are not empty; none without the file."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [line for line in lines if line.strip()]


def _known_words(model: LDEBMModel) -> dict[str, list[int]]:
    """Arguments of `generate` by which the unknown word, which says nothing to a reader, is not written."""
    return {"suppress_tokens": [model.config.unk_token_id]}


def _some(texts: list[str], number: int, seed: int) -> list[str]:
    if len(texts) <= number:
        return texts
    chosen = np.random.default_rng(seed).choice(len(texts), number, replace=False)
    return [texts[index] for index in np.sort(chosen)]


def _pair(place: np.ndarray) -> tuple[float, float]:
    return float(place[0]), float(place[1])


def _require_plain_texts(name: str, config: LDEBMConfig) -> None:
    if config.modality != "text" or config.context_size:
        got = "one of texts in contexts" if config.context_size else f"one of {config.modality}s"
        raise ValueError(f"{name} must be a model of texts without contexts, got {got}")
