"""Streamed corpora: same texts as in memory, counted and sampled in one pass, readable from any window on."""

import json

import numpy as np
import pytest

from ldebm_hf.data import load_corpus, streaming
from ldebm_hf.data.streaming import load_stream

pytest.importorskip("datasets", reason="streaming reads with datasets")

ROWS = [(f"Text number {i}", ("food", "rain", "")[i % 3]) for i in range(100)]


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


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        load_stream(str(tmp_path / "nothing*.csv"))
    with pytest.raises(ValueError, match=r"no column 'body' \(text_column\); columns there are: 'text', 'label'"):
        load_stream(write(tmp_path, ".csv"), text_column="body")
    with pytest.raises(ValueError, match="holds no training text"):
        load_stream(write(tmp_path, ".csv"), validation_size=1000)


@pytest.mark.parametrize("setting", [{"label_fraction": 0.5}, {"max_train_examples": 5}])
def test_choices_over_the_whole_corpus_are_refused(tmp_path, setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))} .* streaming"):
        load_corpus(write(tmp_path, ".csv"), streaming=True, **setting)
