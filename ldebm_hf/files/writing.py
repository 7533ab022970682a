"""Many sentences into one file: in chunks, with bounded memory, resumable after a kill at any moment."""

import hashlib
import importlib.util
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from ..model.modeling_ldebm import LDEBMModel
from ..model.text_reading import decode_words
from .resumable import ResumableFile, chunk_generator, model_digest

COLUMNS = ("index", "symbol", "text")
SET_HERE = {"generator", "input_ids", "inputs", "num_return_sequences", "return_dict_in_generate"}
PARQUET_BLOCK = 2**24  # bytes of JSON that make one row group


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
    Write samples of the prior, or what `latents` say, as text into a JSONL or parquet file.

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
        latents (`torch.Tensor` of shape `(num_samples, total_latent_size)`, *optional*): What the texts are written
            from, in place of draws of the prior; not with `class_labels`.
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
    if latents is not None and (class_labels is not None or len(latents) != num_samples):
        also = "with class_labels" if class_labels is not None else f"{len(latents)} of them"
        raise ValueError(f"latents must be num_samples={num_samples} and without class_labels, got {also}")
    symbols = [None] if class_labels is None else model.symbol_ids(class_labels).tolist()
    if not symbols:
        raise ValueError(f"class_labels must name at least one symbol, got {class_labels!r}")
    total = num_samples * len(symbols)
    given = {} if latents is None else {"the latents": hashlib.sha256(latents.cpu().numpy()).hexdigest()[:16]}
    request = {
        "num_samples": num_samples,
        "class_labels": symbols,
        "batch_size": batch_size,
        "seed": seed,
        **generation_kwargs,
        **given,
        "the device": model.device.type,
        "the model": model_digest(model),
        "the sampler": _sampler_options(model),
        "the tokenizer": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:16],
    }

    def lines(chunk: int, rows: range) -> str:
        asked = [symbols[row // num_samples] for row in rows]
        if latents is None:
            source = {"num_samples": len(rows), "class_labels": None if class_labels is None else asked}
        else:
            source = {"latents": latents[rows.start : rows.stop]}
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

    chunks = [range(first, min(first + batch_size, total)) for first in range(0, total, batch_size)]
    file = ResumableFile(path, len(chunks))
    file.begin(request, overwrite)
    missing = file.missing
    done = total - sum(len(chunks[chunk]) for chunk in missing)
    with tqdm(total=total, initial=done, unit=" sentences", smoothing=0.05, disable=not show_progress) as bar:
        for chunk in missing:
            file.add(chunk, lines(chunk, chunks[chunk]))
            bar.update(len(chunks[chunk]))
    file.finish(lambda: _joined(file))


def _joined(file: ResumableFile) -> Path:
    joined = file.folder / "joined.jsonl"
    with open(joined, "wb") as target:
        for chunk in range(file.num_chunks):
            with open(file[chunk], "rb") as part:
                shutil.copyfileobj(part, target)
    return _to_parquet(joined) if file.path.suffix == ".parquet" else joined


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
