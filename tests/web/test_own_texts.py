"""A visitor's own texts: what is accepted, and a training that ends, is bounded, and leaves nothing."""

import os
import tempfile
import time
import tracemalloc

import pytest

from ldebm_hf.web.limits import BadRequest
from ldebm_hf.web.own_texts import OwnModel, OwnTextLimits, OwnTexts, TrainingProgress

LINES = [f"{who} {does} {what}" for who in ("we", "you", "they", "people") for does in ("like", "eat", "sell", "see")
         for what in ("red fruit", "bread", "cold rain")]  # fmt: skip


@pytest.fixture
def own():
    return OwnTexts(OwnTextLimits(fewest_texts=3, most_texts=5, characters=20))


@pytest.fixture
def folders_left(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return lambda: list(tmp_path.glob("ldebm_own_texts_*"))


def test_pasted_texts_are_lines_without_repetitions_and_within_limits(own):
    assert own.pasted("a  b\n\nc\na b\n half \ud83d\nd" + "x" * 90) == ["a b", "c", "d" + "x" * 19]
    assert own.pasted("\n".join("abcdefgh")) == list("abcde"), "the first ones"


@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        (None, "At least 3 different texts are needed, one a line or in the column of a table; there are 0."),
        ("a\na\nb", "there are 2"),
        (7, "must be lines of text, but they are 7"),
        ("a\n" * 20_000, "At most 25,000 characters can be pasted, but these are 40,000. Please upload them"),
    ],
)
def test_other_pasted_texts_are_refused(own, pasted, said):
    with pytest.raises(BadRequest, match=said):
        own.pasted(pasted)


