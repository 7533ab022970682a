"""examples/train.py on the kinds of tables that people have: each trains and says what of the texts is not read."""

import csv
import re

import pytest
from code_words import code_corpus
from untrained import load_script

from ldebm_hf import LDEBMModel
from ldebm_hf.files.packaged import RECIPES

TINY = "--langevin_steps 2 --energy_hidden_size 8 --latent_size 4 --max_steps 4 --per_device_train_batch_size 16"
SIZES = {
    "documents": "--document_hidden_size 8",
    "texts": "--embedding_size 8 --encoder_hidden_size 8 --decoder_hidden_size 8",
}
EMPTY_ANSWERS = ["no", "none of it", "n/a", "it was ok so so"]
SHARE_OF_EMPTY_ANSWERS = 5  # every so many rows


def script_rows(script: str) -> list[tuple[str, str]]:
    """Texts in a script, of which two fifths have a label."""
    return [(text, label if i % 10 < 4 else "") for i, (text, label) in enumerate(code_corpus(script, 120))]


def survey_rows() -> list[tuple[str, str]]:
    """Answers to a question; some have stop words and short words only, which documents do not count."""
    rows = code_corpus("latin", 120)
    for i in range(0, len(rows), SHARE_OF_EMPTY_ANSWERS):
        rows[i] = (EMPTY_ANSWERS[i % len(EMPTY_ANSWERS)], rows[i][1])
    return rows


def one_word_rows() -> list[tuple[str, str]]:
    """Texts of one word, so that no two words share a text."""
    return [(text.split()[0], label) for text, label in code_corpus("latin", 120)]


KINDS = {
    "hindi": lambda: script_rows("devanagari"),
    "chinese": lambda: script_rows("chinese"),
    "survey": survey_rows,
    "one word": one_word_rows,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("recipe", SIZES)
def test_every_kind_trains(recipe, kind, tmp_path, capsys):
    rows = KINDS[kind]()
    with (tmp_path / "mine.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "topic"), *rows])
    load_script("train").main([
        "--config", str(RECIPES / f"{recipe}.yaml"), "--data", str(tmp_path / "mine.csv"), "--label_column", "topic",
        "--num_symbols", "3", "--output_dir", str(tmp_path / "run"), *TINY.split(), *SIZES[recipe].split(),
    ])  # fmt: skip
    printed = capsys.readouterr().out
    model = LDEBMModel.from_pretrained(tmp_path / "run")
    (found,) = model.classify([rows[1][0]])
    assert found["label"] in {label for _, label in rows if label} and 0 < found["score"] <= 1
    empty = re.findall(r"note: (\w+) texts: ([\d,]+) of ([\d,]+) texts have no word that the model knows", printed)
    if recipe == "documents" and kind == "survey":
        assert [split for split, *_ in empty] == ["training", "validation"]
        assert sum(int(number) for _, number, _ in empty) == len(rows) / SHARE_OF_EMPTY_ANSWERS
        assert sum(int(total) for *_, total in empty) == len(rows)
    else:
        assert not [split for split, *_ in empty if split == "training"]
    assert "unknown to the model" not in printed, "subwords know every text, and documents leave words out on purpose"
