"""Strings as a model reads them, with a count of what it does not see, and token ids as the words that scores read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from transformers import BatchEncoding, PreTrainedTokenizerBase
from transformers.utils import logging

logger = logging.get_logger(__name__)

UNKNOWN_WORD = "<unk>"


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
    """

    num_texts: int = 0
    num_words: int = 0
    num_unknown_words: int = 0
    num_unknown_texts: int = 0
    num_wordless_texts: int = 0
    num_cut_texts: int = 0
    max_length: int = 0

    @property
    def message(self) -> str:
        """What is missing, with its counts, as one sentence; empty if nothing is."""
        parts = []
        if self.num_unknown_words:
            share = self.num_unknown_words / self.num_words
            parts.append(
                f"{self.num_unknown_words:,} of {self.num_words:,} words ({share:.1%}) are unknown to the model, in "
                f"{self.num_unknown_texts:,} of {self.num_texts:,} texts"
            )
        if self.num_wordless_texts:
            parts.append(f"{self.num_wordless_texts:,} of {self.num_texts:,} texts have no word that the model knows")
        if self.num_cut_texts:
            parts.append(f"{self.num_cut_texts:,} of {self.num_texts:,} texts are cut to {self.max_length} tokens")
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
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, config):
        self.tokenizer = tokenizer
        self.unknown_id = config.unk_token_id
        self.counts_unknown = config.modality != "document"
        self.unread = Unread(max_length=tokenizer.model_max_length)

    def __call__(self, texts: Sequence[str]) -> BatchEncoding:
        """`input_ids` and `attention_mask` of some of the texts, `(len(texts), longest)`, padded on the right."""
        batch = self.tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True)
        self.count(texts, batch)
        return batch

    def count(self, texts: Sequence[str], batch: BatchEncoding) -> None:
        """Add what is not seen of texts that the tokenizer has read already, with `truncation=True`."""
        marks = set(self.tokenizer.all_special_ids)
        for text, encoding in zip(texts, batch.encodings, strict=True):
            words = [token for token in encoding.ids if token not in marks]
            unknown = words.count(self.unknown_id)
            self.unread.num_texts += 1
            self.unread.num_words += len(words)
            self.unread.num_wordless_texts += unknown == len(words)
            self.unread.num_cut_texts += bool(encoding.overflowing)
            missed = max(0, unknown - text.count(UNKNOWN_WORD))
            if self.counts_unknown and missed:
                self.unread.num_unknown_words += missed
                self.unread.num_unknown_texts += 1

    def warn(self) -> None:
        """Log one warning if anything was not seen."""
        if self.unread.message:
            logger.warning(self.unread.message)


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


def words_of(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    """The words and marks at which a tokenizer splits a text, before it splits words into subwords."""
    backend = tokenizer.backend_tokenizer
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    words = [word.replace("▁", " ").strip() for word, _ in backend.pre_tokenizer.pre_tokenize_str(text)]
    return [word for word in words if word]


def is_word_level(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether every token is a whole word."""
    return type(tokenizer.backend_tokenizer.model).__name__ == "WordLevel"
