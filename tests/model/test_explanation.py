"""`explain` against a model whose symbols are decided by hand, for every prior with symbols; and names of symbols."""

import math

import numpy as np
import pytest
import torch
from tiny_models import seeded, tiny_model

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer
from ldebm_hf.model.dialogue_turns import encode_contexts
from ldebm_hf.model.outputs import PosteriorOutput

TEXTS = [
    "refund please now",
    "Refund  please now",
    "the refund please",
    "rain soon",
    "rain or snow soon",
    "snow",
    "rain the zzz",
    "please",
]
SYMBOLS = [0, 0, 0, 2, 2, 2, 2, 0]
SURENESS = [2.0, 1.0, 30.0, 0.5, 40.0, 1.5, 2.5, 0.1]  # logit above the others' zeros; 30 and 40 both round to p = 1
WITH_SYMBOLS = ("consistent", "published", "svebm", "gm_vae", "discrete_vae", "di_vae", "semi_vae", "cgan")


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer([text.lower() for text in TEXTS if "zzz" not in text], lowercase=True, max_length=6)


def of_texts(tokenizer, preset="consistent", **settings) -> LDEBMModel:
    return tiny_model(preset, vocab_size=len(tokenizer), **settings)


@pytest.fixture
def model(tokenizer, monkeypatch):
    """A model that reads the symbols in the tables above, for any batches."""
    model = of_texts(tokenizer)
    tokens = [tuple(row) for row in tokenizer(TEXTS)["input_ids"]]
    sureness = dict(zip(tokens, zip(SYMBOLS, SURENESS, strict=True), strict=True))
    sureness[tokens[0]] = (0, 2.0)  # and so the same for the second text, which reads the same

    def encode(input_ids, attention_mask):
        logits = torch.zeros(len(input_ids), 3)
        rows = [tuple(row[mask == 1].tolist()) for row, mask in zip(input_ids, attention_mask, strict=True)]
        for row, tokens in enumerate(rows):
            symbol, logit = sureness[tokens]
            logits[row, symbol] = logit
        return PosteriorOutput(torch.tensor([[float(len(row)), 0.0, 0.0, 0.0] for row in rows]), None, logits)

    monkeypatch.setattr(model, "encode", encode)
    return model


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_symbols_shares_and_texts(model, tokenizer, batch_size):
    explanation = model.explain(TEXTS, tokenizer, num_samples=0, batch_size=batch_size)
    good, bad, neutral = explanation.symbols
    assert explanation.assignments.tolist() == SYMBOLS and explanation.texts == TEXTS
    assert [(symbol.id, symbol.name) for symbol in (good, bad, neutral)] == [(0, "good"), (1, "bad"), (2, "neutral")]
    assert (good.num_texts, bad.num_texts, neutral.num_texts) == (4, 0, 4) and good.share == 0.5
    assert explanation.num_used == 2 and explanation.usage_entropy == pytest.approx(math.log(2))
    # Surest first, beyond what float32 tells from 1; and a text that differs in case and space only counts once.
    assert good.closest == ["the refund please", "refund please now", "please"]
    assert neutral.closest == ["rain or snow soon", "rain the zzz", "snow", "rain soon"]
    assert bad.closest == bad.words == [] and bad.confidence is None and bad.suggested_name == "no texts (1)"
    p = [math.exp(logit) / (math.exp(logit) + 2) for logit in SURENESS]
    assert neutral.confidence == pytest.approx(np.mean(p[3:7]))
    p[1] = p[0]
    assert explanation.confidence == pytest.approx(np.mean(p))
    assert explanation.latents[:, 0].tolist() == [5, 5, 5, 4, 6, 3, 5, 3]


def test_words_set_symbols_apart_and_make_the_names(model, tokenizer):
    explanation = model.explain(TEXTS, tokenizer, num_samples=0)
    words = [[item.word for item in symbol.words] for symbol in explanation.symbols]
    assert words[0][:2] == ["please", "refund"] and words[2] == ["rain", "snow", "soon", "or", "the"]
    assert [item.count for item in explanation.symbols[0].words[:2]] == [4, 3]
    scores = [item.score for item in explanation.symbols[0].words]
    assert scores == sorted(scores, reverse=True) and scores[-1] > 0
    assert explanation.suggested_names == {0: "please, refund", 1: "no texts (1)", 2: "rain, snow, soon"}
    seen = {word for own in words for word in own}
    assert not seen & {"<unk>", "<s>", "</s>", "<pad>", "zzz"}


def test_class_tfidf_leaves_stop_words_out(model, tokenizer):
    words = model.explain(TEXTS, tokenizer, num_samples=0, word_score="ctfidf", num_words=2).symbols[2].words
    assert [item.word for item in words] == ["rain", "snow"] and [item.count for item in words] == [3, 2]
    # 3 of its 9 known words, of the 19 known words of 2 symbols, and the only 3.
    assert words[0].score == pytest.approx(3 / 9 * math.log(1 + 19 / 2 / 3))


