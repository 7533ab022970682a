"""Streamed corpora: same texts as in memory, counted and sampled in one pass, readable from any window on."""

import json

import numpy as np
import pytest

from ldebm_hf.data import check_corpus, load_corpus, streaming

datasets = pytest.importorskip("datasets", reason="streaming reads with datasets")

ROWS = [(f"Text number {i}", ("food", "rain", "")[i % 3]) for i in range(100)]


def load_stream(source, **options):
    return load_corpus(source, streaming=True, **options)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(streaming, "WINDOW_SIZE", 7)


def write(folder, suffix: str):
    """Two files with the rows, some of them with an empty text in between."""
    for number, rows in enumerate((ROWS[:40], ROWS[40:])):
        rows = [*rows[:5], ("  ", "food"), *rows[5:]]
        path = folder / f"part{number}{suffix}"
        if suffix == ".jsonl":
            path.write_text("".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in rows))
        elif suffix == ".txt":
            path.write_text("".join(f"{text}\n" for text, _ in rows))
        elif suffix == ".parquet":
            parquet = pytest.importorskip("pyarrow.parquet")
            import pyarrow

            parquet.write_table(
                pyarrow.table(dict(zip(("text", "label"), zip(*rows, strict=True), strict=True))), path
            )
        else:
            delimiter = {".csv": ",", ".tsv": "\t"}[suffix]
            path.write_text(f"text{delimiter}label\n" + "".join(f"{t}{delimiter}{label}\n" for t, label in rows))
    return str(folder / f"*{suffix}")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".txt", ".parquet"])
def test_all_texts_of_all_files_are_there_and_can_be_read_from_any_window_on(tmp_path, suffix):
    label_column = None if suffix == ".txt" else "label"
    corpus = load_stream(write(tmp_path, suffix), label_column=label_column, validation_size=10, reservoir_size=30)
    # Ten rows are held out, one of them empty.
    assert corpus.validation.texts == [text for text, _ in ROWS[:9]]
    assert list(corpus.train.texts) == [text for text, _ in ROWS[9:]]
    assert len(corpus.train) == 91 and sum(corpus.train.window_sizes) == 91
    for first in range(len(corpus.train.window_sizes)):
        rest = [text for window in corpus.train.windows(first) for text in window.texts]
        assert rest == [text for text, _ in ROWS[9 + sum(corpus.train.window_sizes[:first]) :]]
    if label_column:
        assert corpus.label_names == ["food", "rain"]
        labels = [label for window in corpus.train.windows() for label in window.labels]
        assert labels == [{"food": 0, "rain": 1, "": -100}[label] for _, label in ROWS[9:]]
        assert corpus.train.num_labelled == sum(label >= 0 for label in labels)
    assert any("1 empty texts dropped" in note for note in corpus.notes)


def test_sample_is_a_uniform_one(tmp_path):
    """Each of 91 texts is in 400 samples of 30 with probability 30/91; the tolerance is 5 standard deviations."""
    stream = load_stream(write(tmp_path, ".txt"), validation_size=10).train.stream
    counts = dict.fromkeys((text for text, _ in ROWS[9:]), 0)
    rows = [list(window) for window in stream.windows()]
    stream.windows = lambda: iter(rows)
    for seed in range(400):
        sample = streaming.StreamedSplit(stream, 30, seed, set()).sample
        assert len(set(sample.texts)) == 30
        for text in sample.texts:
            counts[text] += 1
    share = 30 / 91
    assert np.abs(np.array(list(counts.values())) - 400 * share).max() < 5 * np.sqrt(400 * share * (1 - share))


def test_digest_knows_the_texts(tmp_path):
    source = write(tmp_path, ".txt")
    first = load_stream(source, validation_size=10).train.digest
    assert load_stream(source, validation_size=10).train.digest == first
    (tmp_path / "part1.txt").write_text("something else\n")
    assert load_stream(source, validation_size=10).train.digest != first


def test_validation_file_is_read_into_memory(tmp_path):
    source = write(tmp_path, ".csv")
    held_out = tmp_path / "validation.jsonl"
    held_out.write_text('{"text": "one more", "label": "game"}\n')
    corpus = load_stream(source, label_column="label", validation_file=held_out)
    assert (corpus.validation.texts, corpus.validation.labels) == (["one more"], [1])
    assert corpus.label_names == ["food", "game", "rain"] and len(corpus.train) == 100
    assert "validation: all texts of validation.jsonl" in corpus.notes
    assert not any(str(tmp_path) in note for note in corpus.notes), "notes are published with a model"


