"""Sentences written for a class: whether they have it, and what keeps that figure honest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from ..model.text_reading import decode_words
from .attributes import attribute_accuracy
from .judging import Judge
from .perplexity import corpus_perplexity
from .text import copied_share, distinct_n, distinct_share, empty_share, self_bleu

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..model.modeling_ldebm import LDEBMModel


def as_known(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[str]:
    """Texts as a model could have written them: its tokens, rare words `<unk>`, cut to its longest."""
    token_ids = tokenizer(list(texts), truncation=True, max_length=tokenizer.model_max_length)["input_ids"]
    return decode_words(tokenizer, token_ids)


def write_for_classes(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    classes: Sequence[str],
    num_samples: int,
    *,
    guidance_scale: float | None = None,
    batch_size: int = 500,
    seed: int = 0,
    show_progress: bool = False,
    **generation_kwargs,
) -> tuple[list[str], np.ndarray]:
    """Equally many sentences for each class, sampled from the prior.

    Args:
        model ([`LDEBMModel`]): with a symbol of each class's name, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): the model's.
        classes (`Sequence[str]`): names of symbols.
        num_samples (`int`): sentences per class.
        guidance_scale (`float`, *optional*): as in [`~LDEBMModel.generate`]; of the diffusion prior only.
        batch_size (`int`, *optional*, defaults to 500): sentences at a time.
        seed (`int`, *optional*, defaults to 0): of all noise.
        show_progress (`bool`, *optional*, defaults to `False`): show a progress bar over the sentences.
        generation_kwargs: as in [`~LDEBMModel.generate`]; the default is greedy search.

    Returns:
        The sentences, and the index into `classes` that each was asked for, `np.ndarray` of shape `(n,)`.
    """
    asked = np.repeat(np.arange(len(classes)), num_samples)
    symbols = model.symbol_ids(list(classes)).cpu()[torch.from_numpy(asked)]
    generator = torch.Generator(model.device).manual_seed(seed)
    sentences: list[str] = []
    with tqdm(total=len(asked), desc="writing", unit="sentence", disable=not show_progress) as bar:
        for part in symbols.split(batch_size):
            token_ids = model.generate(
                class_labels=part, guidance_scale=guidance_scale, generator=generator, **generation_kwargs
            )
            sentences += decode_words(tokenizer, token_ids)
            bar.update(len(part))
    return sentences, asked


def accuracy_scores(
    judge: Judge, texts: Sequence[str], classes: Sequence[str], asked: np.ndarray, batch_size: int = 256
) -> dict[str, float]:
    """Share of texts that a judge says have the class asked for, as [`attribute_accuracy`] has it.

    Args:
        judge ([`Judge`]): one with classes of these names.
        texts (`Sequence[str]`): what is judged.
        classes (`Sequence[str]`): names of the classes.
        asked (`np.ndarray` of shape `(n,)`): index into `classes` for each text.

    Raises:
        ValueError: a name that none of the judge's classes has.
    """
    return attribute_accuracy(judge.predict(texts, batch_size), judge.label_ids(classes)[asked], judge.label_names)


def text_scores(
    texts: Sequence[str],
    training_texts: Sequence[str],
    language_model: tuple[LDEBMModel, PreTrainedTokenizerBase] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """How varied, how new and how likely texts are; compare with as many real ones.

    Args:
        texts (`Sequence[str]`): at least two.
        training_texts (`Sequence[str]`): what a copy would be a copy of, in the form of `texts` (see [`as_known`]).
        language_model (*optional*): a model with `prior="none"` that was trained on real texts, and its tokenizer.
        seed (`int`, *optional*, defaults to 0): of the draw of texts for self-BLEU.
    """
    scores = {
        "distinct_1": distinct_n(texts, 1),
        "distinct_2": distinct_n(texts, 2),
        "distinct_texts": distinct_share(texts),
        "self_bleu": self_bleu(texts, seed=seed),
        "copied": copied_share(texts, training_texts),
        "empty": empty_share(texts),
        "words_per_text": float(np.mean([len(text.split()) for text in texts])),
    }
    if language_model is not None:
        scores["perplexity"] = corpus_perplexity(*language_model, texts).perplexity
    return scores
