"""Classifiers of texts in scripts that tokenizers for Latin letters tear or do not split: close to the same corpus in
Latin letters, for bags of words and for subwords.

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
SMALL = "--langevin_steps 3 --energy_hidden_size 32 --latent_size 16 --max_steps 200 "
SMALL += "--per_device_train_batch_size 32"
OPTIONS = {
    "documents": "--document_hidden_size 64 --learning_rate 0.004",
    "texts": "--embedding_size 32 --encoder_hidden_size 32 --decoder_hidden_size 32 --classification_weight 10 "
    "--learning_rate 0.006 --features word_classes",
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


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    """Accuracy of the same corpus in Latin letters, by recipe; chance is a third."""
    return {recipe: accuracy(recipe, "latin", tmp_path_factory.mktemp(recipe)) for recipe in OPTIONS}


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "script"), [(recipe, script) for recipe in TRAINED for script in TRAINED[recipe]])
def test_scripts_are_told_apart_as_latin_is(recipe, script, control, tmp_path):
    assert control[recipe] > 0.9
    assert accuracy(recipe, script, tmp_path) > control[recipe] - 0.05
