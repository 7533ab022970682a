"""A word-level fast tokenizer, its vocabulary counted from a corpus."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from ..model.arguments import MOST_TOKENS, MOST_TYPES, Texts, TextStream
from ..model.validation import Count, Flag
from .conventions import WORD, Conventions, reading_normalizer, reading_splitter, text_decoder
from .retraining import LDEBMTokenizer, remembered

SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "</s>")
"""Tokens of ids 0 to 3: padding, unknown word, beginning and end of a text."""


@remembered(
    texts=TextStream(),
    vocab_size=Count(len(SPECIAL_TOKENS) + 1, MOST_TYPES, "4 special tokens, 1 word"),
    lowercase=Flag(),
    split_punctuation=Flag(),
    max_length=Count(3, MOST_TOKENS, "<s>, one word, </s>"),
    markers=Texts(or_one=False),
    raw_text=Flag(),
)
def build_tokenizer(
    texts: Iterable[str],
    vocab_size: int = 10000,
    *,
    lowercase: bool = False,
    split_punctuation: bool = False,
    max_length: int = 40,
    markers: Sequence[str] = (),
    raw_text: bool = True,
) -> LDEBMTokenizer:
    """Count the words of `texts` and keep the most frequent ones.

    A text becomes `<s> words </s>`, padded on the right; with `truncation=True` it is cut to `max_length` tokens, of
    which the last is always `</s>`. A word that is not in the vocabulary becomes `<unk>` (id 1), and so does a literal
    `<unk>` in the text. `<unk>` stands for a word, so it is an entry of the vocabulary like any other:
    `decode(..., skip_special_tokens=True)` leaves out `<pad>`, `<s>` and `</s>` but shows it. The price is that
    `tokenizer.unk_token` is `None`, since transformers hides every token with a role of its own.

    Tokenised corpora write in their own way: in lower case, with `wo n't` for "won't" and spaces around marks, with
    `_num_` for numbers. The tokenizer finds that out from the words ([`Conventions`]) and does the same with texts as
    people write them, while tokenised ones pass as they are. Its decoder writes as people do: "The food was great!"
    for `the food was great !`. The raw words are `tokenizer.convert_ids_to_tokens(ids, skip_special_tokens=True)`.
    All of it is in `tokenizer.json`. Marks that the corpus does not have, such as emoji, are dropped.

    Args:
        texts (`Iterable[str]`): the training texts.
        vocab_size (`int`, *optional*, defaults to 10000): at most so many tokens, the four special ones included.
            Among words of the same count the alphabetically first ones are kept.
        lowercase (`bool`, *optional*, defaults to `False`): lower-case words before they are counted and encoded.
        split_punctuation (`bool`, *optional*, defaults to `False`): separate words from runs of punctuation
            (`"don't"` becomes `don ' t`), for texts that are not tokenised; the default splits at white space.
        max_length (`int`, *optional*, defaults to 40): `model_max_length` in tokens, `<s>` and `</s>` included.
        markers (`Sequence[str]`, *optional*): words of the vocabulary whatever the texts hold, and never split; like
            `<unk>` they are shown by `decode`. `ldebm_hf.model.dialogue_turns.MARKERS` are those of dialogues.
        raw_text (`bool`, *optional*, defaults to `True`): read and write text as people do, as described above.
            With `False` texts are split as given and decoding joins words by spaces.

    Returns:
        [`LDEBMTokenizer`], with `len(tokenizer)` tokens of ids 0 to `len(tokenizer) - 1`.

    Raises:
        ValueError: texts without a single word, `vocab_size` below 5 or `max_length` below 3.
    """
    steps = [normalizers.NFC()] if split_punctuation and raw_text else []
    steps += [normalizers.Lowercase()] if lowercase else []
    normalizer = normalizers.Sequence(steps)
    if split_punctuation:
        whole = "|".join(map(re.escape, ["<unk>", *markers]))
        pattern = Regex(rf"{whole}|{WORD}|(?:(?!{whole})[^\w\s\u200c\u200d])+")
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

    decoder = None
    conventions = Conventions.found_in(counts) if raw_text else None
    if conventions is not None:
        decoder = text_decoder(conventions, markers)
        if not split_punctuation:
            normalizer = reading_normalizer(conventions, kept)
            splitter = reading_splitter(conventions, counts, kept, markers)
    return fast_tokenizer(
        models.WordLevel({token: i for i, token in enumerate(kept)}, unk_token="<unk>"),
        normalizer,
        splitter,
        decoder,
        max_length,
    )


def read_raw_text(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> LDEBMTokenizer:
    """
    A word-level tokenizer with the same ids that also reads and writes text as people do, as those of
    [`build_tokenizer`]; for checkpoints whose tokenizer only splits at white space.

    Args:
        tokenizer (`PreTrainedTokenizerFast`): From [`build_tokenizer`] with `raw_text=False`, or of an older version.
        texts (`Iterable[str]`): Tokenised texts in the way of its training texts, which show that way.

    Raises:
        ValueError: If the texts are not tokenised.
    """
    counts = count_words(text.split() for text in texts)
    conventions = Conventions.found_in(counts)
    if conventions is None:
        raise ValueError("texts must be tokenised, with spaces around marks or without marks; many of theirs are not")
    vocabulary = tokenizer.get_vocab()
    reading = fast_tokenizer(
        models.WordLevel(vocabulary, unk_token="<unk>"),
        reading_normalizer(conventions, vocabulary),
        reading_splitter(conventions, counts, vocabulary),
        text_decoder(conventions),
        tokenizer.model_max_length,
    )
    reading.init_kwargs["builder"] = {"name": build_tokenizer.__name__}
    return reading


def fast_tokenizer(
    model: models.Model,
    normalizer: normalizers.Normalizer,
    pre_tokenizer: pre_tokenizers.PreTokenizer,
    decoder: decoders.Decoder | None,
    max_length: int,
) -> LDEBMTokenizer:
    """A tokenizer of these parts that puts `<s>` and `</s>` around a text and pads and cuts it on the right.

    Args:
        model (`tokenizers.models.Model`): Its vocabulary has [`SPECIAL_TOKENS`] at ids 0 to 3.
        max_length (`int`): `model_max_length` in tokens.
    """
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in ("<s>", "</s>")],
    )
    if decoder is not None:
        tokenizer.decoder = decoder
    return LDEBMTokenizer(
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
