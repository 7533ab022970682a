"""Dialogues through the same loop as texts: batches, training, resuming, the best model, settings."""

import json

import numpy as np
import pytest
import torch
from tiny_runs import TINY_MODEL, assert_same_weights, tiny_corpus, tiny_trainer, weights
from transformers import AutoTokenizer

from ldebm_hf import LDEBMModel, build_tokenizer
from ldebm_hf.data import NO_LABEL, Corpus, Split
from ldebm_hf.model.dialogue_turns import MARKERS
from ldebm_hf.training import Settings, Trainer, assemble
from ldebm_hf.training.batches import TokenizedSplit, model_inputs
from ldebm_hf.training.dialogue_batches import DialogueExamples

OF_CONTEXTS = {"context_size": 6, "context_hidden_size": 5}
NOUNS = ["bread", "soup", "salt", "fish"]


def dialogues(count: int, seed: int) -> Split:
    """Questions that a noun of the context answers."""
    rng = np.random.default_rng(seed)
    nouns = rng.choice(NOUNS, count)
    contexts = [("<d>", f"i like {noun}", "what")[i % 2 :] for i, noun in enumerate(nouns)]
    return Split([f"you like {noun}" for noun in nouns], [NO_LABEL] * count, contexts=contexts)


def dialogue_corpus() -> Corpus:
    return Corpus("tiny dialogues", dialogues(40, 1), dialogues(12, 2))


def dialogue_trainer(path, model=None, **training) -> Trainer:
    options = {"clustering": {"num_components": 2, "normalize": False}, "data": {"source": "smd", "context_turns": 3}}
    return tiny_trainer(path, dialogue_corpus(), OF_CONTEXTS | (model or {}), **options, **training)


def test_batches_hold_the_contexts_of_their_texts():
    split = Split(["a b c", "b"], [NO_LABEL] * 2, contexts=[("<d>",), ("c", "a b")])
    tokenizer = build_tokenizer(["a b c"], markers=MARKERS)
    examples = DialogueExamples.from_split(split, tokenizer, max_length=4)
    (batch,) = examples.batches([np.array([1, 0])])
    assert batch["indices"].tolist() == [0, 1] and batch["lengths"] == [4, 3]
    assert tokenizer.batch_decode(batch["context_input_ids"][0], skip_special_tokens=True) == ["<d>", ""]
    assert tokenizer.batch_decode(batch["context_input_ids"][1], skip_special_tokens=True) == ["c", "a b"]
    assert torch.equal(batch["context_attention_mask"], (batch["context_input_ids"] != 0).long())
    assert batch["context_lengths"] == [[3], [3, 4]]
    assert set(model_inputs(batch)) >= {"context_input_ids", "context_attention_mask", "context_lengths"}
    other = Split(split.texts, split.labels, contexts=[("<d>",), ("a b", "c")])
    assert examples.digest != DialogueExamples.from_split(other, tokenizer, 4).digest
    assert examples.digest != TokenizedSplit.from_split(split, tokenizer, 4).digest
    plain = next(iter(TokenizedSplit.from_split(split, tokenizer, 4).batches([np.array([1, 0])])))
    assert all(torch.equal(plain[name], batch[name]) for name in plain if name != "lengths")


def test_what_is_not_read_of_texts_and_turns_is_said(tmp_path, capsys):
    corpus = dialogue_corpus()
    corpus.validation.texts[0] = "you like zzz"
    corpus.validation.contexts[:2] = [("<d>", "yyy xxx"), ("yyy xxx", "what")]
    data = {"source": "smd", "context_turns": 3}
    trainer = tiny_trainer(tmp_path, corpus, OF_CONTEXTS, {"enabled": False}, data, max_steps=1)
    trainer.train()
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    # The vocabulary of this trainer is that of the texts, without "i", "what", "yyy" and "xxx" of the turns.
    assert len(said) == 2 and said[0].startswith("note: training texts: 5 of 13 words (38 %) are unknown to the model")
    unknown, wordless = "1 of 36 words (2.8 %) are unknown to the model, in 1 of 12 texts", "2 of 6 turns have no word"
    assert said[1].startswith(f"note: validation texts: {unknown}; 7 of 15 words (47 %) are unknown")
    assert wordless in said[1]
    assert said[1].endswith("(data.vocab_size, data.max_length)")


