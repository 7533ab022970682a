"""Judges with known verdicts, and which models can be loaded as judges."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, BertModel, ViTConfig

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer
from ldebm_hf.model.text_classifier import TextClassifier, TextClassifierConfig
from ldebm_hf.scores.judging import Judge, load_judge

TOKENIZER = build_tokenizer(["good bad fine food is the very"])
TEXTS = ["the food is good", "bad", "the food is very very bad", "good", "", "is the food fine or"]


def word_judge(names=("negative", "positive")) -> TextClassifier:
    """Class 1 for texts with the word "good", else class 0: a single unit of its state reacts to that word."""
    config = TextClassifierConfig(
        vocab_size=len(TOKENIZER), embedding_size=1, hidden_size=1, id2label=dict(enumerate(names))
    )
    model = TextClassifier(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.embedding.weight[TOKENIZER.convert_tokens_to_ids("good")] = 1
        model.rnn.weight_ih_l0[2] = 9.0  # the candidate state is tanh(9) at the word and 0 elsewhere
        model.classes.weight[1, 0] = 20.0
        model.classes.bias[0] = 5.0
    return model


@pytest.fixture
def folder(tmp_path):
    word_judge().save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_verdicts_come_in_the_order_of_the_texts(folder, batch_size):
    judge = load_judge(folder)
    assert judge.label_names == ["negative", "positive"]
    assert judge.predict(TEXTS, batch_size).tolist() == [1, 0, 0, 1, 0, 0]
    probabilities = judge.probabilities(TEXTS, batch_size)
    assert probabilities.shape == (6, 2) and probabilities.dtype == np.float32
    # A state of ½ tanh 9 gives a logit of 10 against 5; a state of 0 one of 0 against 5.
    with_word, without = 1 / (1 + math.exp(5 - 10 * math.tanh(9))), 1 / (1 + math.exp(5))
    expected = [with_word, without, without, with_word, without, without]
    np.testing.assert_allclose(probabilities[:, 1], expected, rtol=1e-4)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)


def test_no_text_no_verdict(folder):
    assert load_judge(folder).predict([]).shape == (0,)


def test_any_sequence_classifier_can_judge(tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = BertConfig(vocab_size=len(TOKENIZER), id2label={0: "NEGATIVE", 1: "POSITIVE"}, **sizes)
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    judge = load_judge(str(tmp_path), device="cpu")
    batch = TOKENIZER(TEXTS, return_tensors="pt", padding=True)
    expected = model(**batch).logits.softmax(-1).detach().numpy()
    np.testing.assert_allclose(judge.probabilities(TEXTS, batch_size=2), expected, atol=1e-6)
    assert judge.label_ids(["positive", "Negative", "positive"]).tolist() == [1, 0, 1]


def test_long_texts_are_cut(folder):
    judge = load_judge(folder)
    assert judge.predict([" ".join(["bad"] * 60 + ["good"]), " ".join(["good"] * 60)]).tolist() == [0, 1]


def test_untrained_head_is_refused(folder):
    saved = load_file(folder / "model.safetensors")
    saved.pop("classes.weight")
    save_file(saved, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="must be a trained classifier, but its checkpoint lacks classes.weight"):
        load_judge(folder)


def test_encoder_without_a_head_is_refused(tmp_path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=len(TOKENIZER), **sizes)).save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="lacks classifier.bias, classifier.weight"):
        load_judge(tmp_path)


def test_model_of_another_kind_is_refused(tmp_path):
    ViTConfig().save_pretrained(tmp_path)
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="must be a sequence classifier, got a 'vit' model"):
        load_judge(tmp_path)


def test_model_with_symbols_can_judge(tmp_path):
    sizes = {"embedding_size": 8, "encoder_hidden_size": 8, "decoder_hidden_size": 8, "energy_hidden_size": 8}
    names = {0: "good", 1: "bad"}
    LDEBMModel(LDEBMConfig(vocab_size=len(TOKENIZER), id2label=names, **sizes)).save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    judge = load_judge(tmp_path)
    model = LDEBMModel.from_pretrained(tmp_path)
    texts = ["a text", "and one more"]
    expected = [found["label"] for found in model.classify(texts, TOKENIZER)]
    assert [judge.label_names[k] for k in judge.predict(texts)] == expected


def test_pickled_weights_are_not_read(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(OSError, match="has no model.safetensors, and other files of weights"):
        load_judge(folder)


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        load_judge(tmp_path / "nowhere")


def test_names_that_do_not_match_are_listed_on_both_sides():
    judge = Judge(word_judge(), TOKENIZER)
    both = r"no class 'angry': .* \['negative', 'positive'\], .* \['angry', 'positive'\]"
    with pytest.raises(ValueError, match=both):
        judge.label_ids(["positive", "angry", "positive"])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (word_judge().train(), "model must be in evaluation mode"),
        (TextClassifier(TextClassifierConfig(num_labels=1)).eval(), "of at least two classes, got 1"),
    ],
)
def test_models_that_cannot_judge(model, message):
    with pytest.raises(ValueError, match=message):
        Judge(model, TOKENIZER)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("a text",), "texts must be a list of strings"), ((TEXTS, 0), "batch_size must be at least 1, got 0")],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Judge(word_judge(), TOKENIZER).predict(*arguments)
