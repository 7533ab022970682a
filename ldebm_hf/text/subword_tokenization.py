"""A subword fast tokenizer that reads any text of any language without unknown tokens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from tempfile import SpooledTemporaryFile

import regex
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from ..model.arguments import MOST_TOKENS, MOST_TYPES, Texts, TextStream
from ..model.validation import Count, Flag
from .conventions import INVISIBLE, UNSPACED_LETTER, UNSPACED_SCRIPTS
from .retraining import LDEBMTokenizer, remembered
from .tokenization import SPECIAL_TOKENS, fast_tokenizer

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
"""Tokens of single bytes, for characters that the training texts do not have."""
NUM_RESERVED = len(SPECIAL_TOKENS) + len(BYTES)
SPACE = "▁"
SPACED_LETTER = rf"[[\p{{L}}\p{{M}}\u200c\u200d]&&[^{UNSPACED_SCRIPTS}]]"
PIECES = (
    rf"(?:{UNSPACED_LETTER})+",
    rf"{SPACE}?(?:{SPACED_LETTER}|(?<=\p{{L}})['’](?=\p{{L}}))+",
    rf"{SPACE}?\p{{N}}{{1,3}}",
    rf"{SPACE}?[^\s{SPACE}\p{{L}}\p{{M}}\p{{N}}]+",
    rf"{SPACE}+",
    r"\s+",
)
"""What no token reaches beyond: runs of letters (with their combining marks), three digits, marks or spaces."""
UNSPACED_WORD = regex.compile(r"\p{Han}{1,2}|\p{Hiragana}{1,4}|[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{M}]{1,6}")
"""Tokens of scripts without spaces are no longer than that, or whole phrases would become one token."""
UNSPACED = regex.compile(rf"[{UNSPACED_SCRIPTS}]")
MOST_IN_MEMORY = 2**26
"""Number of bytes of texts above which the copy of them that is read a second time is on the disk."""


@remembered(
    texts=TextStream(),
    vocab_size=Count(NUM_RESERVED + 1, MOST_TYPES, "4 special tokens, 256 bytes, 1 more"),
    lowercase=Flag(),
    max_length=Count(3, MOST_TOKENS, "<s>, one token, </s>"),
    markers=Texts(or_one=False),
)
def build_subword_tokenizer(
    texts: Iterable[str],
    vocab_size: int = 10000,
    *,
    lowercase: bool = False,
    max_length: int = 64,
    markers: Sequence[str] = (),
) -> LDEBMTokenizer:
    """
    Learn the most frequent pieces of words from `texts`, by byte-pair encoding (Sennrich et al., ACL 2016).

    Frequent words are one token and rare ones several; a character that the training texts do not have becomes its
    UTF-8 bytes, so no text has unknown tokens. Texts of Chinese, Japanese or Thai are split into short pieces, of at
    most two Chinese characters. Decoding gives the text back, in Unicode's composed form (NFC). A text becomes
    `<s> tokens </s>`, as with [`build_tokenizer`].

    Args:
        texts (`Iterable[str]`): The training texts.
        vocab_size (`int`, *optional*, defaults to 10000): At most so many tokens, the 4 special ones and 256 bytes
            included. A small corpus has fewer pieces that occur twice.
        lowercase (`bool`, *optional*, defaults to `False`): Lower-case texts; decoded texts then are lower-case too.
        max_length (`int`, *optional*, defaults to 64): `model_max_length` in tokens, `<s>` and `</s>` included.
        markers (`Sequence[str]`, *optional*): Tokens of their own, never split, shown by `decode`.

    Returns:
        [`LDEBMTokenizer`], with `len(tokenizer)` tokens of ids 0 to `len(tokenizer) - 1`. Its `<unk>` has id 1
        like that of [`build_tokenizer`] and stands in no text.

    Raises:
        ValueError: Texts without a single character, `vocab_size` below 261 or `max_length` below 3.
    """
    steps = [
        normalizers.NFC(),
        *([normalizers.Lowercase()] if lowercase else []),
        normalizers.Replace(Regex(f"[{INVISIBLE}]"), ""),
        normalizers.Replace(" ", SPACE),
        normalizers.Replace(Regex(rf"\A(?=[^{UNSPACED_SCRIPTS}])"), SPACE),  # a word is the same at a text's start
    ]
    normalizer = normalizers.Sequence(steps)
    splitter = pre_tokenizers.Split(Regex("|".join(PIECES)), behavior="isolated")
    reserved = [*SPECIAL_TOKENS, *BYTES, *markers]
    pieces, merges = learn_pieces(texts, normalizer, splitter, vocab_size - len(reserved), set(reserved))
    vocabulary = {token: i for i, token in enumerate([*reserved, *pieces])}
    decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    model = models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True)
    tokenizer = fast_tokenizer(model, normalizer, splitter, decoder, max_length)
    if markers:
        tokenizer.add_tokens([AddedToken(marker, rstrip=True, normalized=False, special=False) for marker in markers])
    return tokenizer


def learn_pieces(
    texts: Iterable[str],
    normalizer: normalizers.Normalizer,
    splitter: pre_tokenizers.PreTokenizer,
    number: int,
    reserved: set[str],
) -> tuple[list[str], list[tuple[str, str]]]:
    """At most so many pieces, characters first, and the pairs that make the others, the most frequent first."""
    learner = Tokenizer(models.BPE())
    learner.normalizer, learner.pre_tokenizer = normalizer, splitter
    most = max(1, number // 2)
    # Twice as many as wanted, since pieces that are too long are left out below.
    trainer = trainers.BpeTrainer(
        vocab_size=2 * max(1, number), min_frequency=2, limit_alphabet=most, show_progress=False
    )
    counts: Counter[str] = Counter()
    with SpooledTemporaryFile(MOST_IN_MEMORY, "w+", encoding="utf-8") as copy:  # texts can be read only once
        for text in texts:
            counts.update(normalizer.normalize_str(text))
            copy.write(json.dumps(text) + "\n")
        if len(counts) > most:  # among characters of the same count the trainer would choose at random
            by_frequency = sorted(counts, key=lambda character: (-counts[character], character))
            trainer.initial_alphabet = by_frequency[:most]
        copy.seek(0)
        learner.train_from_iterator(_lines_read(copy), trainer)
    learned = json.loads(learner.to_str())["model"]
    pairs = [tuple(pair) for pair in learned["merges"]]
    joined = {first + second for first, second in pairs}
    characters = [piece for piece in sorted(learned["vocab"], key=learned["vocab"].get) if piece not in joined]
    if not characters:
        raise ValueError("texts hold no character to build a vocabulary from")
    pieces = dict.fromkeys(characters[:number])
    merges = []
    for first, second in pairs:
        piece = first + second
        too_long = UNSPACED.search(piece) and not UNSPACED_WORD.fullmatch(piece)
        if too_long or first not in pieces or second not in pieces or piece in reserved:
            continue
        if piece not in pieces and len(pieces) == number:
            break
        pieces[piece] = None
        merges.append((first, second))
    return list(pieces), merges


def _lines_read(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield json.loads(line)
