"""Scores of texts: by hand, and against sacrebleu's own sentence scores."""

import math
import random

import pytest
from sacrebleu.metrics import BLEU

from ldebm_hf.scores import copied_share, corpus_bleu, distinct_n, distinct_share, empty_share, self_bleu

WORDS = ["a", "b", "c", "d", "e"]


def random_texts(number: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) for _ in range(number)]


def test_corpus_bleu_by_hand():
    """Counts over the corpus, n = 1 to 4: 8/9, 6/7, 4/5 and 2/3; 9 words against 10."""
    hypotheses = ["the cat sat on the mat", "it <unk> here"]
    references = ["the cat sat on a mat", "it <unk> here ."]
    # "the" occurs twice and once in the reference: its second is clipped.
    matches, totals = (5 + 3, 3 + 2, 2 + 1, 1 + 0), (6 + 3, 5 + 2, 4 + 1, 3 + 0)
    expected = math.exp(1 - 10 / 9) * math.prod(m / t for m, t in zip(matches, totals, strict=True)) ** 0.25
    assert corpus_bleu(hypotheses, references) == pytest.approx(100 * expected)


def test_corpus_bleu_is_of_words_as_they_are_and_not_smoothed():
    assert corpus_bleu(["a b c d e."], ["a b c d e."]) == pytest.approx(100)
    assert corpus_bleu(["A b c d e"], ["a b c d e"]) == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert corpus_bleu(["a b c"], ["a b c"]) == 0  # no sequence of four words at all
    assert corpus_bleu(["a b c x e"], ["a b c d e"]) == 0  # none that matches


def test_empty_hypotheses_count_by_their_length():
    full = corpus_bleu(["a b c d e"], ["a b c d e"])
    assert full == pytest.approx(100)
    assert corpus_bleu(["a b c d e", ""], ["a b c d e", "f g h i j"]) == pytest.approx(100 * math.exp(1 - 10 / 5))
    assert corpus_bleu(["", " "], ["a", "b"]) == 0
    with pytest.raises(ValueError, match="one per hypothesis"):
        corpus_bleu(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="one per hypothesis, at least one"):
        corpus_bleu([], [])


def test_distinct_n_by_hand():
    texts = ["a a b", "", "a b"]
    assert distinct_n(texts, 1) == 2 / 5
    assert distinct_n(texts, 2) == 2 / 3  # "a a", "a b" twice; none across texts
    assert distinct_n(texts, 4) == 0 == distinct_n([], 1)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        distinct_n(texts, 0)


def test_self_bleu_is_sacrebleus_sentence_bleu_against_all_others():
    texts = random_texts(40, seed=0)
    bleu = BLEU(smooth_method="floor", smooth_value=0.1, tokenize="none", effective_order=True)
    scores = [bleu.sentence_score(text, texts[:i] + texts[i + 1 :]).score for i, text in enumerate(texts)]
    assert self_bleu(texts) == pytest.approx(sum(scores) / len(scores))


def test_self_bleu_of_copies_and_of_texts_without_common_words():
    assert self_bleu(["a b c d e"] * 5) == pytest.approx(100)
    assert self_bleu(["a", "a"]) == pytest.approx(100)
    assert self_bleu(["a b c d", "e f g h", "", " "]) == 0
    assert self_bleu(["a a", "a"]) < self_bleu(["a a", "a a"])  # a word's second occurrence is clipped


def test_self_bleu_draws_texts_by_its_seed():
    texts = random_texts(60, seed=1)
    assert self_bleu(texts, max_texts=20, seed=0) == self_bleu(texts, max_texts=20, seed=0)
    assert self_bleu(texts, max_texts=20, seed=0) != self_bleu(texts, max_texts=20, seed=1)
    assert self_bleu(texts, max_texts=60, seed=0) == self_bleu(texts, seed=1)
    with pytest.raises(ValueError, match="at least 2 with words, got 1"):
        self_bleu(["a", ""])
    with pytest.raises(ValueError, match="max_texts must be at least 2, got 1"):
        self_bleu(texts, max_texts=1)


def test_shares_by_hand():
    texts = ["a  b", "a b ", "c", "", "\n", "A b", "c c", "d"]
    assert copied_share(texts, iter(["a b", "", "d d", "c\tc"])) == 3 / 8
    assert distinct_share(texts) == 6 / 8
    assert empty_share(texts) == 2 / 8
    for share in (distinct_share, empty_share, lambda none: copied_share(none, ["a"])):
        with pytest.raises(ValueError, match="got none"):
            share([])
