"""Training of the LSTM language model: what it learns, how it resumes, and when it averages weights."""

import math

import numpy as np
import pytest
import torch

from ldebm_hf.scores import lstm_training
from ldebm_hf.scores.lstm_language_model import LanguageModelSettings, LSTMLanguageModel
from ldebm_hf.scores.lstm_training import train_language_model

TINY = LanguageModelSettings(embedding_size=8, hidden_size=8, num_layers=1, num_epochs=5, sequence_length=10)
PAIRS = [("a x", "b y")[side] for side in np.random.default_rng(0).integers(2, size=800)]


class Killed(Exception):
    pass


def kill_at(epoch: int, monkeypatch) -> None:
    """Interrupt training at the beginning of an epoch, counted from 0."""
    seed = lstm_training._seed

    def seed_or_die(*place):
        if place[1:] == (epoch,):
            raise Killed
        return seed(*place)

    monkeypatch.setattr(lstm_training, "_seed", seed_or_die)


def test_the_perplexity_of_a_known_language_is_found():
    """Of three tokens, including the end, one is decided by a fair coin."""
    settings = LanguageModelSettings(
        embedding_size=16, hidden_size=16, num_layers=1, num_epochs=6, sequence_length=10, learning_rate=10.0,
        output_dropout=0.1, input_dropout=0.1, word_dropout=0, weight_dropout=0.1, activation_penalty=0,
    )  # fmt: skip
    model = train_language_model(PAIRS[:600], PAIRS[600:700], settings)
    stream = model.encode(PAIRS[700:])
    assert math.exp(model.nats(stream) / (len(stream) - 1)) == pytest.approx(2 ** (1 / 3), rel=0.05)
    assert not model.training


def test_an_interrupted_training_resumes_to_the_same_weights_and_is_not_repeated(tmp_path, monkeypatch):
    whole = train_language_model(PAIRS[:90], PAIRS[90:120], TINY)
    before = torch.get_rng_state()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(3, patch)
        train_language_model(PAIRS[:90], PAIRS[90:120], TINY, folder=tmp_path)
    assert torch.equal(torch.get_rng_state(), before), "the caller's random numbers are left alone"
    (checkpoint,) = tmp_path.iterdir()
    assert checkpoint.name.endswith(".epochs.safetensors")
    with monkeypatch.context() as patch:
        kill_at(2, patch)  # finished epochs are not repeated
        resumed = train_language_model(PAIRS[:90], PAIRS[90:120], TINY, folder=tmp_path)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    (finished,) = tmp_path.iterdir()
    assert not finished.name.endswith(".epochs.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(lstm_training._Training, "run", None)
        loaded = train_language_model(PAIRS[:90], PAIRS[90:120], TINY, folder=tmp_path)
    assert torch.equal(loaded.bias, whole.bias)
    train_language_model(PAIRS[:90], PAIRS[90:120], TINY, folder=tmp_path, seed=2)
    assert len(list(tmp_path.iterdir())) == 2, "another seed is another model"


def test_weights_are_averaged_once_validation_does_not_improve(tmp_path, monkeypatch):
    settings = LanguageModelSettings(**{**vars(TINY), "averaging_patience": 1})
    judged = []

    def scripted(self, stream):
        judged.append(self)
        return [5, 4, 6, 3, 2][len(judged) - 1] * (len(stream) - 1)

    monkeypatch.setattr(LSTMLanguageModel, "nats", scripted)
    best = train_language_model(PAIRS[:90], PAIRS[90:120], settings)
    assert judged[0] is judged[1] is judged[2] is best and judged[3] is judged[4] is not best
    assert all(torch.equal(best.state_dict()[name], tensor) for name, tensor in judged[4].state_dict().items())
    judged.clear()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(4, patch)
        train_language_model(PAIRS[:90], PAIRS[90:120], settings, folder=tmp_path)
    resumed = train_language_model(PAIRS[:90], PAIRS[90:120], settings, folder=tmp_path)
    for name, tensor in best.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=1e-6)


def test_losses_that_are_not_finite_raise_an_error(monkeypatch):
    monkeypatch.setattr(LSTMLanguageModel, "nats", lambda self, stream: math.nan)
    with pytest.raises(RuntimeError, match="no epoch of the language model has a finite validation loss"):
        train_language_model(PAIRS[:9], PAIRS[9:12], TINY)


@pytest.mark.parametrize("texts", [[], "a text"])
def test_no_texts_are_refused(texts):
    with pytest.raises(ValueError, match="validation_texts must be a list of at least one string"):
        train_language_model(["a"], texts, TINY)
