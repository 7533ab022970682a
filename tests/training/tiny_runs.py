"""Tiny corpora and runs of tiny models on them."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.utils import set_seed

from ldebm_hf import LDEBMModel, build_document_tokenizer, build_tokenizer
from ldebm_hf.data import NO_LABEL, Corpus, PointSplit, Split, load_corpus
from ldebm_hf.text.language_model_tokenization import build_language_model_tokenizer
from ldebm_hf.training import Settings, Trainer

TINY_MODEL = {
    "num_symbols": 3,
    "embedding_size": 16,
    "encoder_hidden_size": 16,
    "decoder_hidden_size": 16,
    "latent_size": 4,
    "energy_hidden_size": 16,
    "energy_num_blocks": 2,
    "langevin_steps": 2,
}
TINY_POINT_MODEL = {
    "modality": "point",
    "latent_size": 2,
    "point_hidden_size": 16,
    "kl_weight": 1.0,
}
# Its loss is a mean over independent examples, once `remove_noise` has been called.
NOISELESS_MODEL = {
    "preset": "consistent",
    "base_level_noise": False,
    "normalize_posterior": False,
    "symbol_levels": "first",
    "dropout": 0,
    "energy_spectral_norm": False,
    "mutual_information_weight": 0,
    "kl_weight": 0,
    "classification_weight": 1,
}
TOPICS = {
    "rain": "cold wet grey windy storm cloud",
    "food": "bread soup fresh salt oven dish",
    "game": "ball goal team",
}


def tiny_texts(count: int, seed: int) -> list[tuple[str, int]]:
    """Texts of 3 to 8 words, each with the class of the topic its words are from."""
    rng = random.Random(seed)
    labelled = []
    for _ in range(count):
        label, words = rng.choice(list(enumerate(TOPICS.values())))
        labelled.append((" ".join(rng.choices(words.split(), k=rng.randint(3, 8))), label))
    return labelled


def tiny_corpus(num_train: int = 40, num_validation: int = 12, labels: str = "all") -> Corpus:
    """A corpus whose training texts have `"all"`, `"some"` (every fourth) or `"no"` labels."""
    kept = {"all": 1, "some": 4, "no": num_train + 1}[labels]
    train = [
        (text, label if i % kept == kept - 1 else NO_LABEL) for i, (text, label) in enumerate(tiny_texts(num_train, 1))
    ]
    splits = [Split(*map(list, zip(*texts, strict=True))) for texts in (train, tiny_texts(num_validation, 2))]
    return Corpus("tiny", *splits, label_names=list(TOPICS))


def tiny_points(num_train: int = 40, num_validation: int = 12, labels: str = "all") -> Corpus:
    """Points about three far corners, the class; likewise, with labels as in `tiny_corpus`."""
    kept = {"all": 1, "some": 4, "no": num_train + 1}[labels]
    rng = np.random.default_rng(1)
    splits = []
    for count, every in ((num_train, kept), (num_validation, 1)):
        classes = rng.integers(3, size=count)
        points = np.array([[100, 0], [200, 0], [100, 100]])[classes] + rng.normal(size=(count, 2))
        splits.append(PointSplit(points, np.where(np.arange(count) % every == every - 1, classes, NO_LABEL)))
    return Corpus("tiny points", *splits, label_names=["a", "b", "c"])


def tiny_stream(folder: Path, corpus: Corpus) -> Corpus:
    """The same corpus, its training texts streamed from two files in `folder`."""
    train, validation = corpus.train, corpus.validation
    rows = [
        json.dumps({"text": text, "label": corpus.label_names[label] if label >= 0 else None})
        for text, label in zip(train.texts, train.labels, strict=True)
    ]
    half = len(rows) // 2
    for number, part in enumerate((rows[:half], rows[half:])):
        (folder / f"train{number}.jsonl").write_text("\n".join(part) + "\n")
    (folder / "validation.txt").write_text("\n".join(validation.texts) + "\n")
    label_column = "label" if train.classes else None
    streamed = load_corpus(
        str(folder / "train*.jsonl"),
        label_column=label_column,
        validation_file=folder / "validation.txt",
        streaming=True,
    )
    streamed.validation = validation
    return streamed


def tiny_trainer(
    output_dir: Path,
    corpus: Corpus | None = None,
    model: dict | None = None,
    clustering: dict | None = None,
    data: dict | None = None,
    **training,
) -> Trainer:
    """A trainer of a tiny model, of points if the corpus holds some; keywords are training settings."""
    corpus = corpus or tiny_corpus()
    of_points = isinstance(corpus.train, PointSplit)
    defaults = {
        "output_dir": str(output_dir),
        "num_train_epochs": 2,
        "per_device_train_batch_size": 8,
        "logging_steps": 2,
        "learning_rate": 0.01,
        "adversarial_steps": 3,
    }
    settings = Settings.from_dict(
        {
            "data": data or {},
            "model": TINY_MODEL | (TINY_POINT_MODEL if of_points else {}) | (model or {}),
            "clustering": clustering or {},
            "training": defaults | training,
        }
    )
    tokenizer = None
    if settings.modality == "document":
        tokenizer = build_document_tokenizer(corpus.train.texts)
    elif settings.model_value("decoder") == "pretrained":
        tokenizer = build_language_model_tokenizer(settings.model_value("decoder_name_or_path"))
    elif not of_points:
        tokenizer = build_tokenizer(corpus.train.texts)
    points = corpus.train.points if of_points else None
    config = settings.model_config(tokenizer, corpus.label_names, points)
    set_seed(settings.training.seed)
    built = LDEBMModel(config)
    built.load_base_models()
    if tokenizer is not None:
        built.set_tokenizer(tokenizer)
    return Trainer(built, tokenizer, corpus, settings)


def remove_noise(patch: pytest.MonkeyPatch) -> None:
    """Take the posterior's noise out of the objective, and clipping out of the steps."""
    patch.setattr("ldebm_hf.model.posteriors.gaussian_like", lambda tensor, generator: torch.zeros_like(tensor))
    patch.setattr("ldebm_hf.training.loop.clip_gradients", lambda optimizer, settings: {})


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """A copy of the model's whole state."""
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def assert_same_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert different == [], different
