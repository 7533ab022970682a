"""Latents that are drawn from a prior once, for the requests of many visitors."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..model.pipeline_ldebm import LDEBMPipeline
from ..model.pipeline_outputs import WrittenText
from ..model.rejection import RequestedTexts
from ..model.text_reading import TextReader

POOL_SIZE = 240
"""Latents in a pool: enough for 20 sentences with 12 attempts each."""
MOST_POOLS = 64
"""The most pools in memory; the one that was asked for the longest time ago is discarded."""


class PooledLatents:
    """
    Draws of a prior for one symbol, or of the whole prior.

    Args:
        pipe ([`LDEBMPipeline`]): A model of texts with latents.
        symbol (`int`, *optional*): The symbol; `None` for the whole prior.
        states (`torch.Tensor` of shape `(num_states, size, total_latent_size)`): The states of each latent from noise
            to data, on the CPU; one state for a prior without levels.
    """

    def __init__(self, pipe: LDEBMPipeline, symbol: int | None, states: torch.Tensor):
        self.pipe, self.symbol, self.states = pipe, symbol, states
        self._likeliest: dict[int, Sentence] = {}

    def order(self, seed: int) -> np.ndarray:
        """The order in which the answer to a request with this seed uses the latents, `(size,)`."""
        return self._random(seed).permutation(self.states.shape[1])

    def write(self, number: int, seed: int, temperature: float = 0.0, least: float = 0.0) -> list[WrittenText]:
        """
        `number` texts of different latents.

        Args:
            number (`int`): At most the size of the pool.
            seed (`int`): Seed of the choice of the latents and of the words.
            temperature (`float`, *optional*, defaults to 0.0): 0 for the likeliest words of each latent, which are
                decoded once for all requests.
            least (`float`, *optional*, defaults to 0.0): Where the model reads the symbol with less probability than
                this, other latents of the pool are tried, at most `MAX_ATTEMPTS` for each text and as long as there
                are any; if too few texts reach it, the best of the others are taken.
        """
        order = self.order(seed).tolist()
        generator = torch.Generator().manual_seed(int(self._random(seed).integers(2**63)))
        requested = RequestedTexts(range(number), least)
        while requested.num_left and order:
            size = min(requested.num_missing, requested.num_left)
            rows, order = order[:size], order[size:]
            for one in self._decode(rows, temperature, generator):
                requested.examine(one)
        written = []
        for _, one, is_accepted, num_candidates in requested.texts():
            if least > 0:
                cost = {"is_accepted": is_accepted, "num_candidates": num_candidates}
                written.append(replace(one.text, **cost))
            else:
                written.append(one.text)
        return written

    def _random(self, seed: int) -> np.random.Generator:
        return np.random.default_rng([seed, 0 if self.symbol is None else self.symbol + 1])

    def _decode(self, rows: list[int], temperature: float, generator: torch.Generator) -> list[Sentence]:
        """A text of each of these latents."""
        if temperature > 0:
            options = {"do_sample": True, "temperature": temperature, "generator": generator}
            options["suppress_tokens"] = [self.pipe.model.config.unk_token_id]
            ids = self.pipe.model.generate(latents=self._latents(rows), **options)
            return self._read(self.pipe.tokenizer.batch_decode(ids, skip_special_tokens=True))
        new = [row for row in rows if row not in self._likeliest]
        if new:
            read = self._read(self.pipe.decode(self._latents(new)))
            self._likeliest.update(zip(new, read, strict=True))
        return [self._likeliest[row] for row in rows]

    def _latents(self, rows: list[int]) -> torch.Tensor:
        return self.states[-1, rows].to(self.pipe.model.device)

    def _read(self, texts: list[str]) -> list[Sentence]:
        model = self.pipe.model
        if not model.has_symbols:
            return [Sentence(WrittenText(text, None, None, None), 1.0) for text in texts]
        batch = TextReader(self.pipe.tokenizer, model.config)(texts).to(model.device)
        probabilities = model.infer_symbols(batch["input_ids"], batch["attention_mask"])
        names, requested = model.config.id2label, self.symbol
        read = []
        for text, row in zip(texts, probabilities.tolist(), strict=True):
            likeliest = int(np.argmax(row))
            name = None if requested is None else names[requested]
            written = WrittenText(text, name, names[likeliest], row[likeliest])
            read.append(Sentence(written, 1.0 if requested is None else row[requested]))
        return read


@dataclass(frozen=True)
class Sentence:
    """A text that a model wrote, and the probability with which it reads the requested symbol in it (1 for none)."""

    text: WrittenText
    probability: float


class LatentPool:
    """
    The pools of a model, by symbol and guidance, each drawn when it is first asked for.

    A request with a seed gets latents of a pool that the seed chooses. The pool itself has a seed of its own, so that
    an answer depends on the request alone: not on what was asked before, nor on whether the pool was discarded.

    Args:
        pipe ([`LDEBMPipeline`]): A model of texts with latents.
        size (`int`, *optional*, defaults to `POOL_SIZE`): Latents in each pool.
        most_pools (`int`, *optional*, defaults to `MOST_POOLS`): The most pools in memory.
    """

    def __init__(self, pipe: LDEBMPipeline, size: int = POOL_SIZE, most_pools: int = MOST_POOLS):
        self.pipe, self.size, self.most_pools = pipe, size, most_pools
        self._pools: OrderedDict[tuple, PooledLatents] = OrderedDict()
        self._lock = threading.RLock()

    def get(self, symbol: int | None = None, guidance_scale: float | None = None) -> PooledLatents:
        """The pool of a symbol, or of the whole prior."""
        key = (symbol, guidance_scale)
        with self._lock:
            if key not in self._pools:
                self._pools[key] = self._draw(symbol, guidance_scale)
            self._pools.move_to_end(key)
            if len(self._pools) > self.most_pools:
                self._pools.popitem(last=False)
            return self._pools[key]

    def _draw(self, symbol: int | None, guidance_scale: float | None) -> PooledLatents:
        model = self.pipe.model
        asked = {"num_samples": self.size}
        if symbol is not None:
            asked["class_labels"] = torch.tensor([symbol])
        if guidance_scale is not None:
            asked["guidance_scale"] = guidance_scale
        if model.prior.has_energy:
            states = model.sample_latents(generator=0, return_trajectory=True, **asked).trajectory
        else:
            states = model.sample_latents(generator=0, **asked)[None]
        return PooledLatents(self.pipe, symbol, states.float().cpu())