def test_files_are_read_as_people_save_them(own, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_bytes("id;body\n1;größer\n2;b\n3;\n4;c\n".encode("cp1252"))
    assert own.of_file(file, " body ") == ["größer", "b", "c"]
    with pytest.raises(BadRequest, match="no column “text”; it has: id, body"):
        own.of_file(file, "")
    lines = tmp_path / "mine.txt"
    lines.write_text("a\nb\nc\n", encoding="utf-8")
    assert own.of_file(lines, "") == ["a", "b", "c"]


def test_other_files_are_refused_without_saying_where_they_lie(own, tmp_path):
    for name, content, said in (
        ("a.parquet", b"PAR1", "must be a .csv, .tsv or .txt file"),
        ("a.csv", b"x" * 1_000_001, "at most 1,000,000 bytes"),
        ("b.csv", b"", "cannot be read|no column|At least"),
        ("c.csv", b"text\n\x00\x01\xff\xfe\x00\n", "cannot be read|At least"),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(BadRequest, match=said) as raised:
            own.of_file(file, "text")
        assert str(tmp_path) not in str(raised.value)


def test_short_rows_of_a_wide_table_do_not_fill_the_memory(own, tmp_path):
    file = tmp_path / "wide.csv"
    file.write_text("text," + ",".join(f"column{i}" for i in range(190)) + "\n" + "a\n" * 20_000, encoding="utf-8")
    tracemalloc.start()
    try:
        with pytest.raises(BadRequest, match="there are 1"):
            own.of_file(file, "text")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000, "bytes"
    finally:
        tracemalloc.stop()


def test_tables_of_many_columns_are_refused(own, tmp_path):
    file = tmp_path / "wide.csv"
    file.write_text("text," + ",".join(f"column{i}" for i in range(1000)) + "\n" + "a\nb\nc\n", encoding="utf-8")
    with pytest.raises(BadRequest, match="may have at most 200 columns, but it has 1,001"):
        own.of_file(file, "text")


def test_files_are_read_no_further_than_needed(own, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("text\n" + "\n".join("abcde") + "\nx,y,z\n", encoding="utf-8")
    assert own.of_file(file, "text") == list("abcde"), "the last row, which has too many cells, is not reached"
    few_rows = OwnTexts(OwnTextLimits(fewest_texts=1, rows=4))
    file.write_text("text\n" + "a\n" * 4 + "b\n", encoding="utf-8")
    assert few_rows.of_file(file, "text") == ["a"]


def test_what_is_said_of_a_bad_file_is_short(own, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(",".join(["n" * 5000] * 2) + ",text\na,b,c\n", encoding="utf-8")
    for column in ("text", "other"):
        with pytest.raises(BadRequest) as raised:
            own.of_file(file, column)
        assert len(str(raised.value)) < 500


def test_number_of_symbols_is_checked_before_anything_starts(own, folders_left):
    with pytest.raises(BadRequest, match="number of symbols must be a whole number from 2 to 12, but it is 1"):
        next(own.train(["a", "b", "c"], 1))
    assert not folders_left()


def test_one_training_at_a_time_and_one_that_is_left_ends_with_its_folder(own, folders_left):
    steps = own.train(LINES, 2)
    assert isinstance(next(steps), TrainingProgress) and len(folders_left()) == 1
    process = own._running.process
    with pytest.raises(BadRequest, match="Another training is running. Please try again in about"):
        next(own.train(LINES, 2))
    steps.close()
    assert process.poll() is not None and not folders_left()


def wait_until(is_so, seconds=120):
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.1)
    assert is_so()


def test_training_ends_and_removes_its_folder_when_the_page_is_gone(own, folders_left):
    steps = own.train(LINES, 2)
    next(steps)
    training = own._running
    training.process.stdin.close()  # as the system does when the page is killed
    wait_until(lambda: not training.is_alive())
    assert not folders_left()
    steps.close()


def test_folders_that_a_killed_page_left_are_removed(folders_left, tmp_path):
    for name, age in (("old", 3600), ("young", 10)):
        folder = tmp_path / f"ldebm_own_texts_{name}"
        folder.mkdir()
        (folder / "texts.txt").write_text("a\n")
        os.utime(folder, (time.time() - age,) * 2)
    OwnTexts(OwnTextLimits(most_seconds=240))
    assert [folder.name for folder in folders_left()] == ["ldebm_own_texts_young"], "a training may use it"
    later = OwnTexts(OwnTextLimits(most_seconds=20))
    os.utime(tmp_path / "ldebm_own_texts_young", (time.time() - 200,) * 2)
    steps = later.train(LINES, 2)
    next(steps)
    steps.close()
    assert not folders_left()


def test_model_is_forgotten_whoever_holds_it(folders_left, monkeypatch):
    model = OwnModel("requests", ["symbol"])
    monkeypatch.setattr(OwnModel, "load", lambda folder, texts: model)
    monkeypatch.setattr("ldebm_hf.web.own_texts.sys.executable", "/bin/true")
    *_, last = OwnTexts(OwnTextLimits(kept_seconds=0.3)).train(LINES, 2)
    assert last is model
    wait_until(lambda: model.requests is None and model.symbols == [], seconds=20)


def test_training_that_takes_too_long_is_ended(folders_left):
    own = OwnTexts(OwnTextLimits(most_seconds=0.2))
    with pytest.raises(BadRequest, match="took too long and was ended"):
        for _ in own.train(LINES, 2):
            time.sleep(0.1)
    assert not folders_left()


def test_training_that_fails_says_so_without_details(monkeypatch, folders_left, caplog):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(BadRequest, match="could not be trained on these texts"):
        list(OwnTexts().train(LINES, 2))
    assert "ended with 1" in caplog.text and not folders_left()


@pytest.mark.skipif(not OwnTexts.is_possible(), reason="faiss is not installed")
def test_model_learns_its_texts_and_writes_for_their_symbols(folders_left):
    own = OwnTexts(OwnTextLimits(seconds=2, most_seconds=900))
    *states, model = own.train(own.pasted("\n".join(LINES)), 3)
    assert isinstance(model, OwnModel) and not folders_left()
    shares = [state.share for state in states]
    assert shares == sorted(shares) and "texts" in states[0].sentence and shares[-1] == 0.95
    assert sum(symbol.num_texts for symbol in model.symbols) == len(LINES)
    assert all(set(symbol.closest) <= set(LINES) for symbol in model.symbols)
    written = model.requests.write([model.symbols[0].name], 2)
    assert [one.requested for one in written] == [model.symbols[0].name] * 2