@pytest.mark.parametrize("in_a_file", [False, True])
def test_validation_on_some_of_the_held_out_texts(tmp_path, in_a_file):
    source, options = write(tmp_path, ".csv"), {"label_column": "label", "validation_size": 50}
    if in_a_file:
        options["validation_file"] = tmp_path / "validation.jsonl"
        rows = ({"text": f"held out {i}", "label": ("food", "rain")[i % 2]} for i in range(40))
        options["validation_file"].write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    whole, part = load_stream(source, **options), load_stream(source, max_validation_examples=6, **options)
    places = [whole.validation.texts.index(text) for text in part.validation.texts]
    assert len(places) == 6 and places == sorted(places) != list(range(6)), "a random subset"
    assert part.validation.labels == [whole.validation.labels[place] for place in places]
    assert list(part.train.texts) == list(whole.train.texts) and part.train.digest == whole.train.digest
    assert f"validation: of these {len(whole.validation):,} texts a random 6" in part.notes
    for number, expected in ((10**6, whole), (6, part)):
        again = load_stream(source, max_validation_examples=number, **options)
        assert again.validation.texts == expected.validation.texts
    one = load_stream(source, max_validation_examples=1, **options)
    assert any(note.startswith("validation: no text of 1 of 2 training classes") for note in one.notes)
    with pytest.raises(ValueError, match="max_validation_examples must be at least 1, got 0"):
        load_stream(source, max_validation_examples=0, **options)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        load_stream(str(tmp_path / "nothing*.csv"))
    with pytest.raises(ValueError, match=r"no column 'body' \(text_column\); columns there are: 'text', 'label'"):
        load_stream(write(tmp_path, ".csv"), text_column="body")
    with pytest.raises(ValueError, match=r"no column 'lable' \(label_column\); columns there are: 'text', 'label'"):
        load_stream(write(tmp_path, ".jsonl"), label_column="lable", validation_size=10)


@pytest.mark.parametrize("setting", [{"label_fraction": 0.5}, {"max_train_examples": 5}])
def test_choices_over_the_whole_corpus_are_refused(tmp_path, setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))}=.* streaming=True: it is an option of 'synthetic'"):
        load_corpus(write(tmp_path, ".csv"), streaming=True, **setting)


def assert_same_as_in_memory(path, held_out) -> list[str]:
    """Returns the notes of the stream."""
    held_out.write_text("text,label\nheld out,1\n")
    options = {"label_column": "label", "validation_file": held_out, "missing_labels": ["NA"]}
    streamed, loaded = load_stream(str(path), **options), load_corpus(path, **options)
    assert streamed.label_names == loaded.label_names
    assert list(streamed.train.texts) == loaded.train.texts
    assert [label for window in streamed.train.windows() for label in window.labels] == loaded.train.labels
    return streamed.notes


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_tables_of_spreadsheets_are_read_as_in_memory(tmp_path, suffix, delimiter, encoding):
    """With a BOM, with words that pandas takes for missing values, with bytes that are not UTF-8."""
    rows = [
        ("text", "label", "id"),
        ("null", "NA", "1"),
        ("café", "None", ""),
        ("", "1", "x"),
        ("x", "", "2"),
        ("1", "2"),
    ]
    path = tmp_path / f"mine{suffix}"
    path.write_text("".join(delimiter.join(row) + "\n" for row in rows), encoding=encoding)
    notes = assert_same_as_in_memory(path, tmp_path / "held_out.csv")
    assert any("recognised as cp1252" in note for note in notes) == (encoding == "latin-1")
    assert "column 'label': 1 cells 'NA' mean no label" in notes
    assert "column 'label': 'None' is a class, of 1 rows (missing_labels)" in notes


@pytest.mark.parametrize("labels", [[1, "z", None, "", 2.0], ["z", 1], [1] * 9 + ["z"] * 9, [None] * 9 + ["z"]])
def test_labels_of_json_lines_are_read_as_in_memory(tmp_path, labels):
    rows = [{"text": f"Text {i}", "label": label} for i, label in enumerate(labels)]
    rows += [{"text": "no label"}, {"text": "more", "extra": {"a": [1]}}]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n\n".join(map(json.dumps, rows)))
    assert_same_as_in_memory(path, tmp_path / "held_out.csv")


