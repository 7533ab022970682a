"""Strings as a model reads them, with a count of what it does not see, and token ids as the words that scores read."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import regex
import torch
from tokenizers import Encoding, decoders
from transformers import BatchEncoding, PreTrainedTokenizerBase
from transformers.utils import logging

from .dialogue_turns import BEGIN, MARKERS
from .validation import Count

logger = logging.get_logger(__name__)

LONGEST = 10**9
"""Of transformers' number for "no limit", 10**30, tokenizers say that it is too large."""
UNKNOWN_WORD = "<unk>"
SURROGATE = re.compile("[\ud800-\udfff]")
SPACE = "▁"
"""What stands for a space in tokens of subwords."""
UNSPACED_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
UNSPACED = regex.compile(f"[{UNSPACED_SCRIPTS}]")
"""Letters of scripts without spaces between words."""
WORD = regex.compile(
    rf"(?:[{UNSPACED_SCRIPTS}]\p{{M}}*)+"
    rf"|(?:[[\p{{L}}\p{{M}}\u200c\u200d]--[{UNSPACED_SCRIPTS}]]|(?<=\p{{L}})['’](?=\p{{L}}))+"
    r"|\p{N}{1,3}"
    r"|[^\s\p{L}\p{M}\p{N}]+",
    regex.V1,
)
"""Words, numbers and marks in a text, as our tokenizers of subwords split it before they split words."""
PART_OF_A_CHARACTER, REPLACEMENT = "<0xFF>", "\ufffd"
"""What stands for a token of bytes that are no character by themselves, here and where such a token is decoded."""


@dataclass
class Unread:
    """
    What a model does not see of the texts it was given.

    Args:
        num_texts (`int`), num_words (`int`): Of all texts; words are tokens without begin and end marks.
        num_unknown_words (`int`), num_unknown_texts (`int`): Words that are not in the vocabulary, not counting
            `<unk>` in the text itself, and texts with such a word. Not counted for documents, whose vocabulary leaves
            out words on purpose.
        num_wordless_texts (`int`): Texts without any known word.
        num_cut_texts (`int`): Texts that are longer than the tokenizer's `model_max_length`.
        max_length (`int`): That length in tokens.
        num_texts_cut_by_encoder (`int`), encoder_length (`int`): Texts that are longer than a pretrained encoder
            reads, and how many of its own tokens it reads.
        unit (`str`): What a text is called in the message.
    """

    num_texts: int = 0
    num_words: int = 0
    num_unknown_words: int = 0
    num_unknown_texts: int = 0
    num_wordless_texts: int = 0
    num_cut_texts: int = 0
    max_length: int = 0
    num_texts_cut_by_encoder: int = 0
    encoder_length: int = 0
    unit: str = "text"

    @property
    def message(self) -> str:
        """What is missing, with its counts, as one sentence; empty if nothing is."""
        parts = []
        total = f"{self.num_texts:,} {self.unit}s"
        if self.num_unknown_words:
            percent = 100 * self.num_unknown_words / self.num_words
            share = f"{percent:.0f}" if percent >= 10 else f"{percent:.2g}"
            parts.append(
                f"{self.num_unknown_words:,} of {self.num_words:,} words ({share} %) are unknown to the model, in "
                f"{self.num_unknown_texts:,} of {total}"
            )
        if self.num_wordless_texts:
            parts.append(f"{self.num_wordless_texts:,} of {total} have no word that the model knows")
        if self.num_cut_texts:
            parts.append(f"{self.num_cut_texts:,} of {total} are cut to {self.max_length} tokens")
        if self.num_texts_cut_by_encoder:
            parts.append(
                f"of {self.num_texts_cut_by_encoder:,} of {total} the pretrained encoder reads only the first "
                f"{self.encoder_length} of its tokens"
            )
        return "; ".join(parts)


