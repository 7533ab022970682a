"""
Random damage to data files: each is read, or refused in a sentence, soon.

    python benchmarks/fuzz_data_files.py --number 3000 --seed 0

Each is a small table of texts or points, of any type that is read (.csv, .tsv, .json, .jsonl, .txt, .parquet, .xlsx,
compressed or not), of which cells, columns or bytes are changed, and which is read in memory or as a stream with
random options. A refusal is a ValueError, a TypeError or an error about the file, and names the file or an option.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from fuzz_outcomes import Outcomes, ascii_only, damaged_bytes, run_from_command_line, try_request

from ldebm_hf.data import load_corpus, load_points
from ldebm_hf.data.corpus import option_names
from ldebm_hf.data.point_files import PointFile

ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".txt", ".parquet", ".xlsx")
COMPRESSIONS = {"": None, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zip": "zip"}
CELLS = (
    None, "", " ", "NA", "nan", 0, 1, -1, 1.5, float("nan"), float("inf"), 10**30, 10**400, True, [], ["a"], {"a": 1},
    "a b c", "the food was great !", "\u0000", "\ud800", "\ufeff", "'", '"', '"""', "=1+1", "雨 が 降る", "é" * 50,
    "a" * 3000, "\n", "\r\n", ",;\t|", "1e999", "0x10", "１２", "²", "1_000", "∞",
)  # fmt: skip
ENCODINGS = ("utf-8", "cp1252", "utf-16", "utf-7", "idna", "punycode", "base64", "rot13", "hex", "undefined", "mbcs",
             "nonsense", "", "\u0000", "unicode_escape", "raw_unicode_escape", 3)  # fmt: skip
DEEP = (b"[" * 100_000, b'{"a":' * 100_000, b'[{"text": ' + b"[" * 50_000)


def random_rows(rng: random.Random, points: bool) -> list[dict[str, Any]]:
    """A table of texts with labels or of points."""
    rows: list[dict[str, Any]] = []
    for _ in range(rng.choice([0, 1, 5, 30, 30])):
        if points:
            rows.append({"x": round(rng.gauss(0, 1), 3), "y": round(rng.gauss(0, 1), 3), "label": rng.choice("ab")})
        else:
            words = " ".join(rng.choices(["the", "food", "was", "great", "bad", "service"], k=rng.randint(1, 8)))
            rows.append({"text": words, "label": rng.choice(["good", "bad"]), "length": rng.randint(1, 9)})
    for _ in range(rng.choice([0, 0, 1, 2, 3])):
        if rows:
            rng.choice(rows)[rng.choice(["text", "label", "length", "x", "y", "", "other"])] = rng.choice(CELLS)
    if rows and rng.random() < 0.1:
        name = rng.choice(list(rows[0]))
        for row in rows:
            row[name] = rng.choice(CELLS)
    return rows


def as_bytes(rng: random.Random, rows: list[dict[str, Any]], ending: str) -> bytes:
    """The table as a file of some type."""
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["text"]
    if ending in (".csv", ".tsv"):
        text = io.StringIO()
        separator = rng.choice([",", ";", "\t"]) if rng.random() < 0.2 else {".csv": ",", ".tsv": "\t"}[ending]
        writer = csv.writer(text, delimiter=separator)
        if rng.random() < 0.9:
            writer.writerow(columns)
        writer.writerows([[row.get(name) for name in columns] for row in rows])
        return _encoded(rng, text.getvalue())
    if ending == ".json":
        return _encoded(rng, json.dumps(rows, ensure_ascii=rng.random() < 0.5, default=str))
    if ending == ".jsonl":
        return _encoded(rng, "\n".join(json.dumps(row, ensure_ascii=rng.random() < 0.5, default=str) for row in rows))
    if ending == ".txt":
        return _encoded(rng, "\n".join(str(next(iter(row.values()))) for row in rows))
    if ending == ".xlsx":
        return _workbook(rows, columns)
    return _parquet(rng, rows, columns)


def _encoded(rng: random.Random, text: str) -> bytes:
    encoding = rng.choice(["utf-8"] * 9 + ["utf-8-sig", "cp1252", "utf-16", "utf-16-le", "shift_jis"])
    errors = "surrogatepass" if encoding.startswith("utf") else "replace"
    return text.encode(encoding, errors)


