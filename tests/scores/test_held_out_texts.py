"""What a model infers from texts, against its own methods text by text, and scores with known answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_base_models import bert, pretrained_model
from untrained import SIZES as TINY_SIZES

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer
from ldebm_hf.data import Corpus, Split
from ldebm_hf.model.text_reading import decode_words
from ldebm_hf.scores import held_out_texts
from ldebm_hf.scores.held_out_texts import (
    AssignedTexts,
    Reading,
    agreement_scores,
    classes_by_attribute,
    information_scores,
    knowledge_scores,
    latent_clusters,
    latent_probe_scores,
    naming_scores,
    probed_texts,
    read_texts,
    reading_scores,
    reading_scores_and_symbols,
    reconstruction_scores,
)
from ldebm_hf.training.features import kept_vectors

TEXTS = ["the soup was cold", "rain", "we want our money back for the soup please", "rain again"] * 3
SIZES = TINY_SIZES | {"id2label": {0: "food", 1: "weather", 2: "refund"}}


@pytest.fixture
def tokenizer():
    return build_tokenizer([text for text in TEXTS if "again" not in text], max_length=8)


@pytest.fixture
def corpus():
    return Corpus(
        "two classes", Split(TEXTS, [0, 1] * 6), Split(TEXTS[:6], [0, 1] * 3), label_names=["food", "weather"]
    )


def model_for(tokenizer, preset="consistent", **settings) -> LDEBMModel:
    torch.manual_seed(0)
    sizes = SIZES | {"vocab_size": len(tokenizer)} | settings
    return LDEBMModel(LDEBMConfig.from_preset(preset, **sizes)).eval()


@pytest.mark.parametrize("preset", ["consistent", "svebm", "semi_vae"])
def test_rows_are_in_the_order_of_the_texts(tokenizer, preset):
    codes = {"num_code_variables": 1, "num_code_categories": 3} if preset == "semi_vae" else {}
    model = model_for(tokenizer, preset, **codes)
    reading = read_texts(model, tokenizer, TEXTS, batch_size=5)
    for i, text in enumerate(TEXTS[:4]):
        one = tokenizer([text], return_tensors="pt", truncation=True)
        np.testing.assert_allclose(reading.means[i], model.encode(**one).posterior_mean[0].detach(), atol=1e-6)
        np.testing.assert_allclose(reading.probabilities[i], model.infer_symbols(**one)[0], atol=1e-6)
        copy = decode_words(tokenizer, model.generate(**one))[0]
        assert reading.reconstructions[i] == copy
    assert reading.references[1] == "rain" and reading.references[3] == "rain <unk>"
    assert reading.references[2] == "we want our money back for", "cut to 8 tokens with both marks"


def test_sampled_symbols_follow_the_seed(tokenizer):
    model = model_for(tokenizer)
    first, again, other = (read_texts(model, tokenizer, TEXTS, reconstruct=False, seed=s) for s in (1, 1, 2))
    assert first.reconstructions == []
    np.testing.assert_array_equal(first.sampled_probabilities, again.sampled_probabilities)
    assert (first.sampled_probabilities != other.sampled_probabilities).any()
    np.testing.assert_array_equal(first.probabilities, other.probabilities)


def test_unknown_and_cut_words_are_counted(tokenizer, caplog):
    read_texts(model_for(tokenizer), tokenizer, TEXTS[:2], reconstruct=False)
    assert not caplog.messages
    read_texts(model_for(tokenizer), tokenizer, TEXTS[:4], reconstruct=False, batch_size=1)
    assert caplog.messages == [
        "1 of 13 words (7.7 %) are unknown to the model, in 1 of 4 texts; 1 of 4 texts are cut to 8 tokens"
    ]


def test_a_prior_without_symbols_has_latents_only(tokenizer):
    reading = read_texts(model_for(tokenizer, "vae"), tokenizer, TEXTS, reconstruct=False)
    assert reading.probabilities is None and reading.sampled_probabilities is None
    assert reading.means.shape == (12, 4)


def test_bad_arguments(tokenizer):
    with pytest.raises(ValueError, match="must have a latent variable"):
        read_texts(model_for(tokenizer, "rnn_lm"), tokenizer, TEXTS)
    with pytest.raises(ValueError, match="texts must contain at least one text"):
        read_texts(model_for(tokenizer), tokenizer, [])


def test_reconstruction_scores():
    texts = ["a b c d e", "f g h i j"]
    perfect = Reading(texts, texts, np.zeros((2, 1)), None, np.zeros((2, 1)), None)
    assert reconstruction_scores(perfect) == {"bleu": pytest.approx(100), "exact": 1.0}
    half = Reading(texts, ["a b c d e", "x x x x x"], np.zeros((2, 1)), None, np.zeros((2, 1)), None)
    # Half of all n-grams of each order match.
    assert reconstruction_scores(half) == {"bleu": pytest.approx(50), "exact": 0.5}


def test_information_is_computed_from_samples_and_usage_from_means():
    certain = np.eye(4)[[0, 1, 2, 3] * 5]
    one_symbol = np.eye(4)[[2] * 20]
    nothing = np.zeros((20, 1))
    reading = Reading([], [], nothing, probabilities=one_symbol, latents=nothing, sampled_probabilities=certain)
    scores = information_scores(reading)
    assert scores["mutual_information"] == pytest.approx(np.log(4))
    assert scores["symbols_used"] == 1 and scores["dead_symbols"] == 3 and scores["usage_perplexity"] == 1


def test_both_protocols_and_their_chance():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 4, 2560)
    random = rng.integers(0, 125, 2560)
    scores = agreement_scores(classes, {"act": classes, "few": [0] * 50 + [-1] * 2510}, published_symbols=random)
    assert scores["act_homogeneity"] == 1 and scores["act_v_measure"] == 1
    # 125 random symbols in batches of 128 score high, and so does their chance level, within the spread of 20 batches.
    assert scores["act_batched_homogeneity"] > 0.5
    assert abs(scores["act_batched_homogeneity"] - scores["act_batched_homogeneity_chance"]) < 0.02
    assert "few_homogeneity" in scores and "few_batched_homogeneity" not in scores


def test_clusters_of_latents_follow_the_training_ones():
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    centres = 20 * np.eye(3, 4)
    training = (centres[np.arange(300) % 3] + rng.normal(size=(300, 4))).astype(np.float32)
    held_out = np.arange(60) // 20
    clusters = latent_clusters(training, (centres[held_out] + rng.normal(size=(60, 4))).astype(np.float32), 3)
    assert agreement_scores(clusters, {"a": held_out})["a_v_measure"] == 1


def test_symbols_named_after_labels_are_scored_against_them(corpus):
    held_out = Split(["a"] * 4, [0, 1, 1, -100])
    probabilities = np.array([[0.1, 0.9], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    first, second = corpus.label_names
    scores = naming_scores(probabilities, {0: second, 1: first}, corpus, held_out)
    assert scores == pytest.approx({"label_accuracy": 2 / 3, "calibration_error": (0.1 + 0.8 + 0.4) / 3})
    assert naming_scores(probabilities, {0: first, 1: "LABEL_1"}, corpus, held_out) == {}
    assert naming_scores(probabilities, {0: first, 1: second}, corpus, Split(["a"], [-100])) == {}


def test_reading_is_scored_against_labels_and_attributes(tokenizer, corpus):
    pytest.importorskip("faiss")
    assert classes_by_attribute(corpus, "validation") == {"label": [0, 1] * 3}
    scores = reading_scores(model_for(tokenizer), tokenizer, corpus, num_clusters=2)
    assert {"bleu", "mutual_information", "label_homogeneity", "kmeans_label_homogeneity"} <= set(scores)
    repeated = Split(TEXTS[:6], corpus.validation.labels, {"kind": [0, 1] * 3})
    assert classes_by_attribute(replace(corpus, validation=repeated), "validation") == {"kind": [0, 1] * 3}
    corpus.validation = Split(TEXTS[:6], corpus.validation.labels, {"warm": [0, 0, 0, 0, 1, 1]})
    scores = reading_scores(model_for(tokenizer, "vae"), tokenizer, corpus, num_clusters=2)
    assert scores["warm_homogeneity"] == scores["kmeans_warm_homogeneity"]
    assert "mutual_information" not in scores and "label_homogeneity" in scores


def test_what_symbols_and_latents_tell(tokenizer, corpus):
    """The symbols of the model and the clusters of its latents, each with names and probes; latents with probes."""
    pytest.importorskip("faiss")
    scores, symbols = reading_scores_and_symbols(model_for(tokenizer), tokenizer, corpus, num_clusters=2)
    assert scores == reading_scores(model_for(tokenizer), tokenizer, corpus, num_clusters=2)
    for score in ("name_accuracy", "label_probe_of_symbols"):
        for name in (score, f"{score}_chance", f"kmeans_{score}", f"kmeans_{score}_chance"):
            assert 0 <= scores[name] <= 1, name
    assert {"label_probe_of_latents", "label_probe_of_latents_chance"} <= set(scores)
    reading = read_texts(model_for(tokenizer), tokenizer, corpus.validation.texts, reconstruct=False)
    assert symbols[""].tolist() == reading.probabilities.argmax(1).tolist()
    assert symbols["kmeans_"].shape == (6,) and set(symbols["kmeans_"]) <= {0, 1}
    scores, symbols = reading_scores_and_symbols(model_for(tokenizer, "vae"), tokenizer, corpus, num_clusters=2)
    assert symbols[""] is symbols["kmeans_"]
    assert scores["name_accuracy"] == scores["kmeans_name_accuracy"]


def test_probes_are_of_attributes_with_two_known_classes():
    training = AssignedTexts(["soup"] * 4 + ["rain"] * 4, np.repeat([5, 2], 4), {"a": [0] * 4 + [1] * 4, "b": [0] * 8})
    held_out = AssignedTexts(["rain", "soup"], np.array([2, 5]), {"a": [1, 0], "b": [0, 0], "c": [0, 1]})
    assert knowledge_scores(training, held_out) == {
        "name_accuracy": 1,
        "name_accuracy_chance": 0.5,
        "a_probe_of_symbols": 1,
        "a_probe_of_symbols_chance": pytest.approx(1 / 3),
    }
    latents = np.repeat([[1.0], [3.0]], 4, axis=0)
    probes = latent_probe_scores(latents, training.classes, np.array([[3.0], [1.0]]), held_out.classes)
    assert probes == {"a_probe_of_latents": 1, "a_probe_of_latents_chance": pytest.approx(1 / 3)}
    unknown = replace(held_out, classes={"a": [-100, -1]})
    assert "a_probe_of_symbols" not in knowledge_scores(training, unknown)


def test_probes_read_some_of_many_training_texts(corpus, monkeypatch):
    assert probed_texts(corpus).tolist() == list(range(12))
    monkeypatch.setattr(held_out_texts, "NUM_PROBED_TEXTS", 5)
    drawn = probed_texts(corpus, seed=1)
    assert len(set(drawn)) == 5 and drawn.tolist() == sorted(drawn) == probed_texts(corpus, seed=1).tolist()
    assert drawn.tolist() != probed_texts(corpus, seed=2).tolist()


def test_kept_vectors_of_a_pretrained_encoder_are_not_computed_again(monkeypatch, tmp_path):
    model, tokenizer = pretrained_model(bert())
    texts = ["the food was great", "we hate this place", "great", "the bread"]
    computed = read_texts(model, tokenizer, texts, batch_size=3, reconstruct=False)
    vectors_of = kept_vectors(model, tmp_path)
    kept = read_texts(model, tokenizer, texts, batch_size=3, reconstruct=False, vectors_of=vectors_of)
    np.testing.assert_allclose(kept.means, computed.means, atol=1e-5)
    monkeypatch.setattr(model.encoder, "features", None)
    again = read_texts(model, tokenizer, texts, batch_size=2, reconstruct=False, vectors_of=vectors_of)
    np.testing.assert_allclose(again.means, kept.means, atol=1e-6)
    corpus = Corpus("tiny", Split(texts, [0, 1, 0, 1]), Split(texts, [0, 1, 0, 1]), label_names=["yes", "no"])
    assert reading_scores(model, tokenizer, corpus, vectors_of=vectors_of)["symbols_used"] >= 1
    with pytest.raises(TypeError):
        read_texts(model, tokenizer, texts, reconstruct=False)


def test_only_frozen_pretrained_encoders_have_vectors_to_keep(tokenizer):
    assert kept_vectors(pretrained_model(bert(), encoder_trainable_layers=1)[0]) is None
    assert kept_vectors(LDEBMModel(LDEBMConfig.from_preset("consistent", vocab_size=len(tokenizer), **SIZES))) is None
