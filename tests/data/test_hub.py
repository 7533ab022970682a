import pytest

from ldebm_hf.data import NO_LABEL, load_corpus

datasets = pytest.importorskip("datasets")


@pytest.fixture
def hub(monkeypatch):
    """Let `datasets.load_dataset` give the prepared splits, as the Hub would."""

    def serve(**splits):
        asked = []

        def load_dataset(path, data_dir=None):
            asked.append((path, data_dir))
            return datasets.DatasetDict(splits)

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        return asked

    return serve


def dataset(labels, names=None, prefix="text"):
    features = datasets.Features(
        {
            "sentence": datasets.Value("string"),
            "topic": datasets.ClassLabel(names=names) if names else datasets.Value("string"),
        }
    )
    return datasets.Dataset.from_dict(
        {"sentence": [f"{prefix} {i}" for i in range(len(labels))], "topic": labels}, features=features
    )


def test_splits_and_class_names_are_taken_over(hub):
    names = ["world", "sports", "arts"]
    asked = hub(
        train=dataset([2, 0, -1, None], names), dev=dataset([1], names, "dev"), test=dataset([-1], names, "test")
    )
    corpus = load_corpus("someone/news", text_column="sentence", label_column="topic")
    assert asked == [("someone/news", None)]
    assert corpus.name == "someone/news" and corpus.label_names == names
    assert corpus.train.texts == ["text 0", "text 1", "text 2", "text 3"]
    assert corpus.train.labels == [2, 0, NO_LABEL, NO_LABEL]
    assert corpus.validation.texts == ["dev 0"] and corpus.validation.labels == [1]
    assert corpus.test.labels == [NO_LABEL]
    assert corpus.license == "see the card of the data set someone/news"
    assert corpus.notes == ["train: no labelled text of the class 'sports'"]


def test_attributes_with_the_names_of_their_feature(hub):
    names = ["world", "sports", "arts"]
    hub(train=dataset([2, -1], names), dev=dataset([1], names, "dev"))
    corpus = load_corpus("someone/news", text_column="sentence", attribute_columns="topic")
    assert corpus.label_names == [] and corpus.attribute_names == {"topic": names}
    assert corpus.train.attributes == {"topic": [2, NO_LABEL]} and corpus.validation.attributes == {"topic": [1]}
    both = load_corpus("someone/news", text_column="sentence", label_column="topic", attribute_columns="topic")
    assert both.train.labels == both.train.attributes["topic"] and both.label_names == names


def test_seeded_validation_split_and_string_labels(hub):
    hub(train=dataset(["b", "a"] * 50))
    corpus = load_corpus("someone/news", text_column="sentence", label_column="topic", validation_fraction=0.2, seed=5)
    assert corpus.label_names == ["a", "b"] and len(corpus.train) == 80 and corpus.test is None
    assert corpus.validation.labels.count(0) == corpus.validation.labels.count(1) == 10
    assert corpus.notes == ["validation: 20 texts held out of train with seed 5"]


def test_wrong_column_and_missing_train(hub):
    hub(train=dataset(["a", "b"]))
    with pytest.raises(ValueError, match=r"someone/news \(train\) has no column 'text' .*'sentence', 'topic'"):
        load_corpus("someone/news")
    hub(test=dataset(["a"]))
    with pytest.raises(ValueError, match="no train split; splits there are: 'test'"):
        load_corpus("someone/news")


def test_unreachable_id_says_why(monkeypatch):
    def load_dataset(path, data_dir=None):
        raise datasets.exceptions.DatasetNotFoundError("doesn't exist on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(ConnectionError, match="cannot load the data set 'no/such' .*doesn't exist on the Hub"):
        load_corpus("no/such")


def test_local_directory_through_the_real_library(monkeypatch, write, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    write("repo/train.csv", "text,label\nfirst one,x\nsecond one,y\n")
    write("repo/validation.csv", "text,label\nthird one,y\n")
    corpus = load_corpus(tmp_path / "repo", label_column="label")
    assert corpus.train.texts == ["first one", "second one"] and corpus.train.labels == [0, 1]
    assert corpus.validation.texts == ["third one"] and corpus.label_names == ["x", "y"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", ["Dataset", "DatasetDict"])
def test_folders_of_save_to_disk(tmp_path, kind, streaming):
    names = ["world", "sports"]
    train = dataset([0, 1, -1] * 10, names)
    saved = train if kind == "Dataset" else datasets.DatasetDict(train=train, validation=dataset([1], names, "dev"))
    saved.save_to_disk(tmp_path / "saved")
    options = {"streaming": True, "validation_size": 3} if streaming else {}
    corpus = load_corpus(tmp_path / "saved", text_column="sentence", label_column="topic", **options)
    assert corpus.label_names == names and len(corpus.train) + len(corpus.validation) == len(train) + (
        kind == "DatasetDict"
    )
    if kind == "DatasetDict":
        assert corpus.validation.texts == ["dev 0"] and corpus.validation.labels == [1]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_saved_folder_without_train_or_damaged_is_named(tmp_path, streaming):
    datasets.DatasetDict(test=dataset(["a"])).save_to_disk(tmp_path / "saved")
    with pytest.raises(ValueError, match="saved' has no train split; splits there are: 'test'"):
        load_corpus(tmp_path / "saved", streaming=streaming)
    (tmp_path / "saved" / "test" / "state.json").write_text("{")
    with pytest.raises(ValueError, match="cannot read the data set saved in .*saved"):
        load_corpus(tmp_path / "saved", streaming=streaming)


def test_names_of_a_class_label_are_classes_whatever_they_are_called(hub):
    names = ["none", "NA", "anger"]
    hub(train=dataset([0, 1, 2, None], names), validation=dataset([0], names, "dev"))
    corpus = load_corpus("someone/news", text_column="sentence", label_column="topic")
    assert corpus.label_names == names and corpus.train.labels == [0, 1, 2, NO_LABEL]
