import pytest

from ldebm_hf.data import NO_LABEL, Dialogue, Turn, check_corpus
from ldebm_hf.data.dialogues import dialogue_corpus

NAMES = {"kind": ["greeting", "other"]}


def dialogue(*turns):
    return Dialogue([Turn(text, "ab"[i % 2], {"kind": kind}) for i, (text, kind) in enumerate(turns)])


HELLO = dialogue(("hello", 0), ("hi", 0))
ABOUT = dialogue(("hello", 0), ("", 1), ("what is it about ?", 1))


def test_every_turn_is_a_text_with_its_attributes():
    corpus = dialogue_corpus("talk", {"train": [HELLO, ABOUT], "validation": [ABOUT]}, NAMES, "free", ["first note"])
    assert corpus.train.texts == ["hello", "hi", "hello", "what is it about ?"]
    assert corpus.train.attributes == {"kind": [0, 0, 0, 1]} and corpus.train.labels == [NO_LABEL] * 4
    assert corpus.validation.texts == ["hello", "what is it about ?"] and corpus.test is None
    assert corpus.attribute_names == NAMES and corpus.label_names == [] and corpus.license == "free"
    assert corpus.notes == [
        "first note",
        "train: 2 dialogues of 5 utterances, each of them a text",
        "talk (train): 1 empty texts dropped",
        "validation: 1 of 1 dialogues also stand in train (kept)",
        "validation: 1 dialogues of 3 utterances, each of them a text",
        "talk (validation): 1 empty texts dropped",
    ]
    check_corpus(corpus, num_symbols=2)


def test_repeated_dialogues_may_be_left_out():
    longer = dialogue(("hello", 0), ("hi", 0), ("bye", 1))
    splits = {"train": [HELLO, HELLO], "validation": [HELLO, longer], "test": [longer]}
    corpus = dialogue_corpus("talk", splits, NAMES, "free", [], keep_repeated=False)
    assert len(corpus.train) == 4 and corpus.validation.texts == ["hello", "hi", "bye"] and len(corpus.test) == 3
    assert "validation: 1 of 2 dialogues also stand in train (left out)" in corpus.notes
    with pytest.raises(ValueError, match=r"talk \(validation\) holds no text"):
        dialogue_corpus("talk", splits | {"validation": [HELLO]}, NAMES, "free", [], keep_repeated=False)
