"""Documents through the same loop as texts: background, trained, clustered, scored, saved and read from raw text."""

from dataclasses import replace

import pytest
import torch
import yaml
from tiny_runs import TINY_MODEL, tiny_corpus, tiny_trainer
from transformers import AutoModel, AutoTokenizer

from ldebm_hf import LDEBMModel, build_document_tokenizer
from ldebm_hf.model.bag_of_words import word_counts
from ldebm_hf.training import Settings, Trainer, assemble
from ldebm_hf.training.assembly import count_tokens

DOCUMENTS = TINY_MODEL | {"modality": "document", "document_hidden_size": 16, "document_dropout": 0.0}
QUICK = {"learning_rate": 0.01, "prior_learning_rate": 0.01, "max_grad_norm": None}


def settings_of(tmp_path, data=None, **training) -> Settings:
    rows = [
        f"{'cold wet windy storm' if i % 2 else 'ball goal team goal'} item{i},{'ab'[i % 2] if i % 5 == 0 else ''}"
        for i in range(60)
    ]
    path = tmp_path / "mine.csv"
    path.write_text("text,kind\n" + "\n".join(rows) + "\n")
    return Settings.from_dict(
        {
            "data": {"source": str(path), "label_column": "kind"} | (data or {}),
            "model": {name: value for name, value in DOCUMENTS.items() if name != "num_symbols"},
            "clustering": {"enabled": False},
            "training": {"output_dir": str(tmp_path / "run"), "num_train_epochs": 12}
            | {"per_device_train_batch_size": 8, "labelled_batch_size": 8} | QUICK | training,
        }
    )  # fmt: skip


def test_a_table_with_few_labels_becomes_a_classifier_of_raw_text(tmp_path):
    settings = settings_of(tmp_path)
    model, tokenizer, corpus = assemble(settings)
    counts = count_tokens(tokenizer, corpus.train.texts)
    assert counts[tokenizer.convert_tokens_to_ids("goal")] == 2 * counts[tokenizer.convert_tokens_to_ids("ball")]
    background = model.decoder.background.clone()
    torch.testing.assert_close(background[4:].exp() * counts[4:].sum(), torch.from_numpy(counts[4:]).float())
    Trainer(model, tokenizer, corpus, settings).train()

    loaded = LDEBMModel.from_pretrained(tmp_path / "run")
    assert torch.equal(loaded.decoder.background, background)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    found = loaded.classify(["A STORM: cold & wet", "The team scores a goal"], tokenizer)
    assert [result["label"] for result in found] == ["b", "a"]
    assert isinstance(AutoModel.from_pretrained(tmp_path / "run"), LDEBMModel)


