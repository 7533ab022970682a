"""The requests of the demo page: checked against its limits, and answered by a pipeline."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from huggingface_hub import snapshot_download

from ..model.configuration_ldebm import LDEBMConfig
from ..model.explanation import Explanation
from ..model.masked_texts import MASKS, Completion, read_masked_texts
from ..model.pipeline_ldebm import LDEBMPipeline
from ..model.pipeline_outputs import WrittenText
from ..model.text_reading import SURROGATE, is_word_level
from ..reports.latent_map import LatentMap
from ..training.saved_runs import find_checkpoint
from .answers import DecodedPlace, NearbyText, PlacedPath, PlacedReading, ReverseDiffusion
from .batching import BatchedCalls
from .latent_pool import LatentPool
from .limits import BadRequest, Limits, real_number, whole_number
from .map_texts import (
    EXAMPLES,
    GIVEN_TEXTS,
    NUM_MAP_TEXTS,
    WRITTEN,
    WRITTEN_TEXTS,
    lines_of,
    texts_of_checkpoint,
)

ONE_AT_A_TIME = threading.RLock()
"""Held while a model computes: cached weights (`parametrize.cached`) and `generate`'s seed belong to the process."""
NUM_EXAMPLES = 4
NUM_PREPARED = 3
"""The symbols whose latents are drawn when a checkpoint is loaded; the first ones, which the page proposes."""
MOST_AT_ONCE = 16
"""The most requests that are answered in one pass of the model."""
SHORT_SEARCH = {"num_chains": 4, "num_encoder_rounds": 1, "num_rounds": 1, "num_beams": 6}
"""The search for completions, which takes about a fifth of the time of the default one. It keeps more texts than
`Limits.completions`."""
CHECKPOINT_FILES = ["*.json", "*.safetensors", "settings.yaml", GIVEN_TEXTS, WRITTEN_TEXTS, EXAMPLES]


