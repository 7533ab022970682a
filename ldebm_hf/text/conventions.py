"""How a tokenised corpus writes its texts, read from its words, and the tokenizer parts that read and write so.

Published corpora come tokenised, each in its own way: lower case, `wo n't` for "won't", spaces around every mark or no
marks at all, `_num_` or `N` for a number. A model of such a corpus knows no other writing. [`Conventions`] describes
that way; [`reading_normalizer`], [`reading_splitter`] and [`text_decoder`] turn it into the normalizer, pre-tokenizer
and decoder of a `tokenizer.json`, so that any program that loads the file reads "I won't go back." as the corpus has
it and writes it as people do.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tokenizers import Regex, decoders, normalizers, pre_tokenizers

NUMBER_WORDS = ("_num_", "<num>", "<number>", "N")
"""Words that corpora have in place of numbers."""
NUMBER = r"\d+(?:[.,:/-]\d+)*(?:am|pm)?"
CONTRACTIONS = r"'(?:s|m|re|ve|ll|d)(?!\w)"
JOINED_WORDS = {"cannot": ("can", "not"), "gonna": ("gon", "na"), "gotta": ("got", "ta"), "wanna": ("wan", "na")}
"""Words that the Penn Treebank's rules split in two."""
TYPOGRAPHIC_MARKS = {"'": "‘’ʼ´′", '"': "“”„«»″", "--": "–—―", "...": "…"}
"""Marks of printed texts, by the one that a plain-text corpus has in their place."""
INVISIBLE = "\u00ad\u200b\u2060\ufeff"
"""Characters that show nothing: soft hyphen, zero-width space, word joiner, byte-order mark."""
UNSPACED_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts without spaces between words. Unicode's word rules (UAX 29) split them at every character."""
UNSPACED_LETTER = rf"[{UNSPACED_SCRIPTS}]\p{{M}}*"
SPACED_WORD = rf"[[\w\u200c\u200d]&&[^{UNSPACED_SCRIPTS}]]+"
"""A run of letters with their combining marks and joiners, digits and `_`, in the syntax of `tokenizers.Regex`."""
WORD = rf"{UNSPACED_LETTER}|{SPACED_WORD}"
MAX_WHOLE_WORDS = 2000
"""Words with marks inside that a splitter names one by one; the most frequent ones."""
RARE = 1e-3
"""A share of a corpus's words below which a writing is an oversight, not a convention."""


@dataclass(frozen=True)
class Conventions:
    """
    How a tokenised corpus writes.

    Args:
        lowercase (`bool`): It has no capitals.
        plain_characters (`bool`): It has ASCII characters only, thus no accents and no typographic quotes.
        has_marks (`bool`): Marks are words of their own; otherwise there are none and they are dropped.
        splits_contractions (`bool`): It has `do n't` and `it 's`, by the rules of the Penn Treebank.
        treebank_quotes (`bool`): Double quotes are two backquotes and two apostrophes.
        number_word (`str`, *optional*): The word that stands for every number.
    """

    lowercase: bool
    plain_characters: bool
    has_marks: bool
    splits_contractions: bool
    treebank_quotes: bool
    number_word: str | None

    @classmethod
    def found_in(cls, counts: Mapping[str, int]) -> "Conventions | None":
        """
        The conventions of a corpus with these words.

        Args:
            counts (`Mapping[str, int]`): How often the corpus has each word, split at white space.

        Returns:
            [`Conventions`], or `None` for a corpus whose marks are attached to words, which thus is not tokenised.
        """
        total = sum(counts.values())

        def is_rare(words: Iterable[str]) -> bool:
            return sum(counts[word] for word in words) <= RARE * total

        attached = [word for word in counts if re.fullmatch(r"\w+[,!?;:]", word)]
        apart = sum(counts.get(mark, 0) for mark in ",.!?;:")
        if not is_rare(attached) and sum(counts[word] for word in attached) > apart:
            return None
        number_word = next((word for word in NUMBER_WORDS if word in counts), None)
        lowercase = is_rare(word for word in counts if word != word.lower() and word != number_word)
        if number_word is not None:
            numbers = sum(count for word, count in counts.items() if re.fullmatch(NUMBER, word))
            if numbers > counts[number_word] or (number_word == "N" and not lowercase):
                number_word = None
        return cls(
            lowercase=lowercase,
            plain_characters=is_rare(word for word in counts if not word.isascii()),
            has_marks=apart > 0,
            splits_contractions="n't" in counts or "'s" in counts,
            treebank_quotes="``" in counts and '"' not in counts,
            number_word=number_word,
        )


