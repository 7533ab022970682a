"""Reverse and forward perplexities of texts whose distribution is known."""

import numpy as np
import pytest

from ldebm_hf.scores import forward_perplexity, lstm_training, reverse_perplexity
from ldebm_hf.scores.lstm_language_model import LanguageModelSettings, LSTMLanguageModel
from ldebm_hf.scores.sample_perplexity import fit_language_model, stream_perplexity

SETTINGS = LanguageModelSettings(embedding_size=16, hidden_size=16, num_layers=1, num_epochs=15, sequence_length=10,
                                 learning_rate=10.0, output_dropout=0.1, input_dropout=0.1, word_dropout=0,
                                 weight_dropout=0.1, activation_penalty=0)  # fmt: skip
RNG = np.random.default_rng(0)


def sentences(size: int) -> list[str]:
    """Texts of four kinds, equally likely."""
    return [("a x", "b y", "c z", "d w")[kind] for kind in RNG.integers(4, size=size)]


REAL, TRAINING, GOOD, ONE_KIND = sentences(200), sentences(500), sentences(500), ["a x"] * 500


def test_samples_of_one_kind_are_fluent_and_do_not_predict_other_texts():
    reverse = {name: reverse_perplexity(samples, REAL, SETTINGS, device="cpu").perplexity
               for name, samples in (("good", GOOD), ("one kind", ONE_KIND))}  # fmt: skip
    forward = {name: forward_perplexity(samples, TRAINING, SETTINGS, device="cpu").perplexity
               for name, samples in (("good", GOOD), ("one kind", ONE_KIND))}  # fmt: skip
    exact = 4 ** (1 / 3)  # of three tokens one is one of four
    assert reverse["good"] == pytest.approx(exact, rel=0.1) and forward["good"] == pytest.approx(exact, rel=0.1)
    assert reverse["one kind"] > 3 * exact and forward["one kind"] < 1.1 * exact


def test_scores_count_all_tokens_and_the_unknown_among_them():
    settings = LanguageModelSettings(embedding_size=4, hidden_size=4, num_layers=1, num_epochs=1)
    scores = reverse_perplexity(["a b"] * 30, ["a b", "", "c"], settings, vocabulary=["a", "b"])
    assert (scores.num_tokens, scores.num_unknown) == (6, 1)
    assert scores.nats_per_text == pytest.approx(np.log(scores.perplexity) * 6 / 3)
    assert reverse_perplexity(["a b"] * 30, ["a b", "c"], settings).num_unknown == 0


def test_a_language_model_of_real_texts_is_trained_once(tmp_path, monkeypatch):
    settings = LanguageModelSettings(embedding_size=4, hidden_size=4, num_layers=1, num_epochs=1)
    first = forward_perplexity(GOOD[:9], TRAINING[:50], settings, folder=tmp_path)
    monkeypatch.setattr(lstm_training._Training, "run", None)
    loaded = fit_language_model(TRAINING[:50], settings, folder=tmp_path)
    assert stream_perplexity(loaded, GOOD[:9]) == first


def test_the_last_texts_choose_the_epoch(monkeypatch):
    split = []
    monkeypatch.setattr("ldebm_hf.scores.sample_perplexity.train_language_model", lambda *texts: split.extend(texts))
    fit_language_model([str(number) for number in range(430)])
    assert [len(part) for part in split[:2]] == [400, 30] and split[1][-1] == "429"
    with pytest.raises(ValueError, match="at least two"):
        fit_language_model(["one"])
    with pytest.raises(ValueError, match="at least one string"):
        stream_perplexity(LSTMLanguageModel(["a"]), [])


def test_missing_texts_are_an_error_before_the_training(monkeypatch):
    monkeypatch.setattr("ldebm_hf.scores.sample_perplexity.train_language_model", None)
    with pytest.raises(ValueError, match="real_texts must be a list of at least one string"):
        reverse_perplexity(GOOD, [])
    with pytest.raises(ValueError, match="samples must be a list of at least one string, got 'a x'"):
        forward_perplexity("a x", TRAINING)