class PageRequests:
    """
    A pipeline with all that a page about it needs. Every answer depends on its request alone.

    Requests that cannot be answered raise [`BadRequest`]. Requests of several threads to read a text, or to decode a
    place of the map, are answered in one pass of the model as far as they come at the same time; the answer is the one
    that the request gets alone, up to the rounding of floating-point numbers. What is written for symbols and shown
    of reverse diffusion are latents that are drawn once for all requests, see [`LatentPool`]; the seed of a request
    chooses among them. Other requests are answered one after another.

    Args:
        pipe ([`LDEBMPipeline`]): A model of texts without contexts. Symbols without a name of their own get names of
            their words, in the loaded model alone.
        texts (`Sequence[str]`): The texts on the map, at least two; not used for a model without a latent.
        origin (`str`, *optional*, defaults to `"texts"`): What these texts are, for the visitor.
        examples (`Sequence[str]`, *optional*): Texts offered as examples; defaults to the first texts of the map.
        limits ([`Limits`], *optional*): The largest values that a request may ask for.

    Raises:
        ValueError: For a model that is not of texts, or has contexts.
    """

    def __init__(
        self,
        pipe: LDEBMPipeline,
        texts: Sequence[str],
        origin: str = "texts",
        examples: Sequence[str] = (),
        limits: Limits | None = None,
    ):
        _require_texts_without_contexts("pipe", pipe.model.config)
        self.pipe, self.model = pipe, pipe.model
        self.origin, self.limits = origin, limits or Limits()
        self.map: LatentMap | None = None
        if self.has_latent and self.has_symbols:
            explanation = pipe.explain(texts, num_samples=0, num_texts=0)
            self.map = LatentMap.fit(explanation.texts, explanation.latents, explanation.assignments)
            self._name_symbols(explanation)
        elif self.has_latent:
            self.map = LatentMap.fit(texts, pipe.latents(texts))
        self.examples = list(examples)[:NUM_EXAMPLES]
        if not self.examples and self.map is not None:
            self.examples = self.map.texts[:NUM_EXAMPLES]
        self.pool = LatentPool(pipe) if self.has_latent else None
        self._read_together = BatchedCalls(pipe.read, ONE_AT_A_TIME, MOST_AT_ONCE)
        self._decode_together = BatchedCalls(self._decode, ONE_AT_A_TIME, MOST_AT_ONCE)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: str | Path,
        *,
        revision: str | None = None,
        num_texts: int = NUM_MAP_TEXTS,
        data: str | None = None,
        limits: Limits | None = None,
        device: str | torch.device = "cpu",
    ) -> Self:
        """
        The requests to a checkpoint, with its map computed on the CPU.

        The map shows the texts in the checkpoint's `texts.txt`, one per line; without that file those in its
        `written.txt`, which the model wrote; else training texts of the corpus that its `settings.yaml` names; else
        texts that the model writes now. The texts in `examples.txt` are offered as examples.

        Args:
            checkpoint (`str` or `Path`): A folder or a Hub id.
            revision (`str`, *optional*): Revision of the Hub's repository.
            num_texts (`int`, *optional*, defaults to 1500): The most texts on the map.
            data (`str`, *optional*): The file that the checkpoint was trained on, if the map may show its texts.
            limits ([`Limits`], *optional*): The largest values that a request may ask for.
            device (`str` or `torch.device`, *optional*, defaults to `"cpu"`): Where requests are computed.

        Raises:
            FileNotFoundError: If there is no such checkpoint.
            ValueError: For a model that is not of texts, or has contexts.
        """
        find_checkpoint(str(checkpoint))
        folder = Path(checkpoint)
        if not folder.is_dir():
            folder = Path(snapshot_download(str(checkpoint), revision=revision, allow_patterns=CHECKPOINT_FILES))
        _require_texts_without_contexts(str(checkpoint), LDEBMConfig.from_pretrained(folder))
        pipe = LDEBMPipeline.from_pretrained(folder, device="cpu")
        texts, origin = texts_of_checkpoint(folder, num_texts, data)
        if len(texts) < 2:
            texts, origin = pipe.write(num_texts=num_texts, generator=0), WRITTEN
        requests = cls(pipe, texts, origin, lines_of(folder / EXAMPLES), limits)
        requests.prepare(list(requests.names.values())[:NUM_PREPARED])
        pipe.to(device)  # last, because a Space with a shared GPU may use it during requests only
        return requests

    @property
    def names(self) -> dict[int, str]:
        """The names of the symbols by id; none for a model without symbols."""
        return dict(self.model.config.id2label) if self.has_symbols else {}

    @property
    def has_latent(self) -> bool:
        """Whether texts have latents; only a language model (`prior="none"`) has none."""
        return self.model.config.has_latent

    @property
    def has_symbols(self) -> bool:
        """Whether the model has symbols."""
        return self.model.has_symbols

    @property
    def has_levels(self) -> bool:
        """Whether latents are sampled by reverse diffusion, which is also the sampling that can be guided."""
        return self.model.prior.has_energy

    @property
    def default_guidance(self) -> float:
        """The model's own guidance scale, at most the limit; 1 for priors without guidance."""
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
        """
        `num_sentences` sentences for each of the symbols or, without symbols, from the whole prior.

        At temperature 0 the likeliest words of each latent are written; above 0 words are sampled. Where the model
        reads the requested symbol with a smaller probability than `min_label_probability`, other latents are tried,
        up to [`~ldebm_hf.model.rejection.MAX_ATTEMPTS`] for each sentence.
        """
        limits = self.limits
        count = whole_number("number of sentences", num_sentences, 1, limits.sentences)
        temperature = real_number("temperature", temperature, 0.0, limits.temperature)
        least = real_number("minimum probability", min_label_probability, 0.0, 1.0)
        ids = self._symbol_ids(symbols)
        seed, guidance = self._seed(seed), self._guidance(guidance_scale, bool(ids))
        with ONE_AT_A_TIME:
            if self.pool is None:
                options = {"do_sample": True, "temperature": temperature} if temperature > 0 else {}
                return self.pipe.write_and_read(None, count, generator=seed, **options)
            pools = [self.pool.get(symbol, **guidance) for symbol in ids or [None]]
            return [one for pool in pools for one in pool.write(count, seed, temperature, least if ids else 0.0)]

    def read(self, text: str, num_nearby: int = 5) -> PlacedReading:
        """The symbols of a text, the text decoded from its own latent, and the texts with the nearest latents."""
        text, notes = self._checked_text("text", text)
        if not self.has_latent:
            raise BadRequest("This checkpoint is a language model without a latent: it writes, but it cannot read.")
        reading = self._read_together(text)
        (place,) = self._places(reading.latent[None])
        return PlacedReading(reading, place, self._nearby(reading.latent, num_nearby), notes)

    def decode_at(self, x: float, y: float, num_nearby: int = 5) -> DecodedPlace:
        """The text decoded from the latent at a place of the map."""
        self._require_map()
        low, high = self.map.limits
        margin = 0.01 * (high - low)  # the page may send a place at the edge with rounded digits
        low, high = low - margin, high + margin
        place = (
            real_number("x", x, float(low[0]), float(high[0])),
            real_number("y", y, float(low[1]), float(high[1])),
        )
        latent = self.map.latent_at(*place)
        decoded = self._decode_together(latent)
        return DecodedPlace(decoded.text, decoded.read, place, self._nearby(latent, num_nearby))

    def interpolate(self, first: str, second: str, num_steps: int = 7) -> PlacedPath:
        """Texts at equal steps on the straight line between the latents of two texts, including both ends."""
        self._require_map()
        num_steps = whole_number("number of steps", num_steps, 3, self.limits.steps)
        ends = [self._checked_text(name, text)[0] for name, text in [("first text", first), ("second text", second)]]
        with ONE_AT_A_TIME:
            steps = self.pipe.interpolate(*ends, num_steps)
        return PlacedPath(steps, self._places(np.stack([step.latent for step in steps])))

    def reverse_diffusion(
        self, symbols: Sequence[str] = (), num_latents: int = 20, guidance_scale: float | None = None, seed: int = 0
    ) -> ReverseDiffusion:
        """
        The states of latents from noise to data, `num_latents` latents for each of the symbols or, without symbols,
        from the whole prior.
        """
        self._require_map()
        if not self.has_levels:
            raise BadRequest("This checkpoint's prior is sampled in one step: there is no reverse diffusion to show.")
        count = whole_number("number of latents", num_latents, 1, self.limits.latents)
        seed = self._seed(seed)
        ids = self._symbol_ids(symbols)
        guidance = self._guidance(guidance_scale, bool(ids))
        with ONE_AT_A_TIME:
            pools = [self.pool.get(symbol, **guidance) for symbol in ids or [None]]
            drawn = [pool.states[:, pool.order(seed)[:count]] for pool in pools]
            shown = torch.stack([states[:, 0] for states in drawn], 1)  # the first latent of each symbol
            texts = self.pipe.decode(shown.flatten(0, 1).to(self.model.device))
        width = shown.shape[1]
        places = np.stack([self.map.plane.project(state) for state in torch.cat(drawn, 1).numpy()])
        texts_by_state = [texts[start : start + width] for start in range(0, len(texts), width)]
        return ReverseDiffusion(places, np.repeat(ids, count) if ids else None, texts_by_state)

    def complete(
        self,
        text: str,
        symbol: str | None = None,
        num_completions: int = 3,
        guidance_scale: float | None = None,
        seed: int = 0,
    ) -> list[Completion]:
        """
        At most `num_completions` different completions of a text in which `<mask>` stands for one missing word and
        `<span>` for one or more, the likeliest first.
        """
        text, _ = self._checked_text("text", text, with_masks=True)
        masks = len(MASKS.findall(text))
        if not 1 <= masks <= self.limits.masks:
            wanted = f"Write <mask> for one missing word or <span> for several, at most {self.limits.masks} in total"
            raise BadRequest(f"{wanted}; this text has {masks or 'none'}.")
        count = whole_number("number of completions", num_completions, 1, self.limits.completions)
        ids = self._symbol_ids([symbol] if symbol else [])
        options = {"class_labels": torch.tensor(ids)} if ids else {}
        options |= self._guidance(guidance_scale, bool(ids)) | {"generator": self._seed(seed)}
        with ONE_AT_A_TIME:
            return self.pipe.complete(text, num_return_sequences=count, allow_fewer=True, **SHORT_SEARCH, **options)

    def notes(self, text: str, with_masks: bool = False) -> list[str]:
        """
        Sentences about the parts of a text that the model does not read; none for a text that requests refuse.

        Args:
            text (`str`): A visitor's text.
            with_masks (`bool`, *optional*, defaults to `False`): Whether it is one to [`complete`].
        """
        try:
            return self._checked_text("text", text, with_masks)[1]
        except BadRequest:
            return []

    def prepare(self, symbols: Sequence[str]) -> None:
        """Draw the latents that the first requests for these symbols, and for none, need."""
        if self.pool is None:
            return
        with ONE_AT_A_TIME:
            self.pool.get()
            for symbol in self._symbol_ids(symbols):
                self.pool.get(symbol, **self._guidance(self.default_guidance, True))

    def _decode(self, latents: Sequence[np.ndarray]) -> list[WrittenText]:
        return self.pipe.decode_and_read(np.stack(latents))

    def _checked_text(self, name: str, text: str, with_masks: bool = False) -> tuple[str, list[str]]:
        """The text on one line, and sentences about the parts of it that the model does not read."""
        if text is not None and not isinstance(text, str):
            raise BadRequest(f"The {name} must be a text, but it is {text!r:.40}.")
        if not text or not text.strip():
            raise BadRequest(f"Please write something: the {name} is empty.")
        if SURROGATE.search(text):
            raise BadRequest(f"The {name} contains half a character (a lone surrogate), which cannot be read.")
        text = " ".join(text.split())
        if len(text) > self.limits.characters:
            most = self.limits.characters
            raise BadRequest(f"The {name} may have at most {most} characters, but it has {len(text)}.")
        allowed = ("<mask>", "<unk>", "<span>") if with_masks else ()
        special = self.pipe.tokenizer.all_special_tokens
        reserved = [token for token in special if token not in allowed and token in text]
        if reserved:
            raise BadRequest(f"The {name} must not contain {' or '.join(reserved)}, which the model uses itself.")
        with ONE_AT_A_TIME:
            length, num_words, unknown = self._words_of(text, with_masks)
        words = "words" if is_word_level(self.pipe.tokenizer) else "pieces of words"
        most = self.pipe.tokenizer.model_max_length - 2
        if with_masks and length > most:
            raise BadRequest(f"The {name} may have at most {most} {words}, but it has {length}.")
        notes = []
        if unknown:
            shown = ", ".join(dict.fromkeys(unknown))
            notes.append(f"The model does not know {len(unknown)} of the {num_words} {words}: {shown}.")
        if length > most:
            notes.append(f"Only the first {most} of the {length} {words} are read.")
        return text, notes

    def _words_of(self, text: str, with_masks: bool) -> tuple[int, int, list[str]]:
        """Number of tokens of a text, and of those but masks, and the words that the model does not know."""
        if with_masks and MASKS.search(text):
            masked = read_masked_texts([text], self.pipe.tokenizer, self.model.config.vocab_size)
            return len(masked.token_ids[0]) - 2, masked.unread.num_words, masked.unknown_words[0]
        encoded = self.pipe.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids, spans = encoded["input_ids"], encoded["offset_mapping"]
        unknown_id = self.model.config.unk_token_id
        unknown = [text[start:end] for token, (start, end) in zip(ids, spans, strict=True) if token == unknown_id]
        return len(ids), len(ids), unknown

    def _symbol_ids(self, symbols: str | Sequence[str] | None) -> list[int]:
        """The ids of symbols that a visitor chose by name, without repetitions."""
        names = [symbols] if isinstance(symbols, str) else symbols or []
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise BadRequest(f"The symbols must be a list of names, but they are {symbols!r:.40}.")
        names = list(dict.fromkeys(names))
        if names and not self.has_symbols:
            raise BadRequest("This checkpoint has no symbols to write for.")
        if len(names) > self.limits.symbols:
            raise BadRequest(f"Please choose at most {self.limits.symbols} symbols; {len(names)} are chosen.")
        ids = {name: symbol for symbol, name in self.names.items()}
        missing = [name for name in names if name not in ids]
        if missing:
            known = ", ".join(ids)
            raise BadRequest(f"There is no symbol called {', '.join(missing):.80}. Symbols: {known:.400}.")
        return [ids[name] for name in names]

    def _guidance(self, guidance_scale: float | None, has_symbol: bool) -> dict[str, float]:
        if guidance_scale is None or not has_symbol or not self.has_levels:
            return {}
        return {"guidance_scale": real_number("guidance", guidance_scale, 0.0, self.limits.guidance_scale)}

    def _seed(self, seed: int) -> int:
        return whole_number("seed", seed, 0, self.limits.seed)

    def _require_map(self) -> None:
        if self.map is None:
            raise BadRequest("This checkpoint is a language model without a latent: there is no map of it.")

    def _places(self, latents: np.ndarray) -> list[tuple[float, float]]:
        """The places of latents on the map."""
        return [(float(x), float(y)) for x, y in self.map.plane.project(latents)]

    def _nearby(self, latent: np.ndarray, number: int) -> list[NearbyText]:
        """The `number` texts of the map with the nearest latents, the nearest first."""
        found = self.pipe.neighbours(latent, self.map.texts, number, latents=self.map.latents)
        symbols = [None if self.map.symbols is None else self.names[self.map.symbols[one.index]] for one in found]
        return [NearbyText(one.text, symbol, one.distance) for one, symbol in zip(found, symbols, strict=True)]

    def _name_symbols(self, explanation: Explanation) -> None:
        """Give the symbols that have texts but no name of their own the names that an explanation suggests."""
        taken, names = set(self.names.values()), {}
        for symbol, name in self.names.items():
            suggested = explanation.suggested_names[symbol]
            has_texts = explanation.symbols[symbol].num_texts > 0
            if name == f"LABEL_{symbol}" and has_texts and suggested not in taken and not suggested.isdigit():
                names[symbol] = suggested
        if names:
            self.model.name_symbols(self.names | names)


def _require_texts_without_contexts(name: str, config: LDEBMConfig) -> None:
    if not config.modality_class.is_autoregressive or config.context_size:
        got = "one of texts in contexts" if config.context_size else f"one of {config.modality}s"
        raise ValueError(f"{name} must be a model of texts without contexts, got {got}")
