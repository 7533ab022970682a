"""The vocabulary of bags of words, as a fast tokenizer: lower-case words of letters, without the commonest ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from .tokenization import SPECIAL_TOKENS, count_words

StopWords = Literal["english", "none"]
WORD = re.compile(r"\w+")
LETTERS = re.compile(r"[^\W\d_]+")


def build_document_tokenizer(
    texts: Iterable[str],
    vocab_size: int = 30004,
    *,
    stop_words: StopWords | Iterable[str] = "english",
    min_letters: int = 3,
    max_letters: int = 30,
    max_length: int = 512,
) -> PreTrainedTokenizerFast:
    """
    Count the words of `texts` and keep the most frequent ones that say what a text is about.

    A text becomes `<s> words </s>`, in lower case. Words are runs of letters and digits. What is not in the
    vocabulary, stop words and words with digits among it, becomes `<unk>`, and a model of documents counts neither
    that nor the marks. The defaults are those of VAMPIRE (Gururangan et al., ACL 2019) and the published experiment.

    Args:
        texts (iterable of `str`): The training texts.
        vocab_size (`int`, *optional*, defaults to 30004): At most so many tokens, the four special ones included.
            Among words of the same count the alphabetically first ones are kept.
        stop_words (`str` or iterable of `str`, *optional*, defaults to `"english"`): Words to leave out:
            scikit-learn's English list, `"none"`, or these.
        min_letters (`int`, *optional*, defaults to 3), max_letters (`int`, *optional*, defaults to 30): Shortest and
            longest word to keep.
        max_length (`int`, *optional*, defaults to 512): `model_max_length` in tokens, unknown words and marks too.

    Returns:
        `PreTrainedTokenizerFast`, with `len(tokenizer)` tokens of ids 0 to `len(tokenizer) - 1`.

    Raises:
        ValueError: Texts without a single word to keep, an unknown list of stop words, or a number that is too small.
    """
    if isinstance(texts, str):
        raise ValueError("texts must be a list of strings, got one string")
    for name, value, least in (
        ("vocab_size", vocab_size, len(SPECIAL_TOKENS) + 1),
        ("min_letters", min_letters, 1),
        ("max_letters", max_letters, min_letters),
        ("max_length", max_length, 3),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    counted = _counted_words(stop_words, min_letters, max_letters)
    normalizer, splitter = normalizers.Lowercase(), pre_tokenizers.Split(Regex(WORD.pattern), "removed", invert=True)
    counts = count_words(
        [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))] for text in texts
    )
    words = sorted(filter(counted, counts), key=lambda word: (-counts[word], word))
    if not words:
        raise ValueError(f"texts hold no word of {min_letters} to {max_letters} letters that is no stop word")
    kept = [*SPECIAL_TOKENS, *words][:vocab_size]

    tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(kept)}, unk_token=SPECIAL_TOKENS[1]))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    begin, end = SPECIAL_TOKENS[2:]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, kept.index(begin)), (end, kept.index(end))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL_TOKENS[0],
        bos_token=begin,
        eos_token=end,
        model_max_length=max_length,
        padding_side="right",
        truncation_side="right",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def count_content_words(texts: Iterable[str]) -> list[int]:
    """How many words each text has that [`build_document_tokenizer`] would count by default, in any vocabulary."""
    counted = _counted_words("english", 3, 30)
    return [sum(map(counted, WORD.findall(text.lower()))) for text in texts]


def _counted_words(
    stop_words: StopWords | Iterable[str], min_letters: int, max_letters: int
) -> Callable[[str], bool]:
    """Whether a lower-case word may belong to a vocabulary."""
    left_out = _stop_words(stop_words)

    def is_counted(word: str) -> bool:
        in_limits = min_letters <= len(word) <= max_letters
        return in_limits and word not in left_out and LETTERS.fullmatch(word) is not None

    return is_counted


def _stop_words(stop_words: StopWords | Iterable[str]) -> set[str]:
    if stop_words == "english":
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        return set(ENGLISH_STOP_WORDS)
    if isinstance(stop_words, str):
        if stop_words != "none":
            raise ValueError(f"stop_words must be 'english', 'none' or a list of words, got {stop_words!r}")
        return set()
    return {word.lower() for word in stop_words}
