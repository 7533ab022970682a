"""Texts generated for classes, and their scores."""

import numpy as np
import pytest
import torch

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer
from ldebm_hf.data import Corpus, Split
from ldebm_hf.model.text_reading import decode_words
from ldebm_hf.scores.conditional_generation import (
    ControlSettings,
    accuracy_scores,
    control_scores,
    in_vocabulary,
    text_scores,
    write_for_classes,
)

CLASSES = ["food", "weather"]
TRAIN = ["the soup was cold", "the rain was cold", "warm soup please", "warm rain please", "soup", "rain"]
VALIDATION = ["cold soup", "cold rain", "soup please", "rain please", "the warm soup", "the warm rain"]


class WordJudge:
    """A judge of the word "rain", whose classes are in another order than the model's."""

    label_names = ["Weather", "Food"]

    def predict(self, texts, batch_size=256):
        return np.array([0 if "rain" in text else 1 for text in texts])

    def label_ids(self, names):
        return np.array([["weather", "food"].index(name) for name in names])


class LengthJudge:
    """Finds texts of at least three words acceptable."""

    label_names = ["corrupted", "acceptable"]

    def predict(self, texts, batch_size=256):
        return np.array([int(len(text.split()) >= 3) for text in texts])

    def label_ids(self, names):
        return np.array([self.label_names.index(name) for name in names])


@pytest.fixture
def tokenizer():
    return build_tokenizer(TRAIN, max_length=6)


@pytest.fixture
def corpus():
    train, validation = (Split(texts, [0, 1] * 3) for texts in (TRAIN, VALIDATION))
    train.labels[:4] = [0, 1, 0, 1]
    return Corpus("two classes", train, validation, label_names=CLASSES)


def model_for(tokenizer, preset="consistent") -> LDEBMModel:
    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "encoder_hidden_size": 8, "decoder_hidden_size": 8, "latent_size": 4}
    energy = {"energy_hidden_size": 8, "energy_num_blocks": 1, "langevin_steps": 2}
    names = {"id2label": dict(enumerate(CLASSES)), "vocab_size": len(tokenizer)}
    return LDEBMModel(LDEBMConfig.from_preset(preset, **sizes, **energy, **names)).eval()


def test_texts_in_the_vocabulary(tokenizer):
    assert in_vocabulary(tokenizer, ["the snow  was cold", "the " * 6]) == ["the <unk> was cold", "the the the the"]


def test_the_same_number_of_texts_for_each_class(tokenizer):
    model = model_for(tokenizer)
    first, requested = write_for_classes(model, tokenizer, CLASSES, 3, seed=1)
    assert len(first) == 6 and requested.tolist() == [0, 0, 0, 1, 1, 1]
    assert write_for_classes(model, tokenizer, CLASSES, 3, seed=1)[0] == first
    assert len(write_for_classes(model, tokenizer, CLASSES, 3, batch_size=4)[0]) == 6
    expected = model.generate(class_labels=[0, 0, 0, 1, 1, 1], generator=torch.Generator().manual_seed(1))
    assert decode_words(tokenizer, expected) == first
    strong, _ = write_for_classes(model, tokenizer, CLASSES, 3, seed=1, guidance_scale=50.0, do_sample=True)
    assert len(strong) == 6


def test_classes_of_judge_and_model_are_matched_by_name():
    scores = accuracy_scores(WordJudge(), ["soup", "rain", "rain", "rain"], CLASSES, np.array([0, 0, 1, 1]))
    assert scores["accuracy"] == 0.75 and scores["accuracy_Food"] == 0.5 and scores["accuracy_Weather"] == 1


def test_scores_of_texts():
    scores = text_scores(["soup please", "soup please", "", "cold rain"], ["cold rain", "rain"])
    assert scores["distinct_texts"] == 0.75 and scores["copied"] == 0.25 and scores["empty"] == 0.25
    assert scores["distinct_1"] == pytest.approx(4 / 6) and scores["distinct_2"] == pytest.approx(2 / 3)
    assert scores["words_per_text"] == 1.5 and "perplexity" not in scores


def test_perplexity_of_a_uniform_language_model_is_the_size_of_the_vocabulary(tokenizer):
    language_model = model_for(tokenizer, "rnn_lm")
    with torch.no_grad():
        language_model.decoder.embedding.weight.zero_()  # it is the output layer, too
    scores = text_scores(["soup please", "cold rain"], [], (language_model, tokenizer))
    assert scores["perplexity"] == pytest.approx(len(tokenizer), rel=1e-5)


def test_control_scores_include_real_texts_and_every_guidance_scale(tokenizer, corpus):
    settings, model = ControlSettings(WordJudge(), num_samples=3, guidance_scales=[1, 8]), model_for(tokenizer)
    scores, sentences = control_scores(model, tokenizer, corpus, settings)
    assert scores["real_accuracy"] == 1 and scores["real_copied"] == 0
    assert {name.partition("@")[2] for name in scores} == {"", "1", "8"}
    read = [found["label"] for found in model.classify(in_vocabulary(tokenizer, VALIDATION), tokenizer)]
    right = [name == CLASSES[label] for name, label in zip(read, corpus.validation.labels, strict=True)]
    assert scores["real_read_as_asked"] == pytest.approx(np.mean(right))
    assert 0 <= scores["accuracy@8"] <= 1 and scores["real_words_per_text"] > 0
    assert {name: len(of_class) for name, of_class in sentences.items()} == {"food": 3, "weather": 3}


@pytest.mark.parametrize("preset", ["dgm_vae_i", "cgan"])
def test_a_prior_without_guidance_is_scored_without_a_sweep(tokenizer, corpus, preset):
    model = model_for(tokenizer, preset)
    ways = {"as read": {"min_label_probability": 0.5}}
    settings = ControlSettings(WordJudge(), num_samples=3, guidance_scales=[1, 8], ways=ways)
    scores, sentences = control_scores(model, tokenizer, corpus, settings)
    assert {name.partition("@")[2] for name in scores} == {"", "as read"}
    assert {name: len(of_class) for name, of_class in sentences.items()} == {"food": 3, "weather": 3}


def test_acceptability_stands_beside_every_accuracy(tokenizer, corpus):
    settings = ControlSettings(
        WordJudge(),
        num_samples=3,
        ways={"drawn": {"do_sample": True, "top_k": 0}},
        acceptability_judge=LengthJudge(),
        corrupted_texts=["soup the cold", "soup", "rain", "soup soup"],
    )
    model = model_for(tokenizer)
    scores, sentences = control_scores(model, tokenizer, corpus, settings)
    assert scores["real_acceptability"] == pytest.approx(2 / 6)
    written = [text for of_class in sentences.values() for text in of_class]
    assert scores["acceptability"] == pytest.approx(np.mean([len(text.split()) >= 3 for text in written]))
    for name in [name for name in scores if name.removeprefix("real_").partition("@")[0] == "accuracy"]:
        assert name.replace("accuracy", "acceptability") in scores
        assert scores[name.replace("accuracy", "acceptability_chance")] == 0.25
    without = control_scores(model, tokenizer, corpus, ControlSettings(WordJudge(), num_samples=3))[0]
    assert not any("acceptability" in name for name in without)
