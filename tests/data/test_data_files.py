"""Separators, trailing cells, quotes, compressed files, JSON arrays and Excel: the same in memory and streamed."""

import bz2
import gzip
import json
import lzma
import time
import zipfile

import pytest

from ldebm_hf.data import data_files as reader
from ldebm_hf.data import load_corpus, load_points

ROWS = [(f"text number {i}, fine", "abc"[i % 3]) for i in range(30)]


def as_table(separator: str = ",", extra: str = "") -> str:
    """Rows whose texts have a comma, quoted where that is the separator."""
    quote = '"' if separator == "," else ""
    lines = [f"text{separator}label{extra}", *(f"{quote}{t}{quote}{separator}{label}{extra}" for t, label in ROWS)]
    return "\n".join(lines) + "\n"


def both(path, **options):
    """The rows of a corpus in memory and streamed: texts and names of labels of train and validation, in order."""
    found = []
    for streaming in (False, True):
        own = {"streaming": True, "validation_size": 3} if streaming else {}
        corpus = load_corpus(path, label_column="label", **own, **options)
        train = [split for split in corpus.train.windows()] if streaming else [corpus.train]
        splits = [corpus.validation, *train]
        rows = [pair for split in splits for pair in zip(split.texts, split.labels, strict=True)]
        found.append((sorted((text, corpus.label_names[label]) for text, label in rows), corpus.notes))
    (in_memory, notes), (streamed, streamed_notes) = found
    assert in_memory == streamed
    return in_memory, notes, streamed_notes


@pytest.mark.parametrize(("name", "separator"), [(n, s) for n in ("a.csv", "a.tsv") for s in ",;\t|"])
def test_separators_are_recognised_and_said(write, name, separator):
    rows, *notes = both(write(name, as_table(separator)))
    assert rows == sorted(ROWS)
    is_usual = (name, separator) in (("a.csv", ","), ("a.tsv", "\t"))
    for of_source in notes:
        assert (f"{name}: its cells are separated by {separator!r}" in of_source) != is_usual


def test_the_first_line_of_excel_says_the_separator(write):
    rows, _, _ = both(
        write("a.csv", "sep=;\r\ntext;label\r\nwell, fine;x\r\nbad, bad;y\r\nso;x\r\n" + "more;x\r\n" * 3)
    )
    assert ("well, fine", "x") in rows and len(rows) == 6
    with pytest.raises(ValueError, match="a.csv, line 3: 3 cells where the header has 2"):
        load_corpus(write("a.csv", "sep=;\ntext;label\na;b;c\n"))


@pytest.mark.parametrize(("column", "argument"), [("body", "text_column"), ("topic", "label_column")])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_wrong_column_says_the_separator(write, column, argument, streaming):
    with pytest.raises(
        ValueError, match=rf"separated by ';'\) has no column '{column}' \({argument}\).*'text', 'label'"
    ):
        load_corpus(write("a.csv", as_table(";")), streaming=streaming, **{argument: column})


@pytest.mark.parametrize("extra", [",", ",,,", ", ,"])
def test_empty_columns_at_the_end_are_ignored(write, extra):
    assert both(write("a.csv", as_table(extra=extra)))[0] == sorted(ROWS)
    longer = as_table() + '"text at the end, fine",a,,,\n'
    assert len(both(write("a.csv", longer))[0]) == 31
    with pytest.raises(ValueError, match="a.csv, line 32: .* cells where the header has 2 .*must be quoted"):
        load_corpus(write("a.csv", as_table(extra=extra) + "not quoted, so three cells,a,\n"))


def test_a_column_without_a_name_before_others_is_kept(write):
    lines = "".join(f"{i},text {i},{'ab'[i % 2]}\n" for i in range(8))
    assert len(both(write("a.csv", ",text,label\n" + lines))[0]) == 8
    numbers = load_corpus(write("a.csv", ",text,label\n" + lines), label_column="column 1").label_names
    assert numbers == [str(i) for i in range(8)]


@pytest.mark.parametrize("place", [0, 5, 20])
def test_a_stray_quote_is_the_same_error_in_memory_and_streamed(write, place):
    lines = as_table(";").splitlines()
    lines.insert(1 + place, '"so it began;a')
    lines.append('he said;"a"')
    path, errors = write("a.csv", "\n".join(lines) + "\n"), []
    for streaming in (False, True):
        with pytest.raises(ValueError) as error:
            load_corpus(path, streaming=streaming)
        errors.append(str(error.value))
    assert errors[0] == errors[1] and f"the row begins on line {place + 2}" in errors[0]


def test_long_cells_are_read_and_endless_ones_refused(write, monkeypatch):
    long = "word " * 50_000  # more than the csv module's own limit
    path = write("a.csv", f'text,label\n"{long}",a\nshort,b\nshorter,b\nmore,a\nat the end,a\n')
    assert len(both(path)[0]) == 5
    monkeypatch.setattr(reader, "LARGEST_CELL", 1000)
    with pytest.raises(ValueError, match="a.csv, line 2: field larger than field limit"):
        load_corpus(path)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst", ".zip"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_compressed_files(tmp_path, suffix, name):
    content = (
        as_table()
        if name == "a.csv"
        else "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS)
    )
    path = tmp_path / (name + suffix)
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)
            archive.writestr("__MACOSX/._a.csv", b"\0")
    elif suffix == ".zst":
        import pyarrow

        with pyarrow.output_stream(str(path), compression="zstd") as file:
            file.write(content.encode())
    else:
        {".gz": gzip, ".bz2": bz2, ".xz": lzma}[suffix].open(path, "wb").write(content.encode())
    assert both(path)[0] == sorted(ROWS)
    corpus = load_corpus(path)
    assert corpus.name == "a"


