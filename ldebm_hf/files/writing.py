"""Writing any number of generated texts to a file: in chunks, with bounded memory, and resumable after a kill."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from ..model.sampling import one_warning_of_chains
from ..model.text_reading import decode_words
from .resumable import ResumableFile, chunk_generator, model_digest

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel

COLUMNS = ("index", "symbol", "text")
NOT_ALLOWED = {"generator", "input_ids", "inputs", "num_return_sequences", "return_dict_in_generate"}
"""Arguments of `generate` that `write_samples` sets itself."""
PARQUET_BLOCK = 2**24  # bytes of JSON per row group


@one_warning_of_chains()
def write_samples(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    path: str | Path,
    num_samples: int,
    *,
    class_labels: int | str | Sequence[int | str] | torch.Tensor | None = None,
    latents: torch.Tensor | None = None,
    batch_size: int = 1024,
    seed: int = 0,
    overwrite: bool = False,
    show_progress: bool = True,
    **generation_kwargs,
) -> None:
    """
    Write texts generated from samples of the prior, or from `latents`, to a JSONL or parquet file.

    If the process is killed, the same call continues where it stopped. The finished file has the same bytes as that of
    an uninterrupted run on the same machine with the same number of threads. Each record has an `index`, counted from
    0, the name of the `symbol` asked for (null if none), and the `text`. Only one process at a time can write a file.

    Args:
        model ([`LDEBMModel`]): In evaluation mode, as `from_pretrained` returns it.
        tokenizer (`PreTrainedTokenizerBase`): The model's.
        path (`str` or `Path`): The file, `.jsonl` or `.parquet` (which needs pyarrow). It appears when it is complete.
        num_samples (`int`): Number of texts; with `class_labels`, of each symbol.
        class_labels (`int`, `str` or a sequence of them, *optional*): Symbols by id or name, as in
            [`~LDEBMModel.symbol_ids`]. Their texts are written one symbol after the other.
        latents (`torch.Tensor` of shape `(num_samples, total_latent_size)`, *optional*): Latents to generate from
            instead of samples of the prior. Cannot be used with `class_labels`.
        batch_size (`int`, *optional*, defaults to 1024): Number of texts generated at a time. Another size gives other
            texts.
        seed (`int`, *optional*, defaults to 0): Seed of all noise; at least 0.
        overwrite (`bool`, *optional*, defaults to `False`): Replace an existing file, and discard the unfinished
            chunks of a different request. A request without any finished chunk is always discarded.
        show_progress (`bool`, *optional*, defaults to `True`): Show a progress bar.
        generation_kwargs: As in [`~LDEBMModel.generate`]: `guidance_scale`, `num_langevin_steps`, and those decoding
            options of transformers that are plain values.

    Raises:
        ValueError: The suffix of the file, a number or an option is not allowed, or a different request is unfinished
            in the same place.
        FileExistsError: The file exists, and `overwrite` is false.
        ImportError: The file is to be parquet, and pyarrow is not installed.
        OSError: The disk is full or the file cannot be written, or another process is writing it. The same call can
            continue from the finished chunks.
    """
    path = Path(path)
    _check_arguments(path, num_samples, batch_size, seed, generation_kwargs)
    if latents is not None and class_labels is not None:
        raise ValueError(f"latents cannot be used with class_labels, got class_labels={class_labels!r}")
    if latents is not None and len(latents) != num_samples:
        raise ValueError(f"latents must have num_samples={num_samples} rows, got {len(latents)}")
    symbols = [None] if class_labels is None else model.symbol_ids(class_labels).tolist()
    if not symbols:
        raise ValueError(f"class_labels must name at least one symbol, got {class_labels!r}")
    request = {
        "num_samples": num_samples,
        "class_labels": symbols,
        "batch_size": batch_size,
        "seed": seed,
        **generation_kwargs,
    }
    if latents is not None:
        request["the latents"] = hashlib.sha256(latents.cpu().numpy()).hexdigest()[:16]
    request |= {
        "the device": model.device.type,
        "the model": model_digest(model),
        "the sampler": _sampler_options(model),
        "the tokenizer": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:16],
    }

    def generate_chunk(chunk: int, rows: range) -> str:
        """The records of these rows, as lines of JSON."""
        asked = [symbols[row // num_samples] for row in rows]
        if latents is not None:
            source = {"latents": latents[rows.start : rows.stop]}
        else:
            source = {"num_samples": len(rows), "class_labels": None if class_labels is None else torch.tensor(asked)}
        token_ids = model.generate(
            **source,
            generator=chunk_generator(seed, chunk),
            num_return_sequences=1,
            return_dict_in_generate=False,
            **generation_kwargs,
        )
        texts = decode_words(tokenizer, token_ids)
        names = [None if symbol is None else model.config.id2label[symbol] for symbol in asked]
        records = [dict(zip(COLUMNS, values, strict=True)) for values in zip(rows, names, texts, strict=True)]
        return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)

    total = num_samples * len(symbols)
    chunks = [range(first, min(first + batch_size, total)) for first in range(0, total, batch_size)]
    file = ResumableFile(path, len(chunks))
    with file.lock:
        file.begin(request, overwrite)
        missing = file.missing
        done = total - sum(len(chunks[chunk]) for chunk in missing)
        with tqdm(total=total, initial=done, unit=" texts", smoothing=0.05, disable=not show_progress) as bar:
            for chunk in missing:
                file.add(chunk, generate_chunk(chunk, chunks[chunk]))
                bar.update(len(chunks[chunk]))
        file.finish(lambda: _join(file))


def _join(file: ResumableFile) -> Path:
    """Join the chunks to one file in their folder, in the format of the finished file."""
    joined = file.folder / "joined.jsonl"
    with open(joined, "wb") as target:
        for chunk in range(file.num_chunks):
            with open(file[chunk], "rb") as source:
                shutil.copyfileobj(source, target)
    if file.path.suffix == ".parquet":
        return _to_parquet(joined)
    return joined


def _to_parquet(jsonl: Path) -> Path:
    """Write the records of a JSONL file to a parquet file beside it, block by block."""
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
        raise ValueError(f"path must end in .jsonl or .parquet, got {str(path)!r}")
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ImportError(f"writing {path} needs pyarrow: pip install pyarrow")
    for name, value, least in (("num_samples", num_samples, 1), ("batch_size", batch_size, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    for name, value in generation_kwargs.items():
        if name in NOT_ALLOWED:
            raise ValueError(f"{name} cannot be given to write_samples, which sets it itself")
        try:
            json.dumps(value)
        except TypeError:
            raise ValueError(f"{name} must be a value that JSON can hold, got {value!r}") from None


def _sampler_options(model: LDEBMModel) -> dict[str, str]:
    """How the Langevin sampler runs, which rounding depends on; empty for priors without one."""
    return {name: str(value) for name, value in model.prior.sampler_options.items()}