class TextReader:
    """
    Tokenises texts for a model and counts what the model does not see of them.

    ```python
    >>> reader = TextReader(tokenizer, model.config)
    >>> batch = reader(["Terrible food."]).to(model.device)
    >>> reader.warn()
    ```

    Args:
        tokenizer (`PreTrainedTokenizerBase`): The model's.
        config ([`LDEBMConfig`]): The model's.
        max_length (`int`, *optional*): Texts are cut to this number of tokens; defaults to the tokenizer's
            `model_max_length`.
        encoder (`nn.Module`, *optional*): The model's encoder; if it is pretrained, texts that are longer than it
            reads are counted too.

    Raises:
        ValueError: If the tokenizer's `model_max_length` is not a positive integer.

    Attributes:
        unread ([`Unread`]): What is not seen of the texts.
        unread_turns ([`Unread`]): What is not seen of the turns in the contexts of texts.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, config, max_length: int | None = None, encoder=None):
        self.tokenizer = tokenizer
        if max_length is None:
            max_length = Count()("model_max_length of the tokenizer", tokenizer.model_max_length)
        self.max_length = min(max_length, LONGEST)
        self.unknown_id = config.unk_token_id
        self.counts_unknown = not config.modality_class.is_bag_of_words
        vocabulary = tokenizer.get_vocab()
        self.marks = {*tokenizer.all_special_ids, *(vocabulary[mark] for mark in MARKERS if mark in vocabulary)}
        self.encoder = encoder if hasattr(encoder, "num_cut_texts") else None
        self.unread = Unread(max_length=self.max_length)
        self.unread_turns = Unread(max_length=self.max_length, unit="turn")
        self.counted_turns = {BEGIN}  # which is not a turn that somebody wrote

    def __call__(self, texts: Sequence[str]) -> BatchEncoding:
        """`input_ids` and `attention_mask` of some of the texts, `(len(texts), longest)`, padded on the right."""
        require_unicode("texts", texts)
        options = {"return_tensors": "pt", "padding": True, "truncation": True, "max_length": self.max_length}
        batch = self.tokenizer(list(texts), **options)
        self.count(texts, batch)
        return batch

    def count(self, texts: Sequence[str], batch: BatchEncoding) -> None:
        """Add what is not seen of texts that the tokenizer has read already, cut to `max_length` tokens or whole."""
        for text, encoding in zip(texts, batch.encodings, strict=True):
            self._add(self.unread, text, encoding)
        if self.encoder is not None:
            as_read = self.tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)
            self.unread.num_texts_cut_by_encoder += self.encoder.num_cut_texts(as_read)
            self.unread.encoder_length = self.encoder.max_length

    def count_turns(self, turns: Sequence[str], batch: BatchEncoding) -> None:
        """The same for turns in contexts. A turn that is in the contexts of several texts is counted once."""
        for turn, encoding in zip(turns, batch.encodings, strict=True):
            if turn not in self.counted_turns:
                self.counted_turns.add(turn)
                self._add(self.unread_turns, turn, encoding)

    def _add(self, unread: Unread, text: str, encoding: Encoding) -> None:
        words = [token for token in encoding.ids if token not in self.marks]
        unknown = words.count(self.unknown_id)
        unread.num_texts += 1
        unread.num_words += len(words)
        unread.num_wordless_texts += unknown == len(words)
        unread.num_cut_texts += bool(encoding.overflowing)
        missed = max(0, unknown - text.count(UNKNOWN_WORD))
        if self.counts_unknown and missed:
            unread.num_unknown_words += missed
            unread.num_unknown_texts += 1

    @property
    def message(self) -> str:
        """What was not seen of texts and turns, with its counts, as one sentence; empty if all was seen."""
        return "; ".join(filter(None, [self.unread.message, self.unread_turns.message]))

    def warn(self) -> None:
        """Log one warning if anything was not seen."""
        if self.message:
            logger.warning(self.message)


def require_unicode(name: str, texts: Sequence[str]) -> None:
    """Raise a ValueError, with the place of the text, if one has a lone surrogate, which no tokenizer can read."""
    for place, text in enumerate(texts):
        if found := SURROGATE.search(text):
            raise ValueError(
                f"{name}[{place}] must be valid Unicode, but it has the lone surrogate {found.group()!r} at character "
                f"{found.start()}"
            )


def decode_words(tokenizer: PreTrainedTokenizerBase, token_ids: Iterable[Sequence[int]] | torch.Tensor) -> list[str]:
    """
    Texts as words with spaces between them, the form in which scores count and compare words. Where
    `tokenizer.batch_decode` writes "The food was great!", this gives "the food was great !".

    Args:
        tokenizer (`PreTrainedTokenizerBase`): The model's. For one of subwords, words are those at which it splits a
            text before it splits words.
        token_ids (iterable of `Sequence[int]`, or `torch.LongTensor` of shape `(n, length)`): Begin, end and padding
            marks are left out.
    """
    rows = token_ids.tolist() if isinstance(token_ids, torch.Tensor) else [list(map(int, ids)) for ids in token_ids]
    if is_word_level(tokenizer):
        return [" ".join(tokenizer.convert_ids_to_tokens(ids, skip_special_tokens=True)) for ids in rows]
    return [" ".join(words_of(tokenizer, text)) for text in tokenizer.batch_decode(rows, skip_special_tokens=True)]


def join_words(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> str:
    """The text that a word-level tokenizer decodes from words, of which some need not be in its vocabulary."""
    decoder = tokenizer.backend_tokenizer.decoder
    return " ".join(words) if decoder is None else decoder.decode(list(words))


def is_word_level(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether every token is a whole word, as in bags of words and in the published experiments."""
    model = tokenizer.backend_tokenizer.model
    looks_words_up = getattr(model, "ignore_merges", False) and getattr(model, "fuse_unk", False)
    return type(model).__name__ == "WordLevel" or looks_words_up


