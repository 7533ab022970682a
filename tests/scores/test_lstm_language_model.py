"""The LSTM language model: its likelihood, its dropouts and its file."""

import math

import pytest
import torch

from ldebm_hf.scores.lstm_language_model import IGNORED, LanguageModelSettings, LSTMLanguageModel, in_columns

SMALL = {"embedding_size": 6, "hidden_size": 8, "num_layers": 2}
NO_DROPOUT = {"output_dropout": 0, "hidden_dropout": 0, "input_dropout": 0, "word_dropout": 0, "weight_dropout": 0}
TEXTS = ["a b c", "b", "c c a b", "", "d a"] * 5


def small_model(vocabulary="abcd", **settings) -> LSTMLanguageModel:
    torch.manual_seed(0)
    model = LSTMLanguageModel(vocabulary, LanguageModelSettings(**{**SMALL, **settings}))
    torch.nn.init.normal_(model.embedding.weight)
    return model


def test_a_stream_has_every_word_and_every_end():
    model = small_model()
    assert model.vocabulary == ["<eos>", "<unk>", "a", "b", "c", "d"]
    assert model.encode(["b  a", "", "x <unk> d"]).tolist() == [0, 3, 2, 0, 0, 1, 1, 5, 0]


def test_columns_predict_every_word_but_the_first_once():
    inputs, targets = in_columns(torch.arange(10, 18), 3)
    assert inputs.T.tolist() == [[10, 11, 12], [13, 14, 15], [16, 0, 0]]
    assert targets.T.tolist() == [[11, 12, 13], [14, 15, 16], [17, IGNORED, IGNORED]]
    assert in_columns(torch.arange(3), 5)[0].shape == (1, 2)


def test_uniform_predictions_cost_the_log_of_the_vocabulary_size():
    model = small_model()
    torch.nn.init.zeros_(model.embedding.weight)
    stream = model.encode(TEXTS)
    assert model.nats(stream) == pytest.approx((len(stream) - 1) * math.log(6), rel=1e-6)


@pytest.mark.parametrize("length", [2, 70])
def test_nats_are_those_of_each_place_of_the_stream_read_at_once(length):
    model = small_model(sequence_length=length)
    stream = model.encode(TEXTS)
    expected = 0.0
    for column in zip(*(part.T for part in in_columns(stream, 10)), strict=True):
        inputs, targets = (tokens[:, None] for tokens in column)
        logits = model.eval()(inputs)[0][:, 0].log_softmax(-1).double()
        known = targets[:, 0] != IGNORED
        expected -= logits[known].gather(1, targets[known]).sum().item()
    assert model.train().nats(stream) == pytest.approx(expected, rel=1e-6)
    assert model.training, "scoring leaves the mode as it was"


def test_layers_are_lstms_on_top_of_each_other_and_the_output_is_tied():
    model, tokens = small_model(**NO_DROPOUT), torch.randint(6, (7, 3))
    logits, dropped, plain, state = model(tokens)
    hidden = model.embedding(tokens)
    for layer, last in zip(model.layers, state, strict=True):
        hidden, (_, cell) = layer(hidden)
        torch.testing.assert_close(last[1], cell)
    torch.testing.assert_close(plain, hidden)
    assert torch.equal(dropped, plain)
    torch.testing.assert_close(logits, hidden @ model.embedding.weight.T + model.bias)
    assert [layer.hidden_size for layer in model.layers] == [8, 6]


@pytest.mark.parametrize("name", NO_DROPOUT)
def test_each_dropout_changes_training_and_not_scoring(name):
    model, tokens = small_model(**{**NO_DROPOUT, name: 0.5}), torch.randint(6, (7, 3))
    torch.manual_seed(1)
    assert not torch.equal(model.train()(tokens)[0], model(tokens)[0])
    assert torch.equal(model.eval()(tokens)[0], model(tokens)[0])


def test_a_dropped_unit_is_dropped_for_the_whole_sequence():
    _, dropped, plain, _ = small_model(**{**NO_DROPOUT, "output_dropout": 0.5})(torch.randint(6, (7, 3)))
    kept = (dropped / plain).detach()
    assert torch.equal(kept[0].round(), kept[-1].round()) and set(kept.round().flatten().tolist()) == {0, 2}


def test_a_saved_model_is_the_same(tmp_path):
    model = small_model(num_epochs=3)
    model.save(tmp_path / "new" / "lm.safetensors")
    loaded, stream = LSTMLanguageModel.load(tmp_path / "new" / "lm.safetensors"), model.encode(TEXTS)
    assert loaded.nats(stream) == model.nats(stream)
    assert (loaded.settings, loaded.vocabulary, loaded.training) == (model.settings, model.vocabulary, False)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["lm.safetensors"]
    with pytest.raises(FileNotFoundError, match="there is no language model"):
        LSTMLanguageModel.load(tmp_path / "absent.safetensors")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_layers": 0}, "num_layers must be an int of at least 1, got 0"),
        ({"num_layers": True}, "num_layers must be an int of at least 1, got True"),
        ({"word_dropout": 1.0}, r"word_dropout must be a number in \[0, 1\), got 1.0"),
        ({"hidden_dropout": "a"}, r"hidden_dropout must be a number in \[0, 1\), got 'a'"),
        ({"change_penalty": -1}, "change_penalty must be a number of at least 0, got -1"),
        ({"weight_decay": None}, "weight_decay must be a number of at least 0, got None"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0, got 0"),
        ({"learning_rate": "1"}, "learning_rate must be a number above 0, got '1'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LanguageModelSettings(**settings)
