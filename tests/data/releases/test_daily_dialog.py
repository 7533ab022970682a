import re
from collections import Counter
from dataclasses import replace

import pytest

from ldebm_hf.data import NO_LABEL, check_corpus, load_corpus
from ldebm_hf.data.releases.daily_dialog import DailyDialog, read_daily_dialog
from ldebm_hf.files.packaged import RECIPES
from ldebm_hf.training import load_settings
from ldebm_hf.training.settings import DataSettings

TEXT = "Say , Jim ! __eou__ I ’ m “ here ” 。 __eou__\nFine . __eou__ Thanks . __eou__ Bye . __eou__\n"
ACTS, EMOTIONS = "3 1 \n1 4 2 \n", "0 6 \n4 0 5 \n"
EXPECTED = ["Say , Jim !", 'I \' m " here " .', "Fine .", "Thanks .", "Bye ."]


@pytest.fixture
def release(write, tmp_path):
    """Write splits of a small release, named as `{kind}` and `{split}` say, and return its folder."""

    def build(splits=("train", "validation"), name="dialogues{kind}.txt", **content):
        for split in splits:
            files = {"": TEXT, "_act": ACTS, "_emotion": EMOTIONS} | content.get(split, {})
            for kind, text in files.items():
                write(f"{split}/{name.format(kind=kind, split=split)}", text)
        return tmp_path

    return build


@pytest.mark.parametrize("name", ["dialogues{kind}.txt", "dialogues{kind}_{split}.txt"])
def test_release_layout(release, name):
    folder = release(name=name)
    corpus = load_corpus("daily_dialog", data_dir=folder)
    assert corpus.train.texts == EXPECTED and corpus.train.labels == [NO_LABEL] * 5 and corpus.label_names == []
    assert corpus.train.attributes == {"act": [2, 0, 0, 3, 1], "emotion": [0, 6, 4, 0, 5]}
    assert corpus.attribute_names["act"] == ["inform", "question", "directive", "commissive"]
    assert len(corpus.attribute_names["emotion"]) == 7 and corpus.attribute_names["emotion"][4] == "happiness"
    assert corpus.test is None and "nc" in corpus.license
    assert "train: 1 utterances with curly quotes or the like (made plain)" in corpus.notes
    assert "validation: 2 of 2 dialogues also stand in train (kept)" in corpus.notes
    release(["test"], name)
    assert load_corpus("daily_dialog", data_dir=folder).test == corpus.train


def test_dialogues_with_speakers(release):
    dialogues = read_daily_dialog(release(), notes=[])
    assert [turn.text for turn in dialogues["train"][1].turns] == EXPECTED[2:]
    assert [turn.speaker for turn in dialogues["train"][1].turns] == ["first", "second", "first"]
    assert [turn.attributes for turn in dialogues["train"][0].turns] == [
        {"act": 2, "emotion": 0},
        {"act": 0, "emotion": 6},
    ]


def test_repeated_dialogues_may_be_left_out(release):
    folder = release(validation={"": TEXT.replace("Bye", "Later")})
    assert len(DailyDialog(data_dir=folder).read().validation) == 5
    corpus = load_corpus("daily_dialog", data_dir=folder, keep_repeated=False)
    assert corpus.validation.texts == ["Fine .", "Thanks .", "Later ."]


def test_an_attribute_as_labels(release):
    corpus = load_corpus("daily_dialog", data_dir=release(), label_column="act", label_fraction=0.4)
    assert corpus.label_names == corpus.attribute_names["act"] and corpus.train.num_labelled == 2
    assert corpus.validation.labels == corpus.train.attributes["act"] == [2, 0, 0, 3, 1]
    with pytest.raises(ValueError, match=r"no attribute 'topic' \(label_column\); there are: 'act', 'emotion'"):
        load_corpus("daily_dialog", data_dir=release(), label_column="topic")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"_act": "3 1 \n1 4 \n"}, "train/dialogues_act.txt, line 2: 2 ids for a dialogue of 3 turns"),
        ({"_emotion": "0 6 1 \n4 0 5 \n"}, "train/dialogues_emotion.txt, line 1: 3 ids for a dialogue of 2 turns"),
        ({"_act": "3 1 \n0 4 2 \n"}, "dialogues_act.txt, line 2: act must be one of 1, 2, 3, 4, found '0'"),
        ({"_emotion": "0 7 \n4 0 5 \n"}, "line 1: emotion must be one of 0, .*, 6, found '7'"),
        ({"_act": "x 1 \n1 4 2 \n"}, "line 1: act must be one of .* found 'x'"),
        ({"_act": "3 1 \n"}, "dialogues_act.txt, line 2: 1 lines, where .*train/dialogues.txt has 2"),
        ({"": TEXT.replace("\n", "\n\n", 1), "_act": "3 1 \n\n1 4 2 \n", "_emotion": "0 6 \n\n4 0 5 \n"},
         "dialogues.txt, line 2: a dialogue without a turn"),
    ],
)  # fmt: skip
def test_malformed_files_are_refused_with_their_line(release, content, message):
    with pytest.raises(ValueError, match=message):
        load_corpus("daily_dialog", data_dir=release(train=content))


