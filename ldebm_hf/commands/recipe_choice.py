"""By which recipe a table with few labels is learned: from its words alone, or with a pretrained encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import yaml
from transformers import PreTrainedTokenizerBase

from ..data import Corpus, StreamedExamples
from ..pseudo_labels.encoder_classes import EncoderClasses
from ..pseudo_labels.naive_bayes import WordClasses
from ..training import Settings, assemble, load_settings
from ..training.assembly import Assembled, build_tokenizer_of
from ..training.examples import prepare_training_split
from ..training.features import FeatureCache
from ..training.hub_access import require_base_models
from ..training.output_folder import OutputFolder

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel

WORDS_RECIPE, ENCODER_RECIPE = "documents.yaml", "texts_pretrained_few_labels.yaml"
"""Files of the two recipes."""


class RecipeChoice(NamedTuple):
    """
    Args:
        settings (`Settings`): The settings of the run by the chosen recipe.
        reason (`str`): Which recipe it is and why, in one sentence.
        assembled (*optional*): What `assemble(settings)` returns, if the comparison has needed it.
    """

    settings: Settings
    reason: str
    assembled: Assembled | None = None


def choose_recipe(recipes: Path, options: Sequence[str], encoder: str | None = None) -> RecipeChoice:
    """
    Choose between [`WORDS_RECIPE`] and [`ENCODER_RECIPE`] by cross-validation on the labelled training texts.

    With each recipe, texts without a label are given a class, from which training learns. The recipe is chosen whose
    classes are right more often on labelled texts that were held out. The encoder's classes depend on weights that are
    themselves chosen by cross-validation, which would flatter them: each held-out fold is therefore judged with the
    weights that are best on the other folds (`fair_accuracy` of [`EncoderClasses`]). The vectors of all training texts
    are computed for this and kept, so that training does not compute them again. An interrupted run keeps its recipe.

    Args:
        recipes (`Path`): Folder of the recipes.
        options (`Sequence[str]`): Settings of the run, as on the command line of a training.
        encoder (`str`, *optional*): Folder or Hub id of the encoder. Default: that of the recipe; if it cannot be
            loaded, words are used.

    Raises:
        OSError: If the data cannot be read, or an encoder that is given cannot be loaded.
        ValueError: If the options are wrong.
    """
    words = load_settings(["--config", str(recipes / WORDS_RECIPE), *options])
    if (words.modality, words.clustering.features) != ("document", "word_classes"):
        return RecipeChoice(words, f"{WORDS_RECIPE} is used, with other symbols by the options that are given")
    name = [] if encoder is None else ["--encoder_name_or_path", encoder]
    try:
        with_encoder = load_settings(["--config", str(recipes / ENCODER_RECIPE), *options, *name])
    except ValueError as error:
        if encoder is not None:
            raise
        return RecipeChoice(words, f"{WORDS_RECIPE} is used, because {ENCODER_RECIPE} does not allow this: {error}")
    earlier = OutputFolder(words.training.output_dir).settings
    if earlier.is_file():
        model = yaml.safe_load(earlier.read_text(encoding="utf-8")).get("model", {})
        begun = RecipeChoice(words, WORDS_RECIPE)
        if model.get("encoder") == "pretrained":
            begun = RecipeChoice(with_encoder, ENCODER_RECIPE)
        return begun._replace(reason=f"{begun.reason} is used, by which the run in {earlier.parent} began")
    return _better_recipe(words, with_encoder, encoder is not None)


def _better_recipe(words: Settings, with_encoder: Settings, must_have_encoder: bool) -> RecipeChoice:
    try:
        require_base_models(with_encoder)
    except OSError:
        if must_have_encoder:
            raise
        name = with_encoder.model_value("encoder_name_or_path")
        return RecipeChoice(
            words,
            f"{WORDS_RECIPE} is used, because the pretrained encoder {name} is neither in the cache of Hugging Face "
            "nor can be downloaded; --encoder_name_or_path FOLDER takes one from a folder",
        )
    texts = words.data.load_corpus()
    corpus = words.load_corpus(texts)
    try:
        accuracy_of_words = _accuracy_of_words(words, corpus)
    except ValueError as error:  # training refuses these labels with a message of its own
        return RecipeChoice(words, f"{WORDS_RECIPE} is used, because nothing can be compared: {error}")
    if accuracy_of_words is None:
        return RecipeChoice(
            words, f"{WORDS_RECIPE} is used, because a class with a single label leaves nothing to compare recipes by"
        )
    try:
        assembled = assemble(with_encoder, with_encoder.load_corpus(texts))
        accuracy_of_encoder = _accuracy_of_encoder(with_encoder, *assembled)
    except OSError as error:
        if must_have_encoder:
            raise
        return RecipeChoice(words, f"{WORDS_RECIPE} is used, because the pretrained encoder cannot be used: {error}")
    is_better = accuracy_of_encoder > accuracy_of_words
    winner, recipe = (with_encoder, ENCODER_RECIPE) if is_better else (words, WORDS_RECIPE)
    reason = (
        f"{recipe} is used: in cross-validation on the {corpus.train.num_labelled:,} labelled training texts, classes "
        f"from the encoder's vectors are right for {accuracy_of_encoder:.1%} and classes from words for "
        f"{accuracy_of_words:.1%}"
    )
    return RecipeChoice(winner, reason, assembled if is_better else assemble(words, corpus))


def _accuracy_of_words(settings: Settings, corpus: Corpus) -> float | None:
    tokenizer = build_tokenizer_of(settings, corpus)
    sample = corpus.train.sample if isinstance(corpus.train, StreamedExamples) else corpus.train
    token_ids = tokenizer(sample.texts, truncation=True, max_length=settings.data.max_length)["input_ids"]
    labels = np.asarray(sample.labels)
    classes = WordClasses(token_ids, labels, len(corpus.label_names), tokenizer.all_special_ids)
    return classes.cross_validated_accuracy(labels)


def _accuracy_of_encoder(
    settings: Settings, model: LDEBMModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus
) -> float:
    """Read the texts as training will read them, so that it finds their vectors where they are kept."""
    model.encoder.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    vectors = FeatureCache(model.encoder, settings.data.features_dir)
    examples = prepare_training_split(corpus.train, model.config, tokenizer, settings.data, 1, vectors).sample
    classes = EncoderClasses(
        examples.features, examples.labels, model.config.num_labels, examples.token_ids, tokenizer.all_special_ids
    )
    return classes.fair_accuracy
