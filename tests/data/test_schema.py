import pytest

from ldebm_hf.data import NO_LABEL, Corpus, Split, check_corpus


def corpus(labels, label_names=("a", "b"), validation=("x",)):
    train = Split([f"text {i}" for i in range(len(labels))], list(labels))
    return Corpus("mine", train, Split.unlabelled(list(validation)), label_names=list(label_names))


def test_split_needs_one_label_per_text():
    with pytest.raises(ValueError, match="2 texts needs as many labels, got 1"):
        Split(["a", "b"], [0])


def test_select_and_classes():
    split = Split(["a", "b", "c"], [1, NO_LABEL, 0])
    assert split.select([2, 1]) == Split(["c", "b"], [0, NO_LABEL])
    assert split.classes == {0, 1} and Split.unlabelled(["a"]).classes == set()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (corpus([0]), "1 training texts, fewer than num_symbols=3"),
        (corpus([0, 1, 2, 3], "abcd"), "4 classes, more than num_symbols=3"),
        (corpus([0, 0, NO_LABEL]), "one class 'a'"),
        (corpus([0, 1, 5]), r"labels \[5\] have no name"),
        (corpus([]), "no train texts"),
        (corpus([0, 1, 0], validation=[]), "no validation texts"),
    ],
)
def test_check_corpus_refuses(bad, message):
    with pytest.raises(ValueError, match=message):
        check_corpus(bad, num_symbols=3)


@pytest.mark.parametrize("labels", [[0, 1, NO_LABEL], [NO_LABEL] * 3])
def test_check_corpus_accepts_partly_and_unlabelled(labels):
    check_corpus(corpus(labels), num_symbols=3)


def test_dataset_dict_has_names_and_nulls():
    built = corpus([1, NO_LABEL, 0]).to_dataset_dict()
    assert list(built) == ["train", "validation"]
    assert built["train"].features["label"].names == ["a", "b"]
    assert built["train"]["label"][:] == [1, None, 0] and built["train"]["text"][0] == "text 0"


def test_dataset_dict_without_classes_has_no_label_column():
    built = corpus([NO_LABEL], label_names=[]).to_dataset_dict()
    assert built["train"].column_names == ["text"]
