"""The choice between words and a pretrained encoder, for a table with few labels."""

import random
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest
from tiny_base_models import bert

from ldebm_hf import LDEBMConfig
from ldebm_hf.commands.classification import train_classifier
from ldebm_hf.commands.recipe_choice import ENCODER_RECIPE, WORDS_RECIPE, choose_recipe
from ldebm_hf.files.packaged import RECIPES
from ldebm_hf.model.pretrained_encoder import PretrainedEncoder
from ldebm_hf.training import data_settings

WORDS = {"weather": "cold wet windy storm", "sport": "ball goal team match"}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def options(tmp_path) -> list[str]:
    """A table whose words say the class, which has a label in every fourth row."""
    return table(tmp_path, lambda kind, rng: " ".join(rng.choices(WORDS[kind].split(), k=4)))


def table(folder: Path, text_of, every: int = 4) -> list[str]:
    rng = random.Random(0)
    rows = ["text,kind"]
    for i in range(160):
        kind = list(WORDS)[i % 2]
        rows.append(f"{text_of(kind, rng)} {i},{kind if i % (2 * every) < 2 else ''}")
    (folder / "mine.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    named = {"data": folder / "mine.csv", "label_column": "kind", "output_dir": folder / "model"}
    named |= {"features_dir": folder / "vectors"}
    return [part for name, value in named.items() for part in (f"--{name}", str(value))]


def recipes_with(folder: Path, encoder: str) -> Path:
    """A copy of the recipes whose default encoder is another."""
    copy = folder / "recipes"
    shutil.copytree(RECIPES, copy)
    text = (copy / ENCODER_RECIPE).read_text(encoding="utf-8")
    changed = text.replace("sentence-transformers/all-MiniLM-L6-v2", encoder)
    assert changed != text
    (copy / ENCODER_RECIPE).write_text(changed, encoding="utf-8")
    return copy


@pytest.fixture
def loaded(monkeypatch) -> list[str]:
    """What is read or loaded from now on, in order."""
    seen: list[str] = []

    def noted(name, function):
        return lambda *args, **options: seen.append(name) or function(*args, **options)

    monkeypatch.setattr(data_settings, "load_corpus", noted("corpus", data_settings.load_corpus))
    load_weights = PretrainedEncoder.load_base_weights
    monkeypatch.setattr(PretrainedEncoder, "load_base_weights", noted("encoder", load_weights))
    return seen


def test_training_takes_what_the_comparison_has_loaded(tmp_path, options, loaded):
    letters = {"sport": "abcdef", "weather": "uvwxyz"}
    by_letters = table(tmp_path, lambda kind, rng: " ".join("".join(rng.choices(letters[kind], k=7)) for _ in "abc"))
    steps = ["--max_steps", "2", "--num_train_epochs", "1"]
    choice = choose_recipe(RECIPES, [*by_letters, *steps], str(bert()))
    assert choice.settings.model_value("encoder") == "pretrained"
    train_classifier(choice.settings, choice.assembled)
    assert loaded == ["corpus", "encoder"]
    assert LDEBMConfig.from_pretrained(tmp_path / "model").encoder == "pretrained"


def test_words_are_used_where_they_say_more(options, loaded):
    choice = choose_recipe(RECIPES, options, str(bert()))
    assert choice.settings.modality == "document"
    assert choice.reason.startswith(f"{WORDS_RECIPE} is used: in cross-validation on the 36 labelled training texts")
    assert choice.reason.endswith("and classes from words for 100.0%")
    model, _, corpus = choice.assembled
    assert model.config.modality == "document" and corpus.train.num_labelled == 36
    assert loaded == ["corpus", "encoder"]


def test_the_encoder_is_used_where_it_says_more(tmp_path):
    """Every word occurs once, and all words of a class begin with the same letters, which pieces of words show."""

    def text_of(kind: str, rng: random.Random) -> str:
        letters = "abcdef" if kind == "sport" else "uvwxyz"
        return " ".join("".join(rng.choices(letters, k=7)) for _ in range(3))

    choice = choose_recipe(RECIPES, table(tmp_path, text_of), str(bert()))
    assert choice.settings.model_value("encoder") == "pretrained" and choice.reason.startswith(ENCODER_RECIPE)
    assert choice.settings.clustering.features == "encoder_classes"
    assert any((tmp_path / "vectors").iterdir())


def test_the_default_encoder_may_be_in_a_folder(options, tmp_path):
    choice = choose_recipe(recipes_with(tmp_path, str(bert())), options)
    assert "in cross-validation on the 36 labelled" in choice.reason


def test_without_a_network_words_are_used_and_it_is_said(options, tmp_path):
    recipes = recipes_with(tmp_path, "nobody/no-such-encoder")
    choice = choose_recipe(recipes, options)
    assert choice.settings.modality == "document"
    assert "the pretrained encoder nobody/no-such-encoder is neither in the cache" in choice.reason
    with pytest.raises(OSError, match="encoder_name_or_path='nobody/other' is neither a folder nor in the cache"):
        choose_recipe(recipes, options, "nobody/other")


def test_an_encoder_that_is_there_in_part_is_not_used_and_it_is_said(options, tmp_path):
    encoder = tmp_path / "encoder"
    shutil.copytree(bert(), encoder)
    (encoder / "model.safetensors").unlink()
    choice = choose_recipe(recipes_with(tmp_path, str(encoder)), options)
    assert choice.settings.modality == "document"
    assert f"encoder cannot be used: the weights of encoder_name_or_path='{encoder}'" in choice.reason
    with pytest.raises(OSError, match="encoder_name_or_path=.* cannot be loaded"):
        choose_recipe(RECIPES, options, str(encoder))


def test_an_interrupted_run_keeps_its_recipe(options, tmp_path):
    recipes = recipes_with(tmp_path, "nobody/no-such-encoder")
    for recipe in (ENCODER_RECIPE, WORDS_RECIPE):
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        shutil.copy(recipes / recipe, folder / "settings.yaml")
        choice = choose_recipe(recipes, options)
        assert choice.reason == f"{recipe} is used, by which the run in {folder} began"
        assert (choice.settings.modality == "document") == (recipe == WORDS_RECIPE)


def test_what_cannot_be_compared_is_learned_from_words(tmp_path, options):
    encoder = str(bert())
    recipes = recipes_with(tmp_path, encoder)
    single = choose_recipe(recipes, table(tmp_path, lambda kind, rng: WORDS[kind], every=80))
    assert single.settings.modality == "document" and "a class with a single label" in single.reason
    chosen = choose_recipe(recipes, [*options, "--clustering.features", "words"])
    assert "by the options that are given" in chosen.reason and chosen.settings.clustering.features == "words"
    only_words = choose_recipe(recipes, [*options, "--stop_words", "none"])
    assert f"{ENCODER_RECIPE} does not allow this: data.stop_words=none" in only_words.reason
    with pytest.raises(ValueError, match="data.stop_words=none"):
        choose_recipe(recipes, [*options, "--stop_words", "none"], encoder)