@pytest.mark.parametrize("preset", ["consistent", "dgm_vae_i", "rnn_lm"])
def test_a_run_is_resumed_to_the_same_weights(tmp_path, preset):
    whole = dialogue_trainer(tmp_path / "whole", {"preset": preset})
    values = whole.train()
    assert np.isfinite(list(values.values())).all()
    assert ("prior_distance" in values) == (preset != "rnn_lm")
    dialogue_trainer(tmp_path / "parts", {"preset": preset}, max_steps=7).train()
    resumed = dialogue_trainer(tmp_path / "parts", {"preset": preset}, resume="latest")
    resumed.train()
    assert_same_weights(weights(whole), weights(resumed))


def test_the_context_is_used_and_the_saved_model_responds(tmp_path):
    settings = {"kl_weight": 0.1, "dropout": 0.0, "embedding_size": 24, "decoder_hidden_size": 24}
    settings["normalize_posterior"] = False  # a latent of fixed scale would say what the context does
    trainer = dialogue_trainer(tmp_path / "run", settings, num_train_epochs=20, learning_rate=0.01)
    trainer.train()
    loaded, tokenizer = LDEBMModel.from_pretrained(tmp_path / "run"), AutoTokenizer.from_pretrained(tmp_path / "run")
    assert loaded.config.context_turns == 3 and loaded.config.speaker_markers == "all"
    loaded.config.speaker_markers = "none"  # the texts here have none
    hits = [noun in loaded.respond([f"i like {noun}", "what"], tokenizer)[0].split() for noun in NOUNS]
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["values"]["reconstruction_loss"] for line in lines if line["split"] == "validation"]
    assert losses[-1] < losses[0] / 2
    assert sum(hits) >= 3, "by chance one of four"


def test_settings_make_the_corpus_and_the_model(tmp_path):
    turns = [("driver", "will it rain"), ("assistant", "no"), ("driver", "thank you")]
    entry = {
        "dialogue": [{"turn": who, "data": {"utterance": text}} for who, text in turns],
        "scenario": {"task": {"intent": "weather"}},
    }
    for name in ("train", "dev"):
        (tmp_path / f"kvret_{name}_public.json").write_text(json.dumps([entry] * 4))
    data = {"source": "smd", "data_dir": str(tmp_path), "context_turns": 2, "speaker_markers": "context"}
    settings = Settings.from_dict({"data": data, "model": TINY_MODEL | OF_CONTEXTS})
    model, tokenizer, corpus = assemble(settings)
    assert model.config.context_turns == 2 and model.config.speaker_markers == "context"
    assert corpus.train.contexts[2] == ("<usr> will it rain", "<sys> no") and corpus.train.texts[2] == "thank you"
    assert tokenizer.tokenize("<usr> will it rain") == ["<usr>", "will", "it", "rain"]


@pytest.mark.parametrize(
    ("data", "model", "message"),
    [
        ({"context_turns": 5}, {}, "data.context_turns=5 needs model.context_size"),
        ({}, {"context_size": 8}, "model.context_size=8 needs data.context_turns"),
        ({}, {"context_turns": 3}, "unknown setting 'model.context_turns': did you mean data.context_turns"),
    ],
)
def test_settings_that_do_not_go_together(data, model, message):
    with pytest.raises(ValueError, match=message):
        Settings.from_dict({"data": data, "model": model})


def test_texts_without_contexts_are_batched_as_ever():
    tokenizer = build_tokenizer(tiny_corpus().train.texts)
    batch = next(iter(TokenizedSplit.from_split(tiny_corpus().train, tokenizer, 10).batches([np.arange(4)])))
    assert set(batch) == {"input_ids", "attention_mask", "class_labels", "indices", "lengths"}