def reading_normalizer(conventions: Conventions, words: Iterable[str]) -> normalizers.Normalizer:
    """
    From characters as people write them to those of the corpus, with one number word for each number.

    Args:
        conventions ([`Conventions`]): Of the corpus.
        words (iterable of `str`): The vocabulary; numbers among it, as `1/2`, are left as they are.
    """
    words = set(words)
    characters = set("".join(words))
    steps: list[normalizers.Normalizer] = [normalizers.Replace(Regex(f"[{INVISIBLE}]"), "")]
    for plain, variants in TYPOGRAPHIC_MARKS.items():
        replacement = plain if len(plain) == 1 else f" {plain} "
        if not conventions.has_marks and plain != "'":
            replacement = " "
        for variant in sorted(set(variants) - characters):
            steps.append(normalizers.Replace(variant, replacement))
    if conventions.plain_characters:
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    else:
        steps.append(normalizers.NFC())
    number_word = conventions.number_word
    if conventions.lowercase:
        if number_word is not None and number_word != number_word.lower():
            # Lower case would turn the word itself into another one: a number stands for it until then.
            steps.append(normalizers.Replace(Regex(rf"(?<![^\s$#(\[]){re.escape(number_word)}(?![^\s.,%)\]'])"), "0"))
        steps.append(normalizers.Lowercase())
    if number_word is not None:
        kept_numbers = _alternatives(word for word in words if re.search(r"\d", word))
        unless = f"(?!(?:{kept_numbers})(?:[^\\w/]|\\z))" if kept_numbers else ""
        number = rf"(?<![\w.,:/'-]){unless}(?>{NUMBER})(?![\w/])(?:-(?=\p{{L}}))?"
        steps.append(normalizers.Replace(Regex(number), f" {number_word} "))
    if conventions.treebank_quotes:
        steps.append(normalizers.Replace(Regex(r'(?<![^\s(\[])"(?=\S)'), " `` "))
        steps.append(normalizers.Replace('"', " '' "))
    for mark in "!?":
        if conventions.has_marks and mark * 2 not in words:
            steps.append(normalizers.Replace(Regex(re.escape(mark) + "{2,}"), mark))
    return normalizers.Sequence(steps)


def reading_splitter(
    conventions: Conventions, counts: Mapping[str, int], words: Iterable[str], markers: Iterable[str] = ()
) -> pre_tokenizers.PreTokenizer:
    """
    From normalized text to words of the corpus.

    A word of the vocabulary between white space is one token, whatever marks it has, so that texts of the corpus are
    split at white space as they were. The exception is a word that ends in a mark and is more frequent without it
    ("ok."): it is split, unless the text goes on and ends in a mark that stands apart, as a tokenised one does.

    Args:
        conventions ([`Conventions`]): Of the corpus.
        counts (`Mapping[str, int]`): How often the corpus has each word, split at white space.
        words (iterable of `str`): The vocabulary.
        markers (iterable of `str`, *optional*): Words that are never split, wherever they stand.
    """
    words = set(words)
    with_marks = sorted((w for w in words if re.search(r"[^\w]", w)), key=lambda w: (-counts.get(w, 0), w))
    with_marks = with_marks[:MAX_WHOLE_WORDS]
    ends_sentence = {
        word
        for word in with_marks
        if re.fullmatch(r"\w+[.,!?;:]", word) and counts.get(word[:-1], 0) > counts.get(word, 0)
    }
    marks = {word for word in with_marks if not re.search(r"\w", word)}
    whole = [word for word in with_marks if word not in ends_sentence and word not in marks]
    in_tokenised_text = r"(?=\s.*\s[.!?)']+\s*\z)" if conventions.has_marks else r"(?=\s+\S)"
    start, end = r"(?=\w*[^\w\s])(?<![^\s(\[\"'$#])", r"(?=[\s.,!?;:)\]\"'%]|\z)"
    patterns = [
        _alternatives(["<unk>", *markers]),
        f"{start}(?:{_alternatives(whole)}){end}" if whole else "",
        rf"{start}(?:{_alternatives(ends_sentence)}){in_tokenised_text}" if ends_sentence else "",
        r"(?<!\w)(?:\p{L}\.){2,}",  # an abbreviation
    ]
    if conventions.splits_contractions:
        for joined, (first, second) in JOINED_WORDS.items():
            if joined not in words and first in words and second in words:
                patterns.append(rf"\b{first}(?={second}\b)|(?<=\b{first}){second}\b")
        patterns.append(r"[\w\u200c\u200d]+?(?=n't(?!\w))|n't(?!\w)")
        patterns.append(rf"(?<![^\w\s]){CONTRACTIONS}")
        patterns.append(rf"{UNSPACED_LETTER}|{SPACED_WORD}(?:'(?!(?:s|m|re|ve|ll|d)(?!\w))\w+)*")
    else:
        patterns.append(WORD)
    patterns.append(_alternatives(marks - {"-"}))
    if "-" in marks:  # a dash; a hyphen parts words as a space does
        patterns.append(r"(?<!\w)-|-(?!\w)")
    return pre_tokenizers.Split(Regex("|".join(filter(None, patterns))), behavior="removed", invert=True)