def _workbook(rows: list[dict[str, Any]], columns: list[str]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(columns)
    for row in rows:
        cells = [row.get(name) for name in columns]
        try:
            book.active.append(
                [cell if isinstance(cell, (str, int, float, type(None))) else str(cell) for cell in cells]
            )
        except (ValueError, OverflowError, openpyxl.utils.exceptions.IllegalCharacterError):
            book.active.append([None for _ in cells])
    buffer = io.BytesIO()
    try:
        book.save(buffer)
    except (UnicodeEncodeError, ValueError, OverflowError):
        return b"PK\x03\x04"
    return buffer.getvalue()


def _parquet(rng: random.Random, rows: list[dict[str, Any]], columns: list[str]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    values: dict[str, Any] = {}
    for name in columns:
        column = [row.get(name) for row in rows]
        try:
            values[name] = pyarrow.array(column)
        except (pyarrow.ArrowException, UnicodeEncodeError, OverflowError):
            values[name] = pyarrow.array(["" if cell is None else ascii_only(str(cell)) for cell in column])
        if rng.random() < 0.1:
            kinds = [pyarrow.binary(), pyarrow.timestamp("ns"), pyarrow.decimal128(9, 2), pyarrow.date32()]
            values[name] = pyarrow.nulls(len(rows), rng.choice(kinds))
        elif rng.random() < 0.1:
            values[name] = pyarrow.array(
                [str(cell).encode("utf-8", "ignore")[:-1] for cell in column], pyarrow.binary()
            )
        elif rng.random() < 0.1 and rows:
            moment = rng.choice([2**62, -(2**62), 0, 10**18])
            values[name] = pyarrow.array([moment] * len(rows), pyarrow.int64()).cast(pyarrow.timestamp("us"))
        elif rng.random() < 0.1 and rows:
            values[name] = pyarrow.array([b"\xff\xfe"] * len(rows), pyarrow.binary()).view(pyarrow.string())
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(values), buffer)
    return buffer.getvalue()


def random_file(rng: random.Random, folder: Path, points: bool) -> Path:
    """A file with some damage."""
    ending = rng.choice(ENDINGS)
    data = as_bytes(rng, random_rows(rng, points), ending)
    if rng.random() < 0.03:
        data = rng.choice(DEEP)
    elif rng.random() < 0.25:
        data = damaged_bytes(rng, data)
    if rng.random() < 0.05:
        ending = rng.choice(ENDINGS)
    compression = rng.choice(list(COMPRESSIONS)) if rng.random() < 0.25 else ""
    path = folder / f"data{ending}{compression}"
    if compression == ".zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(f"data{ending}", data)
        data = buffer.getvalue()
    elif compression:
        data = COMPRESSIONS[compression](data)
    if compression and rng.random() < 0.5:
        data = damaged_bytes(rng, data)
    path.write_bytes(data)
    return path


def random_options(rng: random.Random, points: bool) -> dict[str, Any]:
    """Options of the source, mostly sensible."""
    options: dict[str, Any] = {}
    if rng.random() < 0.5:
        options["label_column"] = rng.choice(["label"] * 9 + ["length", "other", "", 3, ["label"]])
    if rng.random() < 0.1:
        options["encoding"] = rng.choice(ENCODINGS)
    if rng.random() < 0.1:
        options["validation_fraction"] = rng.choice([0, 1, 0.5, -1, float("nan"), "0.1", None])
    if rng.random() < 0.1:
        options["missing_labels"] = rng.choice(["NA", "none", ["NA", ""], [None], 3])
    if rng.random() < 0.05:
        options["sheet"] = rng.choice(["Sheet", "none", ""])
    if points:
        if rng.random() < 0.15:
            options["point_columns"] = rng.choice(["x,y", "x", ["x", "y"], ["x", "x"], "a,b", "", 3])
        return options
    if rng.random() < 0.1:
        options["text_column"] = rng.choice(["text", "label", "length", "other", "", 3])
    if rng.random() < 0.1:
        options["attribute_columns"] = rng.choice(["length", "label", "a,b", "", ["length"], [3], 3])
    if rng.random() < 0.3:
        options = {name: value for name, value in options.items() if name in ("label_column", "text_column")}
        options |= {"streaming": True, "validation_size": 2}
    return options


def read(path: Path, points: bool, options: dict[str, Any]) -> int:
    """Read a file to its end; the number of training examples."""
    if points:
        return len(load_points(str(path), **options).train)
    corpus = load_corpus(str(path), **options)
    if options.get("streaming"):
        return sum(len(window) for window in corpus.train.windows())
    return len(corpus.train)


def is_clear(error: Exception, names: set[str]) -> bool:
    """Whether an error is a sentence about the file or an option."""
    is_sentence = type(error) in (ValueError, TypeError, FileNotFoundError)
    return is_sentence and re.search("|".join(map(re.escape, sorted(names))), str(error)) is not None


def run(number: int, seed: int = 0, seconds: int = 10) -> Outcomes:
    """The outcomes of random files."""
    rng, outcomes = random.Random(seed), Outcomes()
    names = {*option_names(), *PointFile.options(), "data."}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(number):
            points = rng.random() < 0.3
            path, options = random_file(rng, Path(folder), points), random_options(rng, points)
            start = path.read_bytes()[:100]
            outcome, message = try_request(
                lambda path=path, points=points, options=options: read(path, points, options),
                lambda error: is_clear(error, names),
                seconds=seconds,
            )
            request = f"{path.suffix}({path.name}, points={points}, {options}, {start!r})"
            outcomes.add(outcome, ascii_only(request), ascii_only(message))
            path.unlink()
    return outcomes


if __name__ == "__main__":
    run_from_command_line(__doc__, run, "data files", 3000)