def test_damaged_archives_are_named(write, tmp_path):
    whole = gzip.compress(as_table().encode())
    with pytest.raises(ValueError, match="a.csv.gz is cut off, or not compressed as its name says"):
        load_corpus(write("a.csv.gz", whole[:-20]))
    with pytest.raises(ValueError, match="a.csv.gz is cut off, or not compressed"):
        load_corpus(write("a.csv.gz", as_table()))
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "text\n")
        archive.writestr("b.csv", "text\n")
    with pytest.raises(ValueError, match="two.zip must hold one file, found 'a.csv', 'b.csv'"):
        load_corpus(tmp_path / "two.zip")


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_json_arrays(write, indent, name):
    rows = [{"text": text, "label": label, "more": {"of": [1, "]"]}} for text, label in ROWS]
    assert both(write(name, json.dumps(rows, indent=indent)))[0] == sorted(ROWS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a"}, {"text": "b"}', "object 3: not valid JSON"),
        ('[{"text": "a"}, {"text" "b"}]', "object 2: not valid JSON"),
        ('[{"text": "a"}, 3]', "object 2: expected a JSON object, found int"),
        ('[{"text": "a"}] {"text": "b"}', "there is more after the end of the array"),
    ],
)
def test_malformed_arrays_are_named(write, content, message):
    with pytest.raises(ValueError, match=f"a.json.* {message}"):
        load_corpus(write("a.json", content))


def write_workbook(path, **sheets):
    openpyxl = pytest.importorskip("openpyxl")
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    workbook.save(path)
    return path


def test_excel_files(tmp_path):
    rows = [("text", "label", None), *((text, label, None) for text, label in ROWS)]
    path = write_workbook(tmp_path / "a.xlsx", notes=[("nothing",)], answers=[(), *rows])
    found, *notes = both(path, sheet="answers")
    assert found == sorted(ROWS)
    with pytest.raises(ValueError, match=r"a.xlsx \(sheet 'notes'\) has no column 'text'"):
        load_corpus(path)
    with pytest.raises(ValueError, match="a.xlsx has no sheet 'x' .*: 'notes', 'answers'"):
        load_corpus(path, sheet="x")
    path = write_workbook(tmp_path / "b.xlsx", first=rows, second=rows)
    assert "b.xlsx: its first sheet, 'first', is read; others are 'second'" in both(path)[1]


def test_numbers_of_excel_are_text_and_points(tmp_path):
    rows = [("text", "label"), *((f"text {i}", float(i % 2) if i else None) for i in range(9)), (5, 1)]
    corpus = load_corpus(write_workbook(tmp_path / "a.xlsx", s=rows), label_column="label")
    assert corpus.label_names == ["0", "1"] and "5" in corpus.train.texts + corpus.validation.texts
    points = [("x", "y"), *((i, i / 2) for i in range(10))]
    assert len(load_points(write_workbook(tmp_path / "p.xlsx", s=points)).train) == 9


def test_excel_without_the_library_or_a_workbook(tmp_path, write, monkeypatch):
    pytest.importorskip("openpyxl")
    with pytest.raises(ValueError, match="a.xlsx is not a readable .xlsx file"):
        load_corpus(write("a.xlsx", "text\n"))
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(ImportError, match="needs openpyxl: pip install 'ldebm_hf.excel.'"):
        load_corpus(write("a.xlsx", "text\n"))


def test_options_of_files_need_such_files(write):
    with pytest.raises(ValueError, match="sheet='x' is for Excel files and cannot be used with .*a.csv"):
        load_corpus(write("a.csv", as_table()), sheet="x")
    with pytest.raises(ValueError, match="encoding='cp1252' is for text files and cannot be used with .*a.parquet"):
        load_corpus(write("a.parquet", "x"), encoding="cp1252")


def test_a_long_array_on_one_line_is_utf8_and_read_quickly(write):
    """Longer than the blocks of the reading, which must not cut a character in two."""
    rows = [{"text": f"日本語のテキスト、長い {i}", "label": "ab"[i % 2]} for i in range(60_000)]
    path = write("a.json", json.dumps(rows, ensure_ascii=False))
    assert path.stat().st_size > 3_000_000
    found, notes, _ = both(path)
    assert len(found) == len(rows) and not any("UTF-8" in note for note in notes)


def test_a_long_line_of_text_is_utf8(write):
    path = write("a.txt", "é" * 3_000_000 + "\nshort\nshorter\n")
    assert not any("UTF-8" in note for note in load_corpus(path).notes)


def test_a_header_of_commas_is_read_in_linear_time(tmp_path):
    file = tmp_path / "commas.csv"
    file.write_text("text" + "," * 300_000 + "\na\n", encoding="utf-8")
    start = time.monotonic()
    assert reader.read_table(file, "text", []) == {"text": ["a"]}
    assert time.monotonic() - start < 10
