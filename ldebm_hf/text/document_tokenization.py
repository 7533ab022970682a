"""The vocabulary of bags of words, as a fast tokenizer: lower-case words of letters, without the commonest ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import regex
from tokenizers import Regex, models, normalizers, pre_tokenizers

from ..model.arguments import MOST_TOKENS, MOST_TYPES, Texts, TextStream
from ..model.validation import Count
from .conventions import SPACED_WORD, UNSPACED_LETTER
from .retraining import LDEBMTokenizer, remembered
from .subword_tokenization import UNSPACED, learn_pieces
from .tokenization import SPECIAL_TOKENS, count_words, fast_tokenizer
from .words import split_words

StopWords = Literal["english", "none"]
LETTERS = regex.compile(r"[\p{L}\p{M}\u200c\u200d]+")
OF_AN_ALPHABET = regex.compile(r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{Armenian}\p{Georgian}\p{Hebrew}\p{Arabic}]")
UNSPACED_RUN = f"(?:{UNSPACED_LETTER})+"


@remembered(
    texts=TextStream(),
    vocab_size=Count(at_least=len(SPECIAL_TOKENS) + 1, at_most=MOST_TYPES),
    stop_words=Texts(or_set=True),
    min_letters=Count(),
    max_letters=Count(),
    max_length=Count(at_least=3, at_most=MOST_TOKENS),
)
def build_document_tokenizer(
    texts: Iterable[str],
    vocab_size: int = 30004,
    *,
    stop_words: StopWords | Iterable[str] = "english",
    min_letters: int = 3,
    max_letters: int = 30,
    max_length: int = 512,
) -> LDEBMTokenizer:
    """
    Count the words of `texts` and keep the most frequent ones that say what a text is about.

    A text becomes `<s> words </s>`, in lower case. Words are runs of letters with their combining marks, and digits;
    of languages without spaces (Chinese, Japanese, Thai) they are frequent runs of characters, found by byte-pair
    encoding. What is not in the vocabulary, stop words and words with digits among it, becomes `<unk>`, and a model of
    documents counts neither that nor the marks. The defaults are those of VAMPIRE (Gururangan et al., ACL 2019) and
    the published experiment.

    Args:
        texts (iterable of `str`): The training texts.
        vocab_size (`int`, *optional*, defaults to 30004): At most so many tokens, the four special ones included.
            Among words of the same count the alphabetically first ones are kept.
        stop_words (`str` or iterable of `str`, *optional*, defaults to `"english"`): Words to leave out:
            scikit-learn's English list, `"none"`, or these, in any order.
        min_letters (`int`, *optional*, defaults to 3), max_letters (`int`, *optional*, defaults to 30): Shortest and
            longest word to keep. The shortest length is for alphabets; in scripts whose letters are syllables or
            words, such as Korean, Hindi or Chinese, a word of one letter is kept.
        max_length (`int`, *optional*, defaults to 512): `model_max_length` in tokens, unknown words and marks too.

    Returns:
        [`LDEBMTokenizer`], with `len(tokenizer)` tokens of ids 0 to `len(tokenizer) - 1`.

    Raises:
        ValueError: Texts without a single word to keep, an unknown list of stop words, or a number that is too small.
    """
    if max_letters < min_letters:
        raise ValueError(f"max_letters must be at least {min_letters}, got {max_letters}")
    counted = _counted_words(stop_words, min_letters, max_letters)
    normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    splitter = pre_tokenizers.Split(Regex(f"{UNSPACED_RUN}|{SPACED_WORD}"), "removed", invert=True)
    counts = count_words(
        [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))] for text in texts
    )
    runs = {word: counts.pop(word) for word in list(counts) if UNSPACED.search(word)}
    merges: list[tuple[str, str]] = []
    if runs:
        pieces, merges = _words_of_runs(runs, vocab_size)
        counts.update(pieces)
    words = sorted(filter(counted, counts), key=lambda word: (-counts[word], len(word), word))
    if not runs:
        words.sort(key=lambda word: (-counts[word], word))
    if not words:
        raise ValueError(f"texts hold no word of {min_letters} to {max_letters} letters that is no stop word")
    kept = [*SPECIAL_TOKENS, *words][:vocab_size]
    vocabulary = {token: i for i, token in enumerate(kept)}
    unknown = SPECIAL_TOKENS[1]
    if runs:
        merges = [pair for pair in merges if {*pair, "".join(pair)} <= vocabulary.keys()]
        # A word of letters is looked up as a whole (`ignore_merges`) or unknown as a whole (`fuse_unk`).
        model = models.BPE(vocabulary, merges, unk_token=unknown, fuse_unk=True, ignore_merges=True)
    else:
        model = models.WordLevel(vocabulary, unk_token=unknown)
    return fast_tokenizer(model, normalizer, splitter, None, max_length)


def _words_of_runs(runs: Mapping[str, int], number: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Words of texts without spaces, learned by byte-pair encoding, with their counts; and the pairs that make them.

    What a word is made of counts with the word, so that it is never less frequent.
    """
    texts = [run for run, count in sorted(runs.items()) for _ in range(count)]
    pieces, merges = learn_pieces(texts, normalizers.Sequence([]), pre_tokenizers.Sequence([]), number, set())
    model = models.BPE({piece: i for i, piece in enumerate(pieces)}, merges)
    counts = dict.fromkeys(pieces, 0)
    for run, count in runs.items():
        for token in model.tokenize(run):
            counts[token.value] += count
    for first, second in reversed(merges):
        counts[first] += counts[first + second]
        counts[second] += counts[first + second]
    return counts, merges


def count_content_words(texts: Iterable[str]) -> list[int]:
    """How many words each text has that [`build_document_tokenizer`] would count by default, in any vocabulary."""
    counted = _counted_words("english", 3, 30)
    return [sum(map(counted, split_words(text.lower()))) for text in texts]


def _counted_words(stop_words: StopWords | Iterable[str], min_letters: int, max_letters: int) -> Callable[[str], bool]:
    """Whether a lower-case word may belong to a vocabulary."""
    left_out = _stop_words(stop_words)

    def is_counted(word: str) -> bool:
        shortest = min_letters if OF_AN_ALPHABET.search(word) else 1
        in_limits = shortest <= len(word) <= max_letters
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