@pytest.mark.parametrize("preset", WITH_SYMBOLS)
def test_every_prior_with_symbols_explains(tokenizer, preset):
    model = of_texts(tokenizer, preset)
    first, second, third = (
        model.explain(TEXTS, tokenizer, num_samples=2, batch_size=4, generator=seeded(seed), max_new_tokens=5)
        for seed in (0, 0, 1)
    )
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    assert first.assignments.tolist() == model.infer_symbols(**batch).argmax(-1).tolist()
    confidence = model.infer_symbols(**batch).amax(-1).mean().item()
    assert first.confidence == pytest.approx(confidence, abs=1e-5)
    assert np.allclose(first.latents, model.encode(**batch).posterior_mean.detach(), atol=1e-5)
    assert sum(symbol.num_texts for symbol in first.symbols) == len(TEXTS)
    assert [len(symbol.generated) for symbol in first.symbols] == [2, 2, 2]
    assert first.symbols == second.symbols
    without_samples = [symbol.words for symbol in first.symbols]
    assert without_samples == [symbol.words for symbol in third.symbols]


def test_texts_are_written_for_their_symbol_and_with_the_options(tokenizer, monkeypatch):
    model, calls, unknown = of_texts(tokenizer), [], []
    word = tokenizer.convert_tokens_to_ids("rain")

    def generate(class_labels, generator, guidance_scale, suppress_tokens):
        calls.append((list(class_labels), guidance_scale))
        unknown.append(suppress_tokens)
        return torch.tensor([[2] + [word] * label + [3] for label in [0] * len(class_labels)])

    monkeypatch.setattr(model, "generate", generate)
    explanation = model.explain(TEXTS, tokenizer, num_samples=3, batch_size=4, guidance_scale=2.0)
    assert calls == [([0, 0, 0, 1], 2.0), ([1, 1, 2, 2], 2.0), ([2], 2.0)]
    assert all(len(symbol.generated) == 3 for symbol in explanation.symbols)
    assert unknown == [[model.config.unk_token_id]] * 3
    model.explain(TEXTS, tokenizer, num_samples=1, guidance_scale=2.0, suppress_tokens=None)
    assert unknown[-1] is None


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ("a text", {}, "texts must be a list of at least one string, got 'a text'"),
        ([], {}, r"texts must be a list of at least one string, got \[\]"),
        (["a", None], {}, r"texts\[1\] must be a string, got None"),
        (TEXTS, {"word_score": "idf"}, "word_score must be one of log_odds, ctfidf, got 'idf'"),
        (TEXTS, {"num_words": -1}, "num_words must be at least 0, got -1"),
        (TEXTS, {"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_bad_arguments(tokenizer, texts, options, message):
    with pytest.raises(ValueError, match=message):
        of_texts(tokenizer).explain(texts, tokenizer, **options)


@pytest.mark.parametrize("preset", ["vae", "rnn_lm"])
def test_priors_without_symbols_explain_and_name_nothing(tokenizer, preset):
    model = of_texts(tokenizer, preset)
    for call in (lambda: model.explain(TEXTS, tokenizer), lambda: model.name_symbols({0: "a"})):
        with pytest.raises(ValueError, match="has no symbols"):
            call()


def test_points_and_training_mode_are_refused(tokenizer):
    points = LDEBMModel(LDEBMConfig(modality="point", latent_size=2, num_symbols=2)).eval()
    with pytest.raises(ValueError, match="explain reads texts and cannot be used with a model of points"):
        points.explain(TEXTS, tokenizer)
    points.name_symbols({1: "left"})
    assert points.config.id2label == {0: "LABEL_0", 1: "left"}
    with pytest.raises(ValueError, match="model must be in evaluation mode"):
        of_texts(tokenizer).train().explain(TEXTS, tokenizer)


def test_symbols_of_a_model_with_contexts():
    model = tiny_model(context_size=6, context_hidden_size=5)
    tokenizer = build_tokenizer(["where are you going today"])
    texts, contexts = ["where are you", "going", "today"], [("you",), ("going", "today"), ("where",)]
    explanation = model.explain(texts, tokenizer, contexts=contexts, num_samples=2, max_new_tokens=4)
    ids, mask = (tokenizer(texts, padding=True, return_tensors="pt")[name] for name in ("input_ids", "attention_mask"))
    expected = model.infer_symbols(ids, mask, **encode_contexts(contexts, tokenizer)).argmax(-1)
    assert explanation.assignments.tolist() == expected.tolist()
    assert all(len(symbol.generated) == 2 for symbol in explanation.symbols)
    with pytest.raises(ValueError, match="contexts must be one per text, 3, got 2"):
        model.explain(texts, tokenizer, contexts=contexts[:2])
    with pytest.raises(ValueError, match="context_input_ids must be given"):
        model.explain(texts, tokenizer)


def test_unknown_words_of_texts_and_contexts_are_counted(caplog):
    model = tiny_model(context_size=6, context_hidden_size=5)
    tokenizer = build_tokenizer(["where are you going today"])
    model.explain(["where zzz", "are"], tokenizer, contexts=[("you",), ("you", "yyy xxx")], num_samples=0)
    assert caplog.messages == [
        "1 of 3 words (33 %) are unknown to the model, in 1 of 2 texts; 2 of 3 words (67 %) are unknown to the model, "
        "in 1 of 2 turns; 1 of 2 turns have no word that the model knows"
    ]
