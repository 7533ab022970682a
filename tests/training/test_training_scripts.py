"""Classifiers of texts in scripts that tokenizers for Latin letters tear or do not split, as bags of words and as
subwords. In Latin letters the same corpus is read without a mistake; chance is a third.

Each script is trained with one of the two; test_words.py and test_subword_tokenization.py, of tests/text, check that
both split every script.
"""

import csv
from pathlib import Path

import numpy as np
import pytest
from code_words import code_corpus

from ldebm_hf.files.packaged import RECIPES
from ldebm_hf.training import Trainer, assemble, load_settings

NUM_TRAIN = 300
SMALL = "--langevin_steps 2 --energy_num_blocks 1 --energy_hidden_size 32 --latent_size 16 "
SMALL += "--per_device_train_batch_size 32"
OPTIONS = {
    "documents": "--max_steps 160 --document_hidden_size 64 --learning_rate 0.005",
    "texts": "--max_steps 90 --embedding_size 24 --encoder_hidden_size 24 --decoder_hidden_size 24 "
    "--classification_weight 100 --learning_rate 0.012 --features word_classes",
}
TRAINED = {"documents": ("tamil", "thai", "chinese"), "texts": ("devanagari", "vietnamese", "japanese")}


def accuracy(recipe: str, script: str, folder: Path) -> float:
    """On 100 held-out texts, after training on 300 of which two fifths have a label."""
    corpus = code_corpus(script, NUM_TRAIN + 100)
    path = folder / f"{script}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [(text, label if i % 10 < 4 else "") for i, (text, label) in enumerate(corpus[:NUM_TRAIN])]
        csv.writer(file).writerows([("text", "topic"), *rows])
    settings = load_settings([
        "--config", str(RECIPES / f"{recipe}.yaml"), "--data", str(path), "--label_column", "topic",
        "--num_symbols", "3", "--output_dir", str(folder / "run"), *SMALL.split(), *OPTIONS[recipe].split(),
    ])  # fmt: skip
    model, tokenizer, loaded = assemble(settings)
    Trainer(model, tokenizer, loaded, settings).train()
    found = model.eval().classify([text for text, _ in corpus[NUM_TRAIN:]], tokenizer)
    labels = [label for _, label in corpus[NUM_TRAIN:]]
    right = float(np.mean([symbol["label"] == label for symbol, label in zip(found, labels, strict=True)]))
    print(f"{recipe}, {script}: {right:.0%} right")  # shown by pytest -s
    return right


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "script"), [(recipe, script) for recipe in TRAINED for script in TRAINED[recipe]])
def test_scripts_are_told_apart_as_latin_is(recipe, script, tmp_path):
    assert accuracy(recipe, script, tmp_path) > 0.95
