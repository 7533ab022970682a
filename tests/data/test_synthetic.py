import random
from collections import Counter, defaultdict

import pytest

from ldebm_hf.data import check_corpus, load_corpus
from ldebm_hf.data.synthetic import GRAMMAR, INTENTS, load_synthetic, parse_intents, sample_sentence


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("synthetic")


def test_sizes_balance_and_distinct_sentences(corpus):
    sizes = {name: len(split) for name, split in corpus.splits.items()}
    assert sizes == {"train": 6000, "validation": 750, "test": 750}
    texts = [text for split in corpus.splits.values() for text in split.texts]
    assert len(set(texts)) == 7500
    assert all(4 <= len(text.split()) <= 16 for text in texts)
    assert all(600 < count < 900 for count in Counter(corpus.train.labels).values())
    assert len(corpus.notes) == 1 and "synthetic" in corpus.notes[0]
    check_corpus(corpus, num_symbols=8)


def test_vocabulary(corpus):
    train_words = {word for text in corpus.train.texts for word in text.split()}
    assert 250 <= len(train_words) <= 450 and train_words <= GRAMMAR.words


def test_same_seed_same_corpus(corpus):
    assert load_synthetic() == load_synthetic(seed=0)
    assert load_synthetic().train == corpus.train != load_synthetic(seed=1).train
    assert corpus.train.texts[0] == load_synthetic(10, 1, 1).train.texts[0]


def test_grammar_makes_far_more_sentences_than_a_table_could_hold():
    rng = random.Random(1)
    drawn = {sample_sentence(INTENTS[i % 8], rng) for i in range(50_000)}
    assert len(drawn) > 0.8 * 50_000


def test_intents_share_their_words(corpus):
    intents = defaultdict(Counter)
    for text, label in zip(corpus.train.texts, corpus.train.labels, strict=True):
        for word in set(text.split()):
            intents[word][label] += 1
    shared = {word for word, counts in intents.items() if sum(count >= 5 for count in counts.values()) >= 3}
    exclusive = {word for word, counts in intents.items() if max(counts.values()) > 0.99 * counts.total()}
    texts = [text.split() for text in corpus.validation.texts]
    mostly_shared = sum(sum(word in shared for word in words) >= 0.8 * len(words) for words in texts)
    without_exclusive = sum(exclusive.isdisjoint(words) for words in texts)
    assert mostly_shared > 0.7 * len(texts) and without_exclusive > 0.35 * len(texts)


def test_every_sentence_has_its_own_intent_and_no_other(corpus):
    for text, label in zip(corpus.validation.texts, corpus.validation.labels, strict=True):
        assert parse_intents(text) == {INTENTS[label]}


@pytest.mark.parametrize(
    ("sentence", "intents"),
    [
        ("please remind me to book a table outside at noon", {"set_alarm"}),
        ("the alarm was too late so i want my money back", {"refund"}),
        ("thank you for the table", {"thanks"}),
        ("the tickets to oslo were wrong", {"complaint"}),
        ("the tickets to oslo was wrong", set()),
        ("is there any trains to oslo today", set()),
        ("the table the table", set()),
        ("", set()),
    ],
)
def test_parse_intents(sentence, intents):
    assert parse_intents(sentence) == intents