@pytest.mark.parametrize("missing", ["train/dialogues.txt", "validation/dialogues_act.txt", "test/dialogues.txt"])
def test_missing_file_is_named(release, missing):
    folder = release(["train", "validation", "test"])
    (folder / missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"looked for .*{missing}"):
        load_corpus("daily_dialog", data_dir=folder)


HUB_ROWS = {
    "dialog": [["Say , Jim ! ", " I ’ m “ here ” 。 "], ["Fine . ", " Thanks . ", " Bye . "]],
    "act": [[3, 1], [1, 4, 2]],
    "emotion": [[0, 6], [4, 0, 5]],
}


def hub_dataset(**changes):
    datasets = pytest.importorskip("datasets")
    acts = ["__dummy__", "inform", "question", "directive", "commissive"]
    features = {
        "dialog": datasets.List(datasets.Value("string")),
        "act": datasets.List(datasets.ClassLabel(names=acts)),
        "emotion": datasets.List(datasets.ClassLabel(num_classes=7)),
    }
    return datasets.Dataset.from_dict(HUB_ROWS | changes, features=datasets.Features(features))


@pytest.mark.parametrize("source", ["daily_dialog", "li2017dailydialog/daily_dialog"])
def test_the_hub_gives_what_the_release_gives(monkeypatch, release, source):
    datasets = pytest.importorskip("datasets")
    asked = []

    def load_dataset(path, **options):
        asked.append((path, options))
        return datasets.DatasetDict(train=hub_dataset(), validation=hub_dataset(), test=hub_dataset())

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    corpus = load_corpus(source)
    assert asked == [("li2017dailydialog/daily_dialog", {"revision": "refs/convert/parquet"})]
    assert corpus == load_corpus("daily_dialog", data_dir=release(["train", "validation", "test"]))


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": {}, "test": {}}, "no validation split; splits there are: train, test"),
        ({"train": {"act": [[3, 1], [1, 4]]}, "validation": {}}, r"\(train\), row 2: 2 ids for a dialogue of 3 turns"),
        ({"train": {"act": [[3, 0], [1, 4, 2]]}, "validation": {}}, r"\(train\), row 1: act must be .* found 0"),
    ],
)
def test_malformed_hub_data_is_refused(monkeypatch, splits, message):
    datasets = pytest.importorskip("datasets")
    loaded = datasets.DatasetDict({name: hub_dataset(**changes) for name, changes in splits.items()})
    monkeypatch.setattr(datasets, "load_dataset", lambda path, **options: loaded)
    with pytest.raises(ValueError, match=message):
        DailyDialog().read()


def test_local_copy_of_the_hubs_data_set(monkeypatch, tmp_path, release):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    copy = tmp_path / "copy" / "default"
    for split in ("train", "validation"):
        (copy / split).mkdir(parents=True)
        hub_dataset().to_parquet(copy / split / "0000.parquet")
    assert DailyDialog(data_dir=tmp_path / "copy").read().train == DailyDialog(data_dir=release()).read().train


def test_unreachable_hub_says_why(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def load_dataset(path, **options):
        raise datasets.exceptions.DatasetNotFoundError("doesn't exist on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(ConnectionError, match="cannot load the data set 'li2017dailydialog/.*on the Hub"):
        load_corpus("daily_dialog")


@pytest.mark.parametrize(
    ("recipe", "weights"), [("daily_dialog", (0.2, 0.05, 2.0)), ("daily_dialog_published", (0.01, 0.05, 0.5))]
)
def test_recipes(release, recipe, weights):
    folder = release()
    settings = load_settings(["--config", str(RECIPES / f"{recipe}.yaml"), "--data_dir", str(folder)])
    corpus = settings.load_corpus()
    config = settings.model_config(settings.data.build_tokenizer(corpus), corpus.label_names)
    assert (config.num_labels, config.latent_size, settings.clustering.enabled) == (125, 32, True)
    assert (config.kl_weight, config.mutual_information_weight, config.classification_weight) == weights


@pytest.fixture(scope="module")
def corpus(data_dir):
    return DailyDialog(data_dir=data_dir / "daily_dialog").read()


def test_the_release_itself(corpus):
    assert len(corpus.train) == 87_170 and len(corpus.validation) == 8_069
    counts = {name: Counter(ids) for name, ids in corpus.train.attributes.items()}
    assert [counts["act"][i] for i in range(4)] == [39_873, 24_974, 14_242, 8_081]
    assert [counts["emotion"][i] for i in range(7)] == [72_143, 827, 303, 146, 11_182, 969, 1_600]
    assert "train: 11,118 dialogues of 87,170 utterances, each of them a text" in corpus.notes
    assert "validation: 1,000 dialogues of 8,069 utterances, each of them a text" in corpus.notes
    assert "validation: 69 of 1,000 dialogues also stand in train (kept)" in corpus.notes
    assert corpus.validation.texts[0] == "Good morning , sir . Is there a bank near here ?"
    assert corpus.validation.attributes["act"][:2] == [1, 0]
    check_corpus(corpus, num_symbols=125)


def test_tokens_are_those_of_the_published_tokeniser(corpus):
    few = replace(corpus, train=corpus.validation)  # what a word is does not depend on the vocabulary
    tokenizer = DataSettings(source="daily_dialog").build_tokenizer(few).backend_tokenizer
    for text in corpus.validation.texts:
        words = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))
        assert [word for word, _ in words] == re.findall(r"\w+|[^\w\s]+", text.lower())
