"""Classifiers of texts in scripts that Latin tokenizers tear or do not split: close to the same corpus in Latin letters,
for bags of words and for subwords."""

import csv
import logging

import numpy as np
import pytest
from code_words import SCRIPTS, code_corpus

from ldebm_hf.training import Settings, Trainer, assemble

NUM_TRAIN = 300
SMALL = {"preset": "consistent", "latent_size": 16, "langevin_steps": 2, "energy_hidden_size": 16, "energy_num_blocks": 2}
MODELS = {
    "document": {
        "modality": "document", "document_hidden_size": 64, "document_encoder_layers": 1, "document_decoder_layers": 2,
        "document_batch_norm": False, "encoder_head_activation": False, "normalize_posterior": False,
        "kl_weight": 0.1, "classification_weight": 100.0,
    },
    "text": {
        "embedding_size": 32, "encoder_hidden_size": 32, "decoder_hidden_size": 32, "classification_weight": 10.0,
        "kl_weight": 0.1,
    },
}  # fmt: skip


def accuracy(modality: str, script: str, folder) -> float:
    """On 100 held-out texts, after training on 300 of which two fifths have a label."""
    rows = [(text, label if i % 10 < 4 else "") for i, (text, label) in enumerate(code_corpus(script, 400))]
    path = folder / f"{script}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "topic"), *rows[:NUM_TRAIN]])
    settings = Settings.from_dict(
        {
            "data": {"source": str(path), "label_column": "topic"},
            "model": SMALL | MODELS[modality],
            "clustering": {"features": "word_classes"},
            "training": {
                "output_dir": str(folder / "run"), "max_steps": 200, "num_train_epochs": 100, "save_steps": 1000,
                "per_device_train_batch_size": 32, "learning_rate": 0.002, "max_grad_norm": None,
            } | ({"initial_words": "cooccurrence"} if modality == "document" else {}),
        }
    )  # fmt: skip
    model, tokenizer, corpus = assemble(settings)
    Trainer(model, tokenizer, corpus, settings).train()
    held_out = code_corpus(script, 400)[NUM_TRAIN:]
    found = model.eval().classify([text for text, _ in held_out], tokenizer)
    return float(np.mean([symbol["label"] == label for symbol, (_, label) in zip(found, held_out, strict=True)]))


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    """Accuracy of the same corpus in Latin letters, by modality; chance is a third."""
    return {modality: accuracy(modality, "latin", tmp_path_factory.mktemp(modality)) for modality in MODELS}


@pytest.mark.slow
@pytest.mark.parametrize("script", [script for script in SCRIPTS if script != "latin"])
@pytest.mark.parametrize("modality", MODELS)
def test_scripts_are_told_apart_as_latin_is(modality, script, control, tmp_path):
    found = accuracy(modality, script, tmp_path)
    logging.getLogger(__name__).info("%s %s: %.3f, Latin %.3f", modality, script, found, control[modality])
    assert control[modality] > 0.85 and found > control[modality] - 0.1
