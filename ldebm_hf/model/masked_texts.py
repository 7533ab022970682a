"""Texts with missing words: from strings with masks to token ids, and from completed token ids back to strings."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from .arguments import Texts
from .text_reading import (
    REPLACEMENT,
    SPACE,
    UNSPACED,
    Unread,
    is_byte,
    is_byte_level,
    is_word_level,
    join_words,
    token_pieces,
    word_groups,
)

MASKS = re.compile(r"(<mask>|<unk>|<span>|<extra_id_\d+>)", re.IGNORECASE)
WORD_MASKS = ("<mask>", "<unk>")


@dataclass(frozen=True)
class Completion:
    """
    Args:
        text (`str`): The completed text, as `tokenizer.decode` writes texts.
        words (`list[str]`): Its words as the tokenizer has them. Here and in `text`, observed words that it does not
            know are kept as they were written.
        is_filled (`list[bool]`): For each word, whether it was missing.
        score (`float`), log_likelihood (`float`): As in [`CompletionOutput`].
        symbol (`str`, *optional*): Name of the likeliest symbol that the model reads in the text, if it has symbols.
    """

    text: str
    words: list[str]
    is_filled: list[bool]
    score: float
    log_likelihood: float
    symbol: str | None = None


@dataclass(frozen=True)
class MaskedTexts:
    """
    Args:
        token_ids (`list[list[int]]`): The token ids of each text with begin and end marks. `vocab_size` stands for a
            missing word, and `vocab_size + 1` for a span of missing words.
        unknown_words (`list[list[str]]`): The words of each text that the tokenizer does not know, as written.
        vocab_size (`int`): Size of the vocabulary.
    """

    token_ids: list[list[int]]
    unknown_words: list[list[str]]
    vocab_size: int

    def __len__(self) -> int:
        return len(self.token_ids)

    def __getitem__(self, part: slice) -> "MaskedTexts":
        return MaskedTexts(self.token_ids[part], self.unknown_words[part], self.vocab_size)

    @property
    def unread(self) -> Unread:
        """How many of the observed words the model does not know."""
        observed = [sum(token < self.vocab_size for token in ids) - 2 for ids in self.token_ids]
        unknown = [len(words) for words in self.unknown_words]
        return Unread(
            num_texts=len(self),
            num_words=sum(observed),
            num_unknown_words=sum(unknown),
            num_unknown_texts=sum(number > 0 for number in unknown),
        )

    def inputs(self, pad_token_id: int) -> dict[str, torch.Tensor | int]:
        """
        The arguments of [`complete`] for these texts: `input_ids` and `attention_mask`, int64 of shape
        `(num_texts, longest)` and padded on the right, and the ids of the two masks.
        """
        longest = max(map(len, self.token_ids))
        return {
            "input_ids": torch.tensor([ids + [pad_token_id] * (longest - len(ids)) for ids in self.token_ids]),
            "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in self.token_ids]),
            "mask_token_id": self.vocab_size,
            "span_token_id": self.vocab_size + 1,
        }

    def completions(self, output, tokenizer: PreTrainedTokenizerBase, config) -> list[list[Completion]]:
        """
        The completions of each text as strings.

        Args:
            output ([`CompletionOutput`]): What [`complete`] returned for these texts.
            tokenizer (`PreTrainedTokenizerBase`): The tokenizer that encoded them.
            config ([`LDEBMConfig`]): The model's settings.
        """
        symbols = [None] * len(output.scores)
        if output.symbol_logits is not None:
            symbols = [config.id2label[symbol] for symbol in output.symbol_logits.argmax(-1).tolist()]
        per_text = len(output.scores) // len(self)
        has_subwords = not is_word_level(tokenizer)
        completions: list[list[Completion]] = [[] for _ in self.token_ids]
        rows = zip(
            output.sequences.tolist(),
            output.is_filled.tolist(),
            output.scores.tolist(),
            output.log_likelihoods.tolist(),
            symbols,
            strict=True,
        )
        for number, (token_ids, filled, score, log_likelihood, symbol) in enumerate(rows):
            unknown = iter(self.unknown_words[number // per_text])
            words, is_filled = [], []
            for token, was_missing in zip(token_ids, filled, strict=True):
                if token in tokenizer.all_special_ids:
                    continue
                is_filled.append(was_missing)
                if has_subwords:
                    words.append(token)
                elif token == config.unk_token_id:
                    words.append(next(unknown))
                else:
                    words.append(tokenizer.convert_ids_to_tokens(token))
            if has_subwords:
                text, words, is_filled = _text_of_subwords(tokenizer, words, is_filled)
            else:
                text = join_words(tokenizer, words)
            completions[number // per_text].append(
                Completion(text, words, is_filled, score, log_likelihood, symbol)
            )
        return completions


def read_masked_texts(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> MaskedTexts:
    """
    Tokenize texts in which `<mask>` or `<unk>` stands for one missing word, and `<span>` or `<extra_id_0>` (with any
    number) for one or more; with a tokenizer of subwords for one token, and for one token or more.

    Args:
        texts (`Sequence[str]`): The texts, each with at least one mask.
        tokenizer (`PreTrainedTokenizerBase`): The model's tokenizer.
        vocab_size (`int`): Size of the model's vocabulary; the masks get the two ids after it.

    Raises:
        ValueError: Without texts, and for a text without a mask or with a begin, end or padding token.
    """
    texts = Texts(at_least=1, or_one=False)("texts", texts)
    unknown_id = tokenizer.convert_tokens_to_ids("<unk>")
    reserved = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    has_subwords = not is_word_level(tokenizer)
    token_ids, unknown_words = [], []
    for text in texts:
        parts = MASKS.split(text)  # masks have the odd indices
        if len(parts) == 1:
            raise ValueError(f"texts must have a <mask> or a <span> each, got {text!r:.80}")
        ids, unknown = [], []
        for index, part in enumerate(parts):
            if index % 2 == 1:
                ids.append(vocab_size if part.lower() in WORD_MASKS else vocab_size + 1)
                continue
            encoded = tokenizer(part, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            found = reserved.intersection(encoded["input_ids"])
            if found:
                names = ", ".join(tokenizer.convert_ids_to_tokens(sorted(found)))
                raise ValueError(f"texts must not contain the reserved {names}, got {text!r:.80}")
            if has_subwords:
                ids += _subwords_between_masks(tokenizer, part, is_first=not ids)
                continue
            ids += encoded["input_ids"]
            spans = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
            unknown += [part[start:end] for token, (start, end) in spans if token == unknown_id]
        token_ids.append([tokenizer.bos_token_id, *ids, tokenizer.eos_token_id])
        unknown_words.append(unknown)
    return MaskedTexts(token_ids, unknown_words, vocab_size)


def pieces_of_words(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Tokens of subwords that are no word by themselves, where all masks stand for whole words: no text has a span,
    and each mask has a space before it, or is at the start if words have a space there too. Otherwise none."""
    of_pieces = r"<span>|<extra_id_|\S<(mask|unk)>"
    if is_byte_level(tokenizer):
        of_pieces += r"|^\s*<(mask|unk)>"
    if is_word_level(tokenizer) or any(re.search(of_pieces, text, re.I) for text in texts):
        return []
    pieces = token_pieces(tokenizer, range(len(tokenizer)))
    is_whole = [len(piece) > 1 and piece.startswith(SPACE) or bool(UNSPACED.search(piece)) for piece in pieces]
    is_whole = [whole and REPLACEMENT not in piece for whole, piece in zip(is_whole, pieces, strict=True)]
    if not any(is_whole):
        return []
    return [token for token, whole in enumerate(is_whole) if not whole or is_byte(pieces[token])]


def _subwords_between_masks(tokenizer: PreTrainedTokenizerBase, part: str, is_first: bool) -> list[int]:
    """Token ids of a text's part before, after or between masks; spaces beside a mask belong to the words there."""
    text = part.strip(" ")
    if not text:
        return []
    if is_first:
        return tokenizer(text, add_special_tokens=False)["input_ids"]
    # With or without a space before it, as "!" in "<mask>!". A line break ends any token, so that what follows is as
    # in the middle of a text.
    text = " " + text if part.startswith(" ") else text
    breaks, both = (tokenizer(lines, add_special_tokens=False)["input_ids"] for lines in ("\n", "\n" + text))
    return both[len(breaks) :]


def _text_of_subwords(
    tokenizer: PreTrainedTokenizerBase, token_ids: list[int], is_filled: list[bool]
) -> tuple[str, list[str], list[bool]]:
    """The text of tokens, its words, and which of these have a token that was filled in."""
    groups = word_groups(tokenizer, token_ids)
    words = [tokenizer.decode([token_ids[place] for place in group]).strip() for group in groups]
    return tokenizer.decode(token_ids), words, [any(is_filled[place] for place in group) for group in groups]
