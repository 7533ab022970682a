"""From settings to what a trainer takes: the corpus, its tokenizer and an untrained model."""

from collections.abc import Iterable
from itertools import islice

import numpy as np
from accelerate.utils import set_seed
from transformers import PreTrainedTokenizerBase

from ..data import Corpus, StreamedExamples, check_corpus
from ..model.modeling_ldebm import LDEBMModel
from .initial_words import set_words_by_cooccurrence
from .settings import Settings


def assemble(settings: Settings) -> tuple[LDEBMModel, PreTrainedTokenizerBase | None, Corpus]:
    """The model, the tokenizer and the corpus of a run; the model's weights are drawn under the run's seed.

    The tokenizer knows the words of the training texts; there is none for points. A symbol gets the name of a class
    if some training example of that class has its label.

    Raises:
        FileNotFoundError, ConnectionError, ImportError: the corpus cannot be read.
        ValueError: a corpus that is unfit, or settings that do not go together.
    """
    corpus = settings.load_corpus()
    of_points = settings.modality == "point"
    tokenizer = None if of_points else settings.data.build_tokenizer(corpus, settings.modality == "document")
    taught = corpus.train.classes
    names = [name if label in taught else f"LABEL_{label}" for label, name in enumerate(corpus.label_names)]
    config = settings.model_config(tokenizer, names, corpus.train.points if of_points else None)
    check_corpus(corpus, config.num_labels if config.has_symbols else max(1, len(names)))
    set_seed(settings.training.seed)
    model = LDEBMModel(config)
    if settings.modality == "text":
        model.generation_config.max_new_tokens = settings.data.max_length
    elif settings.modality == "document":
        model.decoder.set_background(count_tokens(tokenizer, corpus.train.texts))
        if settings.training.initial_words == "cooccurrence":
            texts = corpus.train.sample.texts if isinstance(corpus.train, StreamedExamples) else corpus.train.texts
            set_words_by_cooccurrence(model, tokenizer, texts, seed=settings.training.seed)
    return model, tokenizer, corpus


def count_tokens(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> np.ndarray:
    """How often texts have each token, `(len(tokenizer),)`."""
    counts = np.zeros(len(tokenizer), dtype=np.int64)
    iterator = iter(texts)
    while part := list(islice(iterator, 10_000)):
        token_ids = tokenizer(part, truncation=True)["input_ids"]
        counts += np.bincount(np.concatenate(token_ids), minlength=len(counts))
    return counts
