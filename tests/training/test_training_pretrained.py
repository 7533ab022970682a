"""Training with pretrained encoders and decoders: what changes, what is kept, and that runs resume exactly."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_base_models import bert, llama, own_encoder
from tiny_runs import assert_same_weights, tiny_corpus, tiny_stream, tiny_trainer, weights

from ldebm_hf import LDEBMModel
from ldebm_hf.data import Corpus, Split
from ldebm_hf.files.manifest import read_manifest, write_manifest
from ldebm_hf.pseudo_labels.encoder_classes import EncoderClasses
from ldebm_hf.training import Settings, load_settings

ENCODER = {"encoder": "pretrained", "encoder_name_or_path": str(bert())}
DECODER = {"decoder": "pretrained", "decoder_name_or_path": str(llama()), "decoder_lora_rank": 2}
BOTH = ENCODER | DECODER


@pytest.fixture(autouse=True)
def features_dir(tmp_path_factory, monkeypatch) -> Path:
    folder = tmp_path_factory.mktemp("features")
    monkeypatch.setattr("ldebm_hf.training.features.default_folder", lambda: folder)
    return folder


@pytest.mark.parametrize("model", [ENCODER, DECODER, BOTH], ids=["encoder", "decoder", "both"])
def test_training_changes_what_is_trained_and_nothing_else(model, tmp_path):
    trainer = tiny_trainer(tmp_path, model=model)
    before = weights(trainer)
    trainer.train()
    after, frozen = weights(trainer), trainer.model.frozen_base_names()
    assert frozen and all(torch.equal(before[name], after[name]) for name in frozen)
    trained = {name for name, parameter in trainer.model.named_parameters() if parameter.requires_grad}
    unchanged = [name for name in trained if torch.equal(before[name], after[name])]
    assert unchanged == []
    saved = load_file(tmp_path / "model.safetensors")
    assert not saved.keys() & frozen
    loaded = LDEBMModel.from_pretrained(tmp_path)
    texts = trainer.tokenizer(["cold wet grey", "bread"], return_tensors="pt", padding=True)
    best = LDEBMModel.from_pretrained(tmp_path / "best")
    assert torch.equal(loaded.encode(**texts).posterior_mean, best.encode(**texts).posterior_mean)


@pytest.mark.parametrize(
    "model",
    [BOTH, ENCODER | {"encoder_trainable_layers": 1}, ENCODER | {"encoder_lora_rank": 2}, DECODER],
    ids=["both", "last layer", "adapters", "decoder"],
)
def test_resumed_run_ends_with_the_same_weights(model, tmp_path):
    run = {"num_train_epochs": 2, "save_steps": 3, "save_total_limit": 5}
    whole = tiny_trainer(tmp_path / "whole", model=model, **run)
    whole.train()
    (tmp_path / "cut").mkdir()
    checkpoint = tmp_path / "whole" / "checkpoints" / "step-00000003"
    assert not load_file(checkpoint / "model.safetensors").keys() & whole.model.frozen_base_names()
    resumed = tiny_trainer(tmp_path / "cut", model=model, resume=str(checkpoint), **run)
    resumed.train()
    assert_same_weights(weights(whole), weights(resumed))


def test_batches_hold_the_vectors_of_a_frozen_encoder(tmp_path):
    trainer = tiny_trainer(tmp_path, model=ENCODER)
    trainer.model.eval()
    for split in (trainer.train_set, trainer.evaluator.split):
        batch = next(iter(split.batches([np.array([3, 0, 7])])))
        texts = trainer.tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)
        expected = trainer.model.encoder.features(texts)
        torch.testing.assert_close(batch["encoder_features"], expected, rtol=1e-4, atol=1e-5)
    assert tiny_trainer(tmp_path / "other", model=ENCODER | {"encoder_lora_rank": 2}).train_set.features is None


def test_streamed_texts_have_vectors_and_train(tmp_path, features_dir):
    corpus = tiny_stream(tmp_path, tiny_corpus(num_train=40))
    trainer = tiny_trainer(tmp_path / "run", corpus, model=ENCODER, data={"shuffle_buffer_size": 16})
    shards = list(trainer.examples.shards(0))
    assert [len(shard.split.features) for shard in shards] == [16, 16, 8]
    computed = set(features_dir.iterdir())
    trainer.train()
    assert set(features_dir.iterdir()) == computed  # two more epochs read what was kept


def test_clusters_of_vectors_are_the_symbols(tmp_path):
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels="no"), model=ENCODER, clustering={"features": "encoder"})
    np.testing.assert_array_equal(trainer.symbols.features(trainer.train_set), trainer.train_set.features)
    trainer.symbols.start_epoch()
    first = trainer.progress.assignments.clone()
    assert len(first.unique()) == 3
    trainer.symbols.start_epoch()
    assert torch.equal(trainer.progress.assignments, first)


def test_classes_of_vectors_are_learned_from_the_labels_that_are_known(tmp_path):
    corpus = tiny_corpus(labels="some")
    trainer = tiny_trainer(tmp_path, corpus, model=ENCODER, clustering={"features": "encoder_classes"})
    trainer.symbols.start_epoch()
    labels, vectors, words = trainer.train_set.labels, trainer.train_set.features, trainer.train_set.token_ids
    classes = EncoderClasses(vectors, labels, 3, words, trainer.tokenizer.all_special_ids)
    expected = classes.features(vectors, words).argmax(1)
    np.testing.assert_array_equal(trainer.progress.assignments, expected)
    with pytest.raises(ValueError, match="=encoder_classes learns .*at least two classes.* --clustering.features enc"):
        tiny_trainer(
            tmp_path / "none", tiny_corpus(labels="no"), model=ENCODER, clustering={"features": "encoder_classes"}
        )


def test_loss_with_shuffled_latents_is_logged_and_by_hand(tmp_path, monkeypatch):
    monkeypatch.setattr("ldebm_hf.model.posteriors.gaussian_like", lambda tensor, generator: torch.zeros_like(tensor))
    trainer = tiny_trainer(tmp_path, num_train_epochs=8, per_device_eval_batch_size=12)
    values = trainer.train()
    lines = [json.loads(line) for line in trainer.folder.metrics.read_text().splitlines()]
    logged = [line["values"] for line in lines if line["split"] == "validation"]
    assert all("shuffled_reconstruction_loss" in entry for entry in logged)
    assert values["shuffled_reconstruction_loss"] > values["reconstruction_loss"] + 0.5  # topics are in the latent
    model, split = trainer.model.eval(), trainer.evaluator.split
    order = next(iter(split.batches([np.arange(12)])))
    inputs = {name: order[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        means = model.encode(**inputs).posterior_mean
        pairs = [-model.conditional_log_likelihood(means.roll(k, 0), **inputs).mean() for k in range(12)]
    assert min(pairs) == pairs[0]


@pytest.mark.parametrize("model", [ENCODER, ENCODER | {"encoder_lora_rank": 2}], ids=["frozen", "adapters"])
def test_texts_that_the_encoder_does_not_read_to_the_end_are_said(model, tmp_path):
    texts = ["cold wet grey", "bread " * 9, "soup " * 10, "rain"]
    corpus = Corpus("long", Split.unlabelled(texts * 4), Split.unlabelled(texts[:1]))
    trainer = tiny_trainer(tmp_path, corpus, model=model)
    (note,) = trainer.notes
    assert note.startswith("training texts: of 8 of 16 texts the pretrained encoder reads only the first 40 of its")


@pytest.mark.parametrize("model", [DECODER, ENCODER | {"encoder_trainable_layers": 1}], ids=["decoder", "encoder"])
def test_gradient_checkpointing_trains_to_the_same_weights(model, tmp_path):
    kept, again = (
        tiny_trainer(tmp_path / str(is_on), model=model, gradient_checkpointing=is_on, num_train_epochs=1)
        for is_on in (False, True)
    )
    assert again.model.is_gradient_checkpointing and not kept.model.is_gradient_checkpointing
    kept.train()
    again.train()
    assert_same_weights(weights(kept), weights(again))


def test_gradient_checkpointing_without_effect_is_refused():
    for model in ({}, ENCODER):
        with pytest.raises(ValueError, match="training.gradient_checkpointing=true has no effect without model.dec"):
            Settings.from_dict({"model": model, "training": {"gradient_checkpointing": True}})


def test_base_models_with_code_of_their_own_are_trained_by_choice(tmp_path):
    model = {"encoder": "pretrained", "encoder_name_or_path": str(own_encoder())}
    with pytest.raises(ValueError, match="is a model with code of its own .* to train --trust_remote_code true"):
        tiny_trainer(tmp_path, model=model)
    trainer = tiny_trainer(tmp_path, model=model, trust_remote_code=True, num_train_epochs=1)
    trainer.train()
    settings = load_settings(["--config", str(tmp_path / "settings.yaml")])
    assert settings.training.trust_remote_code is False, "everybody decides anew"
    with pytest.raises(ValueError, match="code of its own"):
        LDEBMModel.from_pretrained(tmp_path)
    assert LDEBMModel.from_pretrained(tmp_path, trust_remote_code=True).encoder.is_frozen
    other = tmp_path / "other"
    resumed = tiny_trainer(
        other, model=model, trust_remote_code=True, resume=str(next((tmp_path / "checkpoints").glob("step-*"))),
        num_train_epochs=2,
    )  # fmt: skip
    resumed.train()
    assert LDEBMModel.from_pretrained(other, trust_remote_code=True).encoder.is_frozen


def test_run_is_resumed_with_the_base_model_that_it_began_with(tmp_path):
    base = tmp_path / "base"
    shutil.copytree(bert(), base)
    model = {"encoder": "pretrained", "encoder_name_or_path": str(base), "encoder_lora_rank": 2}
    run = {"num_train_epochs": 2, "save_steps": 3, "save_total_limit": 5}
    tiny_trainer(tmp_path / "run", model=model, **run).train()
    checkpoint = tmp_path / "run" / "checkpoints" / "step-00000003"
    weights_of_base = load_file(base / "model.safetensors")
    weights_of_base["embeddings.LayerNorm.bias"] += 1
    save_file(weights_of_base, base / "model.safetensors", {"format": "pt"})
    resumed = tiny_trainer(tmp_path / "again", model=model, resume=str(checkpoint), **run)
    with pytest.raises(ValueError, match=r"model.encoder_digest was '\w+' and is now '\w+'"):
        resumed.train()
    manifest = read_manifest(checkpoint)
    del manifest["fingerprint"]["model.encoder_digest"]  # as earlier versions wrote it
    write_manifest(checkpoint, **{name: manifest[name] for name in ("step", "fingerprint")})
    tiny_trainer(tmp_path / "older", model=model, resume=str(checkpoint), **run).train()


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="clustering.features=encoder needs model.encoder=pretrained"):
        Settings.from_dict({"clustering": {"features": "encoder"}})
    with pytest.raises(ValueError, match="encoder_trainable_layers=0"):
        Settings.from_dict({"clustering": {"features": "encoder"}, "model": ENCODER | {"encoder_lora_rank": 4}})
    with pytest.raises(ValueError, match="data.tokenizer=words needs model.decoder=recurrent"):
        Settings.from_dict({"data": {"tokenizer": "words"}, "model": DECODER})


def test_tokenised_corpora_are_written_as_people_do():
    texts = ["the food was great !", "i do n't like it .", "the staff is rude , and i wo n't go back ."]
    corpus = Corpus("tokenised", Split.unlabelled(texts), Split.unlabelled(["great food !"]))
    written = corpus.written_naturally()
    assert written.train.texts[0] == "The food was great!" and written.train.texts[1] == "I don't like it."
    assert written.validation.texts == ["Great food!"] and "as people do" in written.notes[-1]
    natural = Corpus("natural", Split.unlabelled(["Great food!", "Well, it is."]), Split.unlabelled(["Fine!"]))
    assert natural.written_naturally() is natural
    assert Settings.from_dict({"model": DECODER}).data.natural_writing is True
    assert Settings.from_dict({"model": ENCODER}).data.natural_writing is True
    assert Settings().data.natural_writing is False


def test_pretrained_encoder_reads_texts_whole():
    """Whole words of a small vocabulary would leave out names, and lower-case what is left."""
    assert Settings.from_dict({"model": ENCODER}).data.uses_subwords
    assert not Settings.from_dict({"model": ENCODER, "data": {"tokenizer": "words"}}).data.uses_subwords
    assert not Settings().data.uses_subwords