def text_decoder(conventions: Conventions, markers: Iterable[str] = ()) -> decoders.Decoder:
    """
    From words of the corpus to text as people write it: marks and contractions are attached, quotes are one mark, and
    where the corpus has marks but no capitals, sentences begin with one, as does "I" in English.

    Number words stay, and so do names in lower case: what the corpus leaves out cannot be known.

    Args:
        conventions ([`Conventions`]): Of the corpus.
        markers (iterable of `str`, *optional*): Words that may stand before a text's first sentence.
    """
    steps: list[decoders.Decoder] = [
        decoders.WordPiece(prefix="\ue000", cleanup=False),  # puts a space before each word but the first
        decoders.Fuse(),
    ]

    def replace(pattern: str, content: str) -> None:
        steps.append(decoders.Replace(Regex(pattern), content))

    if conventions.lowercase and conventions.has_marks:
        starts = ["", '["(] ', "`` ", *(f"{re.escape(marker)} " for marker in markers)]
        start = "|".join([r"(?<= [.!?] )", *(rf"(?<=\A{start})" for start in starts)])
        for letter in map(chr, range(ord("a"), ord("z") + 1)):
            replace(f"(?:{start}){letter}", letter.upper())
    if conventions.lowercase and conventions.splits_contractions:  # English
        replace(r"(?<!\S)i(?!\S)", "I")
    if conventions.splits_contractions:
        replace(r"(?<=\w) (?=n't(?!\w))", "")
        replace(rf"(?<=\w) (?={CONTRACTIONS})", "")
        replace(r"(?<=s) '(?= \w)", "'")
        for joined, (first, second) in JOINED_WORDS.items():
            if joined != "cannot":
                replace(rf"(?<!\w){first} {second}(?!\w)", joined)
    else:
        for apostrophe in "'’":
            replace(rf"(?<=\w) {apostrophe} (?=(?:s|m|re|ve|ll|d|t)(?!\w))", apostrophe)
    if conventions.treebank_quotes:
        replace(r"`` ", '"')
        replace(r"(?<!\S)``", '"')
        replace(r" ?''", '"')
    replace(r" (?=[.,!?;:%)\]…](?:[\s.,!?;:%)\]\"'…]|\z))", "")
    replace(r"(?<=[(\[$#]) ", "")
    return decoders.Sequence(steps)


def natural_writer(texts: Iterable[str]) -> Callable[[str], str] | None:
    """
    What turns a text of a tokenised corpus into one as people write it: "the food was great !" into "The food was
    great!".

    Args:
        texts (iterable of `str`): Texts of the corpus, which show its conventions.

    Returns:
        `Callable`, or `None` if the texts are not tokenised.
    """
    conventions = Conventions.found_in(Counter(word for text in texts for word in text.split()))
    if conventions is None:
        return None
    decoder = text_decoder(conventions)
    return lambda text: decoder.decode(text.split())


def _alternatives(words: Iterable[str]) -> str:
    """A pattern of any of these words, the longest that fits."""
    return "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))
