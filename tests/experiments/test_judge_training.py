"""What a judge depends on; tests of examples/train_judge.py try its training."""

from types import SimpleNamespace

import pytest

from ldebm_hf import build_tokenizer
from ldebm_hf.data import Corpus, Split
from ldebm_hf.experiments.judge_training import (
    JudgeSettings,
    add_corrupted_texts,
    is_finished,
    prepare_working_folder,
)
from ldebm_hf.training import Settings

EARLIER = {
    "data": "yelp", "text_column": "text", "label_column": None, "validation_file": None, "validation_fraction": 0.1,
    "max_train_examples": None, "vocab_size": 10000, "max_length": 40, "embedding_size": 128, "hidden_size": 128,
    "pooling": "max", "dropout": 0.5, "word_dropout": 0.1, "num_train_epochs": 3, "batch_size": 128,
    "learning_rate": 0.002, "seed": 0, "training texts": "a", "selection texts": "b",
}  # fmt: skip
"""The request in the judge.json of a judge that was trained before the settings had a class."""


def test_judges_of_earlier_versions_are_recognised():
    splits = SimpleNamespace(digest="a"), SimpleNamespace(digest="b")
    request = JudgeSettings(data="yelp", data_dir="here").request(*splits)
    assert request == EARLIER


def test_texts_come_from_the_data_that_are_named():
    data = JudgeSettings(data="my.csv", data_dir="here", label_column="topic", max_length=9).data_settings
    expected = {"source": "my.csv", "data_dir": "here", "label_column": "topic", "max_length": 9}
    assert expected.items() <= Settings(data=data).to_dict()["data"].items()


@pytest.mark.parametrize("name", ["num_train_epochs", "batch_size"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        JudgeSettings(data="yelp", **{name: 0})


def test_another_task_is_another_judge():
    splits = SimpleNamespace(digest="a"), SimpleNamespace(digest="b")
    request = JudgeSettings(data="yelp", task="acceptability").request(*splits)
    assert request == EARLIER | {"task": "acceptability"}
    with pytest.raises(ValueError, match="task must be one of class, acceptability, got 'grammar'"):
        JudgeSettings(data="yelp", task="grammar")


def test_every_real_text_gets_a_corrupted_counterpart():
    train, test = ["the soup was cold", "we liked the warm soup", "so bad"], ["the soup was bad", "never the soup"]
    corpus = Corpus("c", Split.unlabelled(train), Split.unlabelled(test), Split.unlabelled(test), license="free")
    tokenizer = build_tokenizer(train)
    found = add_corrupted_texts(corpus, tokenizer, seed=3)
    assert found.label_names == ["corrupted", "acceptable"] and found.license == "free"
    real = {"train": train, "validation": ["the soup was bad", "<unk> the soup"]}
    real["test"] = real["validation"]
    for name, split in found.splits.items():
        number = len(real[name])
        assert split.texts[:number] == real[name] and split.labels == [1] * number + [0] * number
        assert not set(split.texts[number:]) & set(train + real[name])
    assert found.validation.texts != found.test.texts, "each split has draws of its own"
    assert add_corrupted_texts(corpus, tokenizer, seed=3) == found
    assert add_corrupted_texts(corpus, tokenizer, seed=4).train != found.train


@pytest.mark.parametrize("content", ["[]", '{"request": [1]}', '{"see'])
def test_judge_whose_report_cannot_be_read_is_kept_and_named(tmp_path, content):
    (tmp_path / "judge.json").write_text(content)
    with pytest.raises(ValueError, match="another judge: its judge.json cannot be read. --overwrite replaces it"):
        is_finished(tmp_path, {"seed": 0}, overwrite=False)
    assert not is_finished(tmp_path, {"seed": 0}, overwrite=True)


@pytest.mark.parametrize("content", ["[]", '{"see'])
def test_training_whose_request_cannot_be_read_is_kept_and_named(tmp_path, content):
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / "checkpoint-5" / "trainer_state.json").write_text("{}")
    (tmp_path / "request.json").write_text(content)
    with pytest.raises(ValueError, match="that is not finished: its request.json cannot be read. The earlier"):
        prepare_working_folder(tmp_path, {"seed": 0}, overwrite=False)
    assert prepare_working_folder(tmp_path, {"seed": 0}, overwrite=True) is None
    assert not (tmp_path / "checkpoint-5").exists()
