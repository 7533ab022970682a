"""Responses in dialogues: those of a model and those that are copied from training, scored on the same terms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedTokenizerBase

from ..baselines.nearest_context import NEAREST_CONTEXT, nearest_context_responses
from ..data import Corpus
from ..model.modeling_ldebm import LDEBMModel
from ..scores.conditional_generation import in_vocabulary
from ..scores.repeated_turns import repeats_training
from ..scores.responses import WrittenResponses, response_scores, write_responses
from ..text.word_vectors import WordVectors, load_word_vectors, train_vectors_by_neighbours

if TYPE_CHECKING:
    from .experiment_runs import Scores


def score_responses(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    word_vectors: str | Path | None = None,
    ways: dict[str, dict[str, Any]] | None = None,
    *,
    split: str = "validation",
    seed: int = 0,
    show_progress: bool = False,
) -> tuple[Scores, dict[str, list[str]]]:
    """
    Score a model's responses in dialogues.

    Args:
        model ([`LDEBMModel`]): A model with contexts, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        corpus (`Corpus`): Texts with contexts, as the model was trained on.
        word_vectors (`str` or `Path`, *optional*): File of word vectors; default: trained on the training texts.
        ways (`dict[str, dict]`, *optional*): More ways of writing to score, by name: arguments of
            [`~LDEBMModel.generate`], and `num_candidates`. A model without latents skips those with candidates.
        split (`str`), seed (`int`), show_progress (`bool`): As in [`reading_scores`].

    Returns:
        The scores, those of another way of writing with `@` and its name at the end; and, by title, the responses with
        what they answer and what was said in their place.

    Raises:
        FileNotFoundError: If there is no file of word vectors.
        ValueError: If the file has no vectors, or none for the model's words.
    """
    vectors = _vectors_for_responses(tokenizer, corpus, word_vectors, seed)
    repeated = repeats_training(corpus.splits[split], corpus.train.texts)
    scores, shown = {}, {}
    for way, decoding in ({"": {}} | (ways or {})).items():
        if "num_candidates" in decoding and not model.config.has_latent:
            continue  # without latents all candidates are the same
        written = write_responses(
            model, tokenizer, corpus.splits[split], seed=seed, show_progress=show_progress, **decoding
        )
        of_way = response_scores(written, vectors, repeated=repeated, seed=seed)
        scores |= {f"{name}@{way}" if way else name: value for name, value in of_way.items()}
        answers = zip(written.contexts, written.responses, written.references, strict=True)
        title = f"responses, {way}" if way else "responses"
        shown[f"{title} (what was said)"] = [
            f"{' / '.join(context)} → {response} ({reference})" for context, response, reference in answers
        ]
    return scores, shown


def retrieved_response_scores(
    name: str,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    word_vectors: str | Path | None = None,
    *,
    split: str = "validation",
    seed: int = 0,
) -> Scores:
    """
    Score responses that are copied from training dialogues, on the same terms as those of a model.

    Args:
        name (`str`): `"nearest_context"`.
        tokenizer (`PreTrainedTokenizerBase`): Words that it does not know are `<unk>` in responses and references.
        corpus (`Corpus`): Texts with contexts.
        word_vectors (`str` or `Path`), split (`str`), seed (`int`): As in [`score_responses`].

    Raises:
        ValueError: If there is no such way of finding responses.
    """
    if name != NEAREST_CONTEXT:
        raise ValueError(f"text_baselines of a table of responses must be {NEAREST_CONTEXT}, got {name!r}")
    asked = corpus.splits[split]
    responses = in_vocabulary(tokenizer, nearest_context_responses(corpus.train, asked.contexts))
    written = WrittenResponses(asked.contexts, in_vocabulary(tokenizer, asked.texts), responses, [])
    vectors = _vectors_for_responses(tokenizer, corpus, word_vectors, seed)
    return response_scores(written, vectors, repeated=repeats_training(asked, corpus.train.texts), seed=seed)


def _vectors_for_responses(
    tokenizer: PreTrainedTokenizerBase, corpus: Corpus, word_vectors: str | Path | None, seed: int
) -> WordVectors:
    """Word vectors of a file, or else those that the training texts give."""
    if word_vectors is None:
        return train_vectors_by_neighbours(in_vocabulary(tokenizer, corpus.train.texts), seed=seed)
    return load_word_vectors(word_vectors, tokenizer.get_vocab())
