"""The settings of a fit: which recipe suits the texts, and sizes from their number and their length."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from huggingface_hub import try_to_load_from_cache
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from ..data import Corpus, StreamedExamples
from ..experiments.experiment_runs import Changes, merge_changes, read_recipe
from ..files.packaged import RECIPES
from ..model.priors import PRIORS
from ..training import Settings
from ..training.assembly import build_tokenizer_of
from ..training.command_line import resolve_name

NUM_STEPS = 2000
"""Steps of a training, about."""
FEWEST_EPOCHS, MOST_EPOCHS = 3, 100
"""Texts without a label get a symbol anew in every epoch, which takes some; small corpora gain nothing by more."""
SMALLEST_BATCH, LARGEST_BATCH = 8, 64
STEPS_OF_AN_EPOCH = 32
"""Batches are smaller where the corpus is small, so that an epoch has about this number of steps at least."""
FEWEST_SYMBOLS, MOST_SYMBOLS = 2, 50
LENGTH_QUANTILE = 0.98
"""Fraction of the texts that are read to their end."""
SHORTEST_LENGTH, LENGTH_UNIT = 16, 8
MOST_TEXTS_MEASURED = 20_000
NO_ENCODER, ENCODER, ENCODER_WITH_FEW_LABELS = "texts", "texts_pretrained", "texts_pretrained_few_labels"
"""The recipes."""
WEIGHTS = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)


class FitPlan(NamedTuple):
    """
    Args:
        settings (`Settings`): The settings of the run.
        corpus (`Corpus`): Its texts, which were read to choose sizes.
        description (`str`): What was chosen, in two lines.
    """

    settings: Settings
    corpus: Corpus
    description: str


def plan_fit(own: Changes, given: Changes, encoder: str | None, num_texts: int, num_labelled: int) -> FitPlan:
    """
    Choose the settings of a fit.

    Args:
        own (`dict`): Settings by section that name the file of the texts and the output folder.
        given (`dict`): Settings of the user by section, which come before all that is chosen here.
        encoder (`str`, *optional*): `"auto"`: the recipes' pretrained encoder where it is in the cache of Hugging
            Face, else none; or its folder or Hub id; or `None`: none.
        num_texts (`int`), num_labelled (`int`): Number of texts, and of those with a label.

    Raises:
        OSError: A pretrained encoder or decoder cannot be had.
        ValueError: A setting is unknown or has a wrong value, or the texts are unfit.
    """
    # 1. The recipe.
    recipe, chosen = choose_recipe(encoder, num_texts, num_labelled)
    parts = read_recipe(RECIPES / f"{recipe}.yaml"), chosen, own
    settings = Settings.from_dict(merge_changes(*parts, given))

    # 2. The texts, and sizes for them.
    corpus = settings.load_corpus()
    sizes = sizes_for(settings, corpus, given, has_labels=num_labelled > 0)
    settings = Settings.from_dict(merge_changes(*parts, sizes, given))
    return FitPlan(settings, corpus, describe(settings, corpus, recipe, num_texts, num_labelled))


def choose_recipe(encoder: str | None, num_texts: int, num_labelled: int) -> tuple[str, Changes]:
    """The name of the recipe, and settings in which the fit differs from it."""
    has_few_labels = 0 < num_labelled < num_texts
    recipe = ENCODER_WITH_FEW_LABELS if has_few_labels else ENCODER
    if encoder == "auto":
        name = read_recipe(RECIPES / f"{recipe}.yaml")["model"]["encoder_name_or_path"]
        encoder = name if _is_in_cache(name) else None
    if encoder is not None:
        return recipe, {"model": {"encoder_name_or_path": encoder}}
    if has_few_labels:
        return NO_ENCODER, {"clustering": {"features": "word_classes"}}
    return NO_ENCODER, {}


def _is_in_cache(name: str) -> bool:
    """Whether the cache of Hugging Face has a model with its weights, of which a download may have been stopped."""

    def has(file: str) -> bool:
        return isinstance(try_to_load_from_cache(name, file), str)

    return has("config.json") and any(map(has, WEIGHTS))


def sizes_for(settings: Settings, corpus: Corpus, given: Changes, has_labels: bool) -> Changes:
    """Sizes that suit a corpus: the number of symbols and of epochs, the length of texts and of batches."""
    train = corpus.train.sample if isinstance(corpus.train, StreamedExamples) else corpus.train
    sizes: Changes = {"data": {}, "model": {}, "training": {}}
    if not has_labels and PRIORS[settings.model_value("prior")].can_have_symbols:
        sizes["model"]["num_symbols"] = num_symbols_for(len(corpus.train))
    if "max_length" not in given.get("data", {}):
        sizes["data"]["max_length"] = max_length_for(settings, corpus, train.texts)
    batch_size = given.get("training", {}).get("per_device_train_batch_size", batch_size_for(len(corpus.train)))
    batch_size = int(batch_size)
    sizes["training"]["per_device_train_batch_size"] = batch_size
    sizes["training"]["num_train_epochs"] = num_epochs_for(len(corpus.train), batch_size)
    return sizes


def num_symbols_for(num_texts: int) -> int:
    """A quarter of the square root of the number of texts, within limits."""
    return min(MOST_SYMBOLS, max(FEWEST_SYMBOLS, round(math.sqrt(num_texts) / 4)))


def batch_size_for(num_texts: int) -> int:
    """A power of two."""
    largest = max(1, num_texts // STEPS_OF_AN_EPOCH)
    return min(LARGEST_BATCH, max(SMALLEST_BATCH, 2 ** int(math.log2(largest))))


def num_epochs_for(num_texts: int, batch_size: int) -> int:
    """As many as make about [`NUM_STEPS`] steps, within limits."""
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(NUM_STEPS / math.ceil(num_texts / batch_size))))


def max_length_for(settings: Settings, corpus: Corpus, texts: list[str]) -> int:
    """A length in tokens that most texts do not exceed, at most the recipe's."""
    tokenizer = build_tokenizer_of(settings, corpus)
    token_ids = tokenizer(texts[:MOST_TEXTS_MEASURED], truncation=False, verbose=False)["input_ids"]
    length = float(np.quantile([len(ids) for ids in token_ids], LENGTH_QUANTILE))
    rounded = LENGTH_UNIT * math.ceil(length / LENGTH_UNIT)
    return min(settings.data.max_length, max(SHORTEST_LENGTH, rounded))