def test_names_of_a_class_label_keep_their_order(monkeypatch):
    features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["world", "sports", "arts"])}
    columns = {"text": [f"Text {i}" for i in range(20)], "label": [0, 2, -1, 2] * 5}
    rows = datasets.Dataset.from_dict(columns, features=datasets.Features(features)).to_iterable_dataset()
    monkeypatch.setattr(datasets, "load_dataset", lambda name, **options: {"train": rows})
    corpus = load_stream("owner/news", label_column="label", validation_size=4)
    assert corpus.label_names == ["world", "sports", "arts"]
    assert corpus.validation.labels == [0, 2, -100, 2]
    assert corpus.train.sample.labels == [0, 2, -100, 2] * 4


def test_classes_that_validation_misses_are_noted(tmp_path):
    path = tmp_path / "sorted.csv"
    path.write_text("text,label\n" + "".join(f"Text {i},{'abc'[i // 10]}\n" for i in range(30)))
    note = "validation: no text of 2 of 3 training classes ('b', 'c'); give a validation_file that has all of them"
    assert note in load_stream(str(path), label_column="label", validation_size=5).notes
    assert note not in load_stream(str(path), label_column="label", validation_size=25).notes


@pytest.mark.parametrize("validation_size", [102, 1000])
def test_too_few_rows_are_counted(tmp_path, validation_size):
    with pytest.raises(ValueError, match=rf"validation_size={validation_size} leaves no training text .* 102 rows"):
        load_stream(write(tmp_path, ".csv"), validation_size=validation_size)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", b"", "empty.txt .* holds no text: it is empty"),
        ("empty.jsonl", b"", "empty.jsonl .* has no column 'text' .*none, it is empty"),
        ("empty.csv", b"", r"empty.csv .* has no column 'text' \(text_column\); columns there are: none, it is empty"),
        ("header.csv", b"text\n", "header.csv .* holds no text: it is empty"),
        ("blank.txt", b"\n \n", "blank.txt .* holds no text: it is empty, or all of its 2 rows are"),
        ("broken.jsonl", b'{"text": "a"}\n{"text"\n', "broken.jsonl, line 2: not valid JSON"),
        ("commas.csv", b"text,label\n\na, b,x\n", "commas.csv, line 3: 3 cells where the header has 2"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_stream(str(tmp_path / name))


def test_a_file_without_the_label_column_is_named(tmp_path):
    source = write(tmp_path, ".csv")
    (tmp_path / "part1.csv").write_text("text\nhello\n")
    with pytest.raises(ValueError, match=r"part1.csv .* has no column 'label' \(label_column\)"):
        load_stream(source, label_column="label", validation_size=10)


def test_lines_that_are_not_utf8_are_repaired_and_counted(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("\ufeffcafé\nplain\n", encoding="utf-8")
    assert load_stream(str(path), validation_size=1).validation.texts == ["café"]
    path.write_bytes("".join(f"café {i}\n" for i in range(20)).encode() + "café\n".encode("latin-1"))
    corpus = load_stream(str(path), validation_size=1)
    assert list(corpus.train.texts)[-1] == "caf\ufffd"
    assert any("1 lines with bytes that are not UTF-8" in note for note in corpus.notes)


def test_a_validation_file_must_be_another_file_with_texts(tmp_path):
    source = write(tmp_path, ".csv")
    with pytest.raises(ValueError, match="validation_file is itself a training file of .*part1.csv"):
        load_stream(source, validation_file=tmp_path / "part1.csv")
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(ValueError, match="validation_file .*empty.txt holds no text"):
        load_stream(source, validation_file=tmp_path / "empty.txt")


def test_a_stream_is_no_dataset_dict(tmp_path):
    corpus = load_stream(write(tmp_path, ".txt"), validation_size=10)
    with pytest.raises(ValueError, match=r"is streamed: to_dataset_dict\(\) needs load_corpus\(streaming=False\)"):
        corpus.to_dataset_dict()


def test_the_sample_must_have_a_text_for_every_symbol(tmp_path):
    corpus = load_stream(write(tmp_path, ".txt"), validation_size=10, reservoir_size=5)
    check_corpus(corpus, num_symbols=5)
    with pytest.raises(ValueError, match="reservoir_size=5 .* num_symbols=6: raise reservoir_size to at least 6"):
        check_corpus(corpus, num_symbols=6)