def words_of(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    """
    The words and marks of a text that a tokenizer of subwords reads. Of scripts without spaces between words, its
    tokens are the words.
    """
    normalizer = tokenizer.backend_tokenizer.normalizer
    markers = [token.content for token in tokenizer.added_tokens_decoder.values() if not token.special]
    words = []
    for part in re.split(f"({'|'.join(map(re.escape, markers))})", text) if markers else [text]:
        if part in markers:
            words.append(part)
            continue
        normalized = part if normalizer is None else normalizer.normalize_str(part)
        for word in WORD.findall(normalized.replace(SPACE, " ")):
            if UNSPACED.search(word):
                pieces = token_pieces(tokenizer, tokenizer(word, add_special_tokens=False)["input_ids"])
                pieces = [piece.strip(SPACE) for piece in pieces]
                words += pieces if "".join(pieces) == word else list(word)
            else:
                words.append(word)
    return words


class WholeWordCounts:
    """How often the texts of each symbol have each word, where tokens are subwords. Spellings that differ in case
    alone are one word, shown in the commonest one."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        self.counts: dict[str, Counter[int]] = {}
        self.spellings: dict[str, Counter[str]] = {}

    def add(self, token_ids: torch.Tensor, symbols: Sequence[int]) -> None:
        """Count the words of texts, `(n, length)`, with the symbol of each."""
        texts = self.tokenizer.batch_decode(token_ids, skip_special_tokens=True)
        for text, symbol in zip(texts, symbols, strict=True):
            for word in words_of(self.tokenizer, text):
                self.counts.setdefault(word.lower(), Counter())[symbol] += 1
                self.spellings.setdefault(word.lower(), Counter())[word] += 1

    def table(self, num_symbols: int) -> tuple[np.ndarray, list[str]]:
        """Counts `(num_symbols, num_words)`, and the words."""
        counts = np.zeros((num_symbols, len(self.counts)))
        for column, of_symbols in enumerate(self.counts.values()):
            for symbol, count in of_symbols.items():
                counts[symbol, column] = count
        return counts, [spellings.most_common(1)[0][0] for spellings in self.spellings.values()]


def word_groups(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> list[list[int]]:
    """Places of the tokens of each word among `token_ids`, which are of subwords without begin and end marks."""
    groups: list[list[int]] = []
    in_word = after_space = False
    for place, piece in enumerate(token_pieces(tokenizer, token_ids)):
        if is_byte(piece) and int(piece[3:5], 16) < 128:
            piece = chr(int(piece[3:5], 16))  # a character of its own
        continues = is_byte(piece) or (in_word and _is_of_word(piece[0]) and not UNSPACED.search(piece))
        continues = continues or (after_space and piece[0] != SPACE)
        after_space = not piece.strip(SPACE)
        if groups and continues:
            groups[-1].append(place)
        else:
            groups.append([place])
        in_word = is_byte(piece) or (_is_of_word(piece[-1]) and not UNSPACED.search(piece))
    return groups


def token_pieces(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> list[str]:
    """
    Tokens as they are written, with `▁` for a space. A byte that is no character by itself is `<0x…>`, also for the
    tokenizers of language models that write every byte as some letter, such as a space as `Ġ`.
    """
    pieces = tokenizer.convert_ids_to_tokens(list(token_ids))
    if not is_byte_level(tokenizer):
        return pieces
    decoder = tokenizer.backend_tokenizer.decoder
    written = [decoder.decode([piece]).replace(" ", SPACE) for piece in pieces]
    return [PART_OF_A_CHARACTER if text.startswith(REPLACEMENT) else text for text in written]


def is_byte_level(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether tokens are written with a letter for each byte, and the first word of a text has no space before it."""
    return isinstance(tokenizer.backend_tokenizer.decoder, decoders.ByteLevel)


def is_byte(piece: str) -> bool:
    """Whether a token is a single byte, for a character that the vocabulary does not have."""
    return re.fullmatch("<0x[0-9A-F]{2}>", piece) is not None


def _is_of_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" or character in "'’\u200c\u200d"