def test_texts_of_one_word_train(tmp_path):
    texts, note = ["goal", "storm", "salty"], "no two words occur in the same text"
    settings = settings_of(tmp_path, initial_words="cooccurrence", num_train_epochs=2, labelled_batch_size=0)
    rows = [f"{texts[i % len(texts)]},{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "mine.csv").write_text("text,kind\n" + "\n".join(rows) + "\n")
    model, tokenizer, corpus = assemble(settings)
    assert any(note in line for line in corpus.notes), corpus.notes
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    at_random = assemble(replace(settings, training=replace(settings.training, initial_words="random")))
    assert torch.equal(model.encoder.words.weight, at_random[0].encoder.words.weight)
    Trainer(model, tokenizer, corpus, settings).train()
    assert all(parameter.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("text", ["good food", "good"])
def test_texts_that_are_all_the_same_are_refused(tmp_path, text):
    settings = settings_of(tmp_path, initial_words="cooccurrence")
    (tmp_path / "mine.csv").write_text("text,kind\n" + "".join(f"{text},{'ab'[i % 2]}\n" for i in range(60)))
    with pytest.raises(ValueError, match=f"training texts of corpus .* are the same, '{text}'"):
        assemble(settings)


def test_words_start_near_those_that_they_share_texts_with(tmp_path):
    settings, at_random = settings_of(tmp_path, initial_words="cooccurrence"), settings_of(tmp_path)
    for each in (settings, at_random):
        each.model |= {"document_encoder_layers": 1, "normalize_posterior": False}
    model, tokenizer, corpus = assemble(settings)
    layer, other_layer = model.encoder.words, assemble(at_random)[0].encoder.words
    size = len(corpus.train) // 10
    assert 2 * size < layer.weight.shape[1]
    torch.testing.assert_close(layer.weight[:, size : 2 * size], -layer.weight[:, :size])
    assert torch.equal(layer.weight[:, 2 * size :], other_layer.weight[:, 2 * size :])
    cold, wet, goal = (layer.weight[tokenizer.convert_tokens_to_ids(word), :size] for word in ("cold", "wet", "goal"))
    similar, other = (torch.cosine_similarity(cold, word, dim=0) for word in (wet, goal))
    assert similar > 0.5 > 0 > other
    assert not layer.weight[tokenizer.pad_token_id, : 2 * size].any()
    batch = tokenizer(corpus.train.texts, return_tensors="pt", padding=True)
    scores = layer(batch["input_ids"], word_counts(**batch, config=model.config))[:, :size]
    assert scores.std().item() == pytest.approx(1, abs=1e-5)
    means = model.encode(**batch).posterior_mean
    torch.testing.assert_close(means, scores[:, : means.shape[1]])
    again = assemble(settings)[0]
    assert torch.equal(again.encoder.words.weight, layer.weight)


@pytest.mark.parametrize(
    ("labels", "expected"), [("some", "classification_loss"), ("no", "reconstruction_loss")]
)
def test_what_selects_a_model_by_default(tmp_path, labels, expected):
    corpus = tiny_corpus(labels=labels)
    trainer = tiny_trainer(
        tmp_path, corpus, DOCUMENTS, {"enabled": False}, labelled_batch_size=4, metric_for_best_model=None
    )
    assert trainer.settings.training.metric_for_best_model == expected
    trainer.train()
    saved = yaml.safe_load((tmp_path / "settings.yaml").read_text())
    assert saved["training"]["metric_for_best_model"] == expected


def test_initial_words_are_about_documents():
    with pytest.raises(ValueError, match="initial_words=cooccurrence needs model.modality=document"):
        Settings.from_dict({"training": {"initial_words": "cooccurrence"}})


def test_symbols_without_any_label(tmp_path):
    corpus = tiny_corpus(num_train=120, num_validation=60, labels="no")
    trainer = tiny_trainer(tmp_path, corpus, DOCUMENTS, {"normalize": False}, num_train_epochs=10, **QUICK)
    values = trainer.train()
    assert values["symbols_used"] >= 2 and values["v_measure"] > 0.3  # of random symbols 0.03


def test_sizes_follow_the_modality():
    text, document = Settings(), Settings(model={"modality": "document"})
    assert (text.data.vocab_size, text.data.max_length) == (10000, 40)
    assert (document.data.vocab_size, document.data.max_length) == (30004, 512)
    given = Settings.from_dict({"data": {"vocab_size": "99"}, "model": {"modality": "document"}})
    assert (given.data.vocab_size, given.data.max_length) == (99, 512)
    with pytest.raises(ValueError, match="data.stop_words=none needs model.modality=document"):
        Settings.from_dict({"data": {"stop_words": "none"}})


def test_vocabulary_follows_its_settings(tmp_path):
    settings = settings_of(tmp_path, {"vocab_size": 8, "stop_words": "none", "max_length": 7})
    tokenizer = assemble(settings)[1]
    assert len(tokenizer) == 8 and tokenizer.model_max_length == 7


def test_saved_settings_start_the_run_anew(tmp_path):
    settings = settings_of(tmp_path)
    settings.save(tmp_path / "settings.yaml")
    assert Settings.from_dict(yaml.safe_load((tmp_path / "settings.yaml").read_text())).to_dict() == settings.to_dict()


def test_counts_of_tokens_in_parts(monkeypatch):
    texts = ["rain storm rain", "", "storm unheard"]
    tokenizer = build_document_tokenizer(texts[:1])
    counts = count_tokens(tokenizer, iter(texts))
    expected = {"<pad>": 0, "<unk>": 1, "<s>": 3, "</s>": 3, "rain": 2, "storm": 2}
    assert dict(zip(tokenizer.convert_ids_to_tokens(range(6)), counts.tolist(), strict=True)) == expected
