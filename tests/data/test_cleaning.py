import pytest

from ldebm_hf.data.cleaning import clean_split, read_lines, read_text_split


def test_every_kind_of_clean_up_is_counted():
    notes = []
    texts = [
        "good  text\n",
        "",
        None,
        " \t",
        "nul\x00byte",
        "lone \ud83d surrogate",
        "<s>struck</S> out",
        "w " * 10_000,
    ]
    split = clean_split(texts, list(range(8)), "train", notes)
    assert split.texts[:4] == ["good text", "nul byte", "lone surrogate", "struck out"]
    assert split.labels == [0, 4, 5, 6, 7]
    assert len(split.texts[4].split()) == 10_000
    assert [note.split(" (")[0] for note in notes] == [
        "train: 3 empty texts dropped",
        "train: 2 texts with control characters or broken Unicode",
        "train: 1 texts with the reserved words <s>, </s> or <pad>",
        "train: 1 texts of more than 1,000 words",
    ]


def test_clean_text_passes_unchanged_and_without_notes():
    notes = []
    texts = ["the <unk> of naïve 日本語 .", "it 's ok"]
    assert clean_split(texts, [0, 1], "train", notes).texts == texts and notes == []


def test_bytes_that_are_not_utf8_are_repaired_and_counted(write):
    notes = []
    path = write("latin.txt", b"fine\n" + "café\nnaïve\n".encode("latin-1") + "日本\n".encode())
    assert read_lines(path, notes) == ["fine", "caf\ufffd", "na\ufffdve", "日本"]
    assert notes == ["latin.txt: 2 lines with bytes that are not UTF-8 (they became U+FFFD)"]


@pytest.mark.parametrize("content", [b"a\nb", b"a\r\nb\r\n", b"a\rb\r", b"\xef\xbb\xbfa\nb\n"])
def test_line_ends_and_byte_order_mark(write, content):
    assert read_lines(write("x.txt", content), []) == ["a", "b"]


def test_only_line_ends_end_a_line(write):
    assert read_lines(write("x.txt", "one\x0cline\u2028here\n"), []) == ["one\x0cline\u2028here"]


def test_utf16_is_refused(write):
    with pytest.raises(ValueError, match="is utf-16, not UTF-8: save it as UTF-8"):
        read_lines(write("x.txt", "text".encode("utf-16")), [])


@pytest.mark.parametrize("content", ["", "\n \n\n"])
def test_file_without_text(write, content):
    with pytest.raises(ValueError, match="x.txt holds no text"):
        read_text_split(write("x.txt", content), [])


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"looked for {tmp_path}/absent.txt"):
        read_text_split(tmp_path / "absent.txt", [])
