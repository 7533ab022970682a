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


SPEAKERS = {"a": "user", "b": "assistant"}


def corpus_with_contexts(*dialogues, **options):
    return dialogue_corpus("talk", {"train": list(dialogues), "validation": [HELLO]}, NAMES, "free", [], **options)


def test_contexts_are_the_last_turns_and_the_beginning_counts_as_one():
    long = dialogue(*((f"turn {number}", 0) for number in range(4)))
    train = corpus_with_contexts(HELLO, ABOUT, long, context_turns=3).train
    assert train.texts == ["hello", "hi", "hello", "what is it about ?", *(f"turn {n}" for n in range(4))]
    assert train.contexts == [
        ("<d>",),
        ("<d>", "hello"),
        ("<d>",),
        ("<d>", "hello"),  # the empty turn between them is left out
        ("<d>",),
        ("<d>", "turn 0"),
        ("<d>", "turn 0", "turn 1"),
        ("turn 0", "turn 1", "turn 2"),
    ]
    assert train.select([1, 7]).contexts == [train.contexts[1], train.contexts[7]]
    assert corpus_with_contexts(HELLO, context_turns=1).train.contexts == [("<d>",), ("hello",)]
    assert corpus_with_contexts(HELLO).train.contexts is None


def test_speaker_markers_in_both_protocols():
    options = {"context_turns": 3, "roles": SPEAKERS}
    published = corpus_with_contexts(ABOUT, speaker_markers="all", **options).train
    assert published.texts == ["<usr> hello", "<usr> what is it about ?"]
    assert published.contexts == [("<d>",), ("<d>", "<usr> hello")]
    sound = corpus_with_contexts(HELLO, speaker_markers="context", **options).train
    assert sound.texts == ["hello", "hi"] and sound.contexts == [("<d>",), ("<d>", "<usr> hello")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context_turns": -1}, "context_turns must be at least 0, got -1"),
        ({"context_turns": 2, "speaker_markers": "some"}, "one of none, context, all, got 'some'"),
        ({"speaker_markers": "all"}, "speaker_markers='all' needs context_turns"),
    ],
)
def test_contexts_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        corpus_with_contexts(HELLO, **options)


def test_contexts_reach_a_dataset():
    datasets = pytest.importorskip("datasets")
    rows = corpus_with_contexts(HELLO, context_turns=3).to_dataset_dict()
    assert isinstance(rows, datasets.DatasetDict) and rows["train"]["context"][:] == [["<d>"], ["<d>", "hello"]]