def describe(settings: Settings, corpus: Corpus, recipe: str, num_texts: int, num_labelled: int) -> str:
    """What was chosen, in two lines."""
    labels = "none with a label" if not num_labelled else f"{num_labelled:,} with a label"
    reader = settings.model_value("encoder_name_or_path") or "no pretrained encoder"
    if "num_symbols" in settings.model:
        symbols = f"{settings.model['num_symbols']} symbols"
    else:
        symbols = f"{len(corpus.label_names)} symbols, one for each label" if num_labelled else "no symbols"
    training = settings.training
    steps = training.num_train_epochs * math.ceil(len(corpus.train) / training.per_device_train_batch_size)
    length = f"{training.num_train_epochs} epochs ({steps:,} steps)"
    if training.max_steps > 0:
        length = f"{training.max_steps:,} steps"
    return (
        f"{num_texts:,} texts, {labels}: recipe {recipe} ({reader}), {symbols}\n"
        f"texts of up to {settings.data.max_length} tokens, batches of {training.per_device_train_batch_size}, "
        f"{length}, in {training.output_dir}"
    )


def by_section(settings: dict[str, Any]) -> Changes:
    """
    Settings by section, from names as on the command line, in which `__` may stand for the dot after a section.

    Raises:
        ValueError: There is no such setting, or several sections have it; the message has the nearest names.
            Or a setting is given by two of its names.
    """
    changes: Changes = {}
    for name, value in settings.items():
        section, _, short = resolve_name(name.replace("__", ".")).partition(".")
        if short in changes.get(section, {}):
            raise ValueError(f"{section}.{short} is given twice, the second time as {name}")
        changes.setdefault(section, {})[short] = value
    return changes
