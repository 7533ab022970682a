"""Many sentences into one file: in chunks, with bounded memory, resumable after a kill at any moment.

While a request is under way, the folder `.NAME.parts` beside the file holds `request.json`, which says what was asked
for, and one part per finished chunk, each renamed into place when it is whole. A chunk's noise comes from the seed and
the chunk's number alone, so it does not matter which run writes it. At the end the parts are joined and removed.
"""

import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from .modeling_ldebm import LDEBMModel
from .training.atomic import flush, write_text

COLUMNS = ("index", "symbol", "text")
SET_HERE = {"generator", "input_ids", "inputs", "latents", "num_return_sequences", "return_dict_in_generate"}
PARQUET_BLOCK = 2**24  # bytes of JSON that make one row group


def write_samples(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    path: str | Path,
    num_samples: int,
    *,
    class_labels: int | str | Sequence[int | str] | torch.Tensor | None = None,
    batch_size: int = 1024,
    seed: int = 0,
    overwrite: bool = False,
    show_progress: bool = True,
    **generation_kwargs,
) -> None:
    """
    Write samples of the prior as text into a JSONL or parquet file.

    If the process is killed, the same call goes on where it stopped, and the finished file has the same bytes as that
    of an uninterrupted run on the same machine with as many threads. Records have an `index` from 0 on, the name of
    the `symbol` asked for (null if none), and the `text`. One process at a time may write a file.

    Args:
        model ([`LDEBMModel`]): In evaluation mode, as `from_pretrained` leaves it.
        tokenizer (`PreTrainedTokenizerBase`): Turns its tokens into text.
        path (`str` or `Path`): The file, `.jsonl` or `.parquet` (which needs pyarrow). It appears when it is finished.
        num_samples (`int`): Number of sentences; with symbols, of each of them.
        class_labels (`int`, `str` or a sequence of them, *optional*): Symbols by id or name, written for one after the
            other.
        batch_size (`int`, *optional*, defaults to 1024): Sentences drawn and decoded at a time. Other sizes give other
            sentences.
        seed (`int`, *optional*, defaults to 0): Decides all noise; at least 0.
        overwrite (`bool`, *optional*, defaults to `False`): Replace an existing file, and discard a different request
            that is under way there. One without a finished chunk is discarded in any case.
        show_progress (`bool`, *optional*, defaults to `True`): Show a progress bar with sentences per second.
        generation_kwargs: As in [`~LDEBMModel.generate`]: `guidance_scale`, `num_langevin_steps`, and transformers'
            decoding options as far as they are plain values.

    Raises:
        ValueError: If the file's ending, a number or an option is not allowed, or a different request is under way in
            the same place.
        FileExistsError: If the file exists and is not to be overwritten.
        ImportError: If the file is to be parquet and pyarrow is not installed.
        OSError: If the disk is full or the place cannot be written; finished chunks stay for the same call later.
    """
    path = Path(path)
    _check_arguments(path, num_samples, batch_size, seed, generation_kwargs)
    symbols = [None] if class_labels is None else model.symbol_ids(class_labels).tolist()
    if not symbols:
        raise ValueError(f"class_labels must name at least one symbol, got {class_labels!r}")
    total = num_samples * len(symbols)
    request = {
        "num_samples": num_samples,
        "class_labels": symbols,
        "batch_size": batch_size,
        "seed": seed,
        **generation_kwargs,
        "the device": model.device.type,
        "the model": _model_digest(model),
        "the sampler": _sampler_options(model),
        "the tokenizer": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:16],
    }

    def lines(chunk: int, rows: range) -> str:
        asked = [symbols[row // num_samples] for row in rows]
        token_ids = model.generate(
            num_samples=len(rows),
            class_labels=None if class_labels is None else asked,
            generator=_chunk_generator(seed, chunk),
            num_return_sequences=1,
            return_dict_in_generate=False,
            **generation_kwargs,
        )
        texts = tokenizer.batch_decode(token_ids, skip_special_tokens=True)
        names = [None if symbol is None else model.config.id2label[symbol] for symbol in asked]
        records = [dict(zip(COLUMNS, values, strict=True)) for values in zip(rows, names, texts, strict=True)]
        return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)

    chunks = [range(first, min(first + batch_size, total)) for first in range(0, total, batch_size)]
    parts = _Parts(path, len(chunks))
    parts.begin(request, overwrite)
    missing = [chunk for chunk in range(len(chunks)) if not parts[chunk].exists()]
    done = total - sum(len(chunks[chunk]) for chunk in missing)
    with tqdm(total=total, initial=done, unit=" sentences", smoothing=0.05, disable=not show_progress) as bar:
        for chunk in missing:
            parts.add(chunk, lines(chunk, chunks[chunk]))
            bar.update(len(chunks[chunk]))
    parts.join()


class _Parts:
    """The parts of the file at `path`, from the request's first chunk to the finished file."""

    def __init__(self, path: Path, number: int):
        self.path, self.number = path, number
        self.folder = path.with_name(f".{path.name}.parts")
        self.request = self.folder / "request.json"

    def __getitem__(self, chunk: int) -> Path:
        return self.folder / f"part-{chunk:08d}.jsonl"

    def begin(self, request: dict[str, Any], overwrite: bool) -> None:
        """Make the folder, or find it as an earlier run of the same request left it."""
        if self.request.exists():
            earlier = json.loads(self.request.read_text(encoding="utf-8"))
            changes = _differences(earlier, json.loads(json.dumps(request)))
            if not changes:
                return
            if not overwrite and any(self.folder.glob("part-*.jsonl")):
                raise ValueError(
                    f"{self.folder} holds a different request that is not finished: {'; '.join(changes)}. The earlier "
                    "request goes on with it, overwriting discards it, another file leaves it alone"
                )
        shutil.rmtree(self.folder, ignore_errors=True)  # of another request, or what `join` did not get to remove
        if self.path.exists() and not overwrite:
            raise FileExistsError(f"{self.path} exists already: overwrite it, or choose another file")
        self.folder.mkdir(parents=True)
        write_text(self.request, json.dumps(request, ensure_ascii=False, indent=1))

    def add(self, chunk: int, text: str) -> None:
        self._attempt(lambda: write_text(self[chunk], text))

    def join(self) -> None:
        """Put the parts together to the finished file, and remove them."""
        self._attempt(self._join)
        self.request.unlink()  # first of all, so that a kill leaves no request with holes
        shutil.rmtree(self.folder)

    def _join(self) -> None:
        joined = self.folder / "joined.jsonl"
        with open(joined, "wb") as target:
            for chunk in range(self.number):
                with open(self[chunk], "rb") as part:
                    shutil.copyfileobj(part, target)
        if self.path.suffix == ".parquet":
            joined = _to_parquet(joined)
        flush(joined)
        os.replace(joined, self.path)
        flush(self.path.parent)

    def _attempt(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            finished = sum(self[chunk].exists() for chunk in range(self.number))
            raise OSError(
                f"{self.path} could not be written: {error.strerror}. {finished} of {self.number} chunks are finished "
                f"and stay in {self.folder}; the same request goes on from there"
            ) from error


def _to_parquet(jsonl: Path) -> Path:
    import pyarrow
    from pyarrow.json import ParseOptions, ReadOptions, open_json
    from pyarrow.parquet import ParquetWriter

    schema = pyarrow.schema(zip(COLUMNS, (pyarrow.int64(), pyarrow.string(), pyarrow.string()), strict=True))
    parquet = jsonl.with_suffix(".parquet")
    blocks = open_json(jsonl, ReadOptions(block_size=PARQUET_BLOCK), ParseOptions(explicit_schema=schema))
    with blocks, ParquetWriter(parquet, schema) as writer:
        for block in blocks:
            writer.write_batch(block)
    return parquet


def _check_arguments(path: Path, num_samples: int, batch_size: int, seed: int, generation_kwargs: dict) -> None:
    if path.suffix not in (".jsonl", ".parquet"):
        raise ValueError(f"the file must end in .jsonl or .parquet, got {str(path)!r}")
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ImportError(f"writing {path} needs pyarrow: pip install pyarrow")
    for name, value, least in (("num_samples", num_samples, 1), ("batch_size", batch_size, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    for name, value in generation_kwargs.items():
        if name in SET_HERE:
            raise ValueError(f"write_samples takes no {name}")
        try:
            json.dumps(value)
        except TypeError:
            raise ValueError(f"{name} must be a plain value, which can be written down, got {value!r}") from None


def _sampler_options(model: LDEBMModel) -> dict[str, str]:
    options = model.prior.sampler_options if model.config.prior == "diffusion" else {}
    return {name: str(value) for name, value in options.items()}


def _chunk_generator(seed: int, chunk: int) -> torch.Generator:
    (state,) = np.random.SeedSequence([seed, chunk]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state))


def _model_digest(model: LDEBMModel) -> str:
    """A digest of all that is saved with the model and decides what it writes."""
    settings = [config.to_diff_dict() for config in (model.config, model.generation_config)]
    for values in settings:
        values.pop("transformers_version", None)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _differences(earlier: dict[str, Any], now: dict[str, Any]) -> list[str]:
    names = [*earlier, *(name for name in now if name not in earlier)]
    return [
        f"{name} was {earlier.get(name)!r} and is now {now.get(name)!r}"
        for name in names
        if earlier.get(name) != now.get(name)
    ]
