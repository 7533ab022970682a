"""A word-level fast tokenizer, its vocabulary counted from a corpus."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "</s>")
"""Tokens of ids 0 to 3: padding, unknown word, beginning and end of a text."""


def build_tokenizer(
    texts: Iterable[str],
    vocab_size: int = 10000,
    *,
    lowercase: bool = False,
    split_punctuation: bool = False,
    max_length: int = 40,
    markers: Sequence[str] = (),
) -> PreTrainedTokenizerFast:
    """Count the words of `texts` and keep the most frequent ones.

    A text becomes `<s> words </s>`, padded on the right; with `truncation=True` it is cut to `max_length` tokens, of
    which the last is always `</s>`. Decoding joins the words by spaces. A word that is not in the vocabulary becomes
    `<unk>` (id 1), and so does a literal `<unk>` in the text. `<unk>` stands for a word, so it is an entry of the
    vocabulary like any other: `decode(..., skip_special_tokens=True)` leaves out `<pad>`, `<s>` and `</s>` but shows
    it. The price is that `tokenizer.unk_token` is `None`, since transformers hides every token with a role of its own.

    Args:
        texts (iterable of `str`): the training texts.
        vocab_size (`int`, *optional*, defaults to 10000): at most so many tokens, the four special ones included.
            Among words of the same count the alphabetically first ones are kept.
        lowercase (`bool`, *optional*, defaults to `False`): lower-case words before they are counted and encoded.
        split_punctuation (`bool`, *optional*, defaults to `False`): part words from runs of punctuation
            (`"don't"` becomes `don ' t`); the default splits at white space only, for text that is tokenised already.
        max_length (`int`, *optional*, defaults to 40): `model_max_length` in tokens, `<s>` and `</s>` included.
        markers (`Sequence[str]`, *optional*): words of the vocabulary whatever the texts hold, and never split; like
            `<unk>` they are shown by `decode`. `ldebm_hf.model.dialogue_turns.MARKERS` are those of dialogues.

    Returns:
        `PreTrainedTokenizerFast`, with `len(tokenizer)` tokens of ids 0 to `len(tokenizer) - 1`.

    Raises:
        ValueError: texts without a single word, `vocab_size` below 5 or `max_length` below 3.
    """
    if vocab_size <= len(SPECIAL_TOKENS):
        raise ValueError(f"vocab_size must be at least 5 (4 special tokens, 1 word), got {vocab_size}")
    if max_length < 3:
        raise ValueError(f"max_length must be at least 3 (<s>, one word, </s>), got {max_length}")
    if isinstance(texts, str):
        raise ValueError("texts must be a list of strings, got one string")

    normalizer = normalizers.Lowercase() if lowercase else normalizers.Sequence([])
    if split_punctuation:
        whole = "|".join(map(re.escape, ["<unk>", *markers]))
        pattern = Regex(rf"{whole}|\w+|(?:(?!{whole})[^\w\s])+")
        splitter = pre_tokenizers.Split(pattern, behavior="removed", invert=True)
    else:
        splitter = pre_tokenizers.WhitespaceSplit()
    # Counting with the tokenizer's own parts leaves no room for a second opinion on what a word is.
    counts = count_words(
        [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))] for text in texts
    )
    words = sorted(counts.keys() - {*SPECIAL_TOKENS, *markers}, key=lambda word: (-counts[word], word))
    if not words:
        raise ValueError("texts hold no word to build a vocabulary from")
    kept = [*SPECIAL_TOKENS, *markers, *words][:vocab_size]

    tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(kept)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", kept.index("<s>")), ("</s>", kept.index("</s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=max_length,
        padding_side="right",
        truncation_side="right",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def count_words(texts: Iterable[list[str]], max_words: int = 2_000_000) -> Counter[str]:
    """Count the words of texts in bounded memory.

    Args:
        texts (iterable of `list[str]`): the words of each text.
        max_words (`int`, *optional*, defaults to 2000000): whenever there are more different ones, the rarer half of
            so many is forgotten; a word that is frequent throughout is counted exactly.
    """
    counts: Counter[str] = Counter()
    for words in texts:
        counts.update(words)
        if len(counts) > max_words:
            counts = Counter(dict(counts.most_common(max_words // 2)))
    return counts
