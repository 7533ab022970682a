import pytest

from ldebm_hf.data import NO_LABEL, Corpus, Split, check_corpus


def corpus(labels, label_names=("a", "b"), validation=("x",)):
    train = Split([f"text {i}" for i in range(len(labels))], list(labels))
    return Corpus("mine", train, Split.unlabelled(list(validation)), label_names=list(label_names))


def with_attribute(train, validation, names=("q", "r")):
    """Unlabelled, with ids of an attribute "kind"; `None` for a validation split without it."""
    splits = []
    for ids in (train, validation or [0]):
        splits.append(Split([f"text {i}" for i in range(len(ids))], [NO_LABEL] * len(ids), {"kind": ids}))
    if validation is None:
        splits[1].attributes = {}
    return Corpus("mine", *splits, attribute_names={"kind": list(names)})


def test_split_needs_one_label_per_text():
    with pytest.raises(ValueError, match="2 texts needs as many labels, got 1"):
        Split(["a", "b"], [0])
    with pytest.raises(ValueError, match="2 texts needs as many values of attribute 'kind', got 3"):
        Split(["a", "b"], [0, 0], {"kind": [0, 1, 0]})


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
        (
            Corpus("mine", Split.unlabelled(["x"] * 4), Split.unlabelled(["x"])),
            "all 4 training texts .* are the same, 'x'",
        ),
        (corpus([0, 1, 0], validation=[]), "no validation texts"),
        (with_attribute([0, 2, NO_LABEL], [0]), r"train: values \[2\] of attribute 'kind' have no name in \['q'"),
        (with_attribute([0, 1, 1], [-1]), r"validation: values \[-1\] of attribute 'kind'"),
        (with_attribute([0, 1, 1], None), r"validation has the attributes \[\], attribute_names has \['kind'\]"),
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


def test_an_attribute_becomes_the_labels_and_stays():
    plain = with_attribute([1, NO_LABEL, 0], [0])
    check_corpus(plain, num_symbols=2)
    labelled = plain.labelled_by("kind")
    assert labelled.train.labels == [1, NO_LABEL, 0] and labelled.label_names == ["q", "r"]
    assert labelled.train.attributes == plain.train.attributes and labelled.attribute_names == plain.attribute_names
    assert plain.train.labels == [NO_LABEL] * 3 and plain.label_names == []
    with pytest.raises(ValueError, match=r"'mine' has no attribute 'topic' \(label_column\); there are: 'kind'"):
        plain.labelled_by("topic")


def test_dataset_dict_has_a_column_per_attribute():
    built = with_attribute([1, NO_LABEL], [0]).to_dataset_dict()
    assert built["train"].column_names == ["text", "kind"] and built["train"].features["kind"].names == ["q", "r"]
    assert built["train"]["kind"][:] == [1, None] and built["validation"]["kind"][:] == [0]
    clash = Corpus("mine", *[Split(["x"], [0], {"label": [0]})] * 2, None, ["a"], attribute_names={"label": ["b"]})
    with pytest.raises(ValueError, match="attribute 'label' must not be called like one of text, label"):
        clash.to_dataset_dict()


def test_dataset_dict_without_classes_has_no_label_column():
    built = corpus([NO_LABEL], label_names=[]).to_dataset_dict()
    assert built["train"].column_names == ["text"]
