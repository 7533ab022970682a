"""From settings to what a trainer needs: a corpus, its tokenizer and an untrained model."""

from collections.abc import Iterable
from itertools import islice

import numpy as np
from accelerate.utils import set_seed
from transformers import PreTrainedTokenizerBase

from ..data import Corpus, StreamedExamples, check_corpus
from ..model.base_model_files import require_name
from ..model.modalities import MODALITIES
from ..model.modeling_ldebm import LDEBMModel
from .hub_access import require_base_models
from .initial_words import set_words_by_cooccurrence
from .settings import Settings

Assembled = tuple[LDEBMModel, PreTrainedTokenizerBase | None, Corpus]
"""A model, its tokenizer and its corpus."""


def assemble(settings: Settings, corpus: Corpus | None = None) -> Assembled:
    """The model, the tokenizer and the corpus of a run. The weights are drawn with the seed of the run.

    The vocabulary of the tokenizer comes from the training texts; for points the tokenizer is `None`. A symbol has the
    name of a class if at least one training example has that label.

    Args:
        settings (`Settings`): All settings of the run.
        corpus (`Corpus`, *optional*): What `settings.load_corpus()` returned, if it was read already.

    Raises:
        FileNotFoundError, ConnectionError, ImportError: the corpus cannot be read.
        OSError: a pretrained model of the settings cannot be had.
        ValueError: the corpus cannot be used, or settings do not go together.
    """
    require_base_models(settings)
    if corpus is None:
        corpus = settings.load_corpus()
    modality = MODALITIES[settings.modality]
    tokenizer = build_tokenizer_of(settings, corpus)
    labelled_classes = corpus.train.classes
    names = [name if label in labelled_classes else f"LABEL_{label}" for label, name in enumerate(corpus.label_names)]
    config = settings.model_config(tokenizer, names, None if modality.reads_texts else corpus.train.points)
    check_corpus(corpus, config.num_labels if config.has_symbols else max(1, len(names)))
    set_seed(settings.training.seed)
    model = LDEBMModel(config)
    model.load_base_models()
    if tokenizer is not None:
        model.set_tokenizer(tokenizer)
    if modality.is_autoregressive:
        model.generation_config.max_new_tokens = settings.data.max_length
    elif modality.is_bag_of_words:
        model.decoder.set_background(count_tokens(tokenizer, corpus.train.texts))
        if settings.training.initial_words == "cooccurrence":
            texts = corpus.train.sample.texts if isinstance(corpus.train, StreamedExamples) else corpus.train.texts
            reason = set_words_by_cooccurrence(model, tokenizer, texts, seed=settings.training.seed)
            if reason is not None:
                corpus.notes.append(f"train: the encoder's words start at random: {reason}")
    return model, tokenizer, corpus


def build_tokenizer_of(settings: Settings, corpus: Corpus) -> PreTrainedTokenizerBase | None:
    """The tokenizer of texts: of a pretrained decoder its own, else one made from the training texts."""
    modality = settings.modality_class
    if not modality.reads_texts:
        return None
    name = revision = None
    if settings.model_value("decoder") == "pretrained":
        name, revision = settings.model_value("decoder_name_or_path"), settings.model_value("decoder_revision")
        require_name("decoder_name_or_path", name)
    trusted = settings.training.trust_remote_code
    return settings.data.build_tokenizer(corpus, modality.is_bag_of_words, name, revision, trusted)


def count_tokens(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> np.ndarray:
    """The number of times that each token occurs in the texts, int64 `(len(tokenizer),)`."""
    counts = np.zeros(len(tokenizer), dtype=np.int64)
    iterator = iter(texts)
    while chunk := list(islice(iterator, 10_000)):
        token_ids = tokenizer(chunk, truncation=True)["input_ids"]
        counts += np.bincount(np.concatenate(token_ids), minlength=len(counts))
    return counts
