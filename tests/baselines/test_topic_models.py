"""Topics of a model's symbols and of LDA."""

import random

import pytest
import torch
from sklearn.decomposition import LatentDirichletAllocation
from tiny_models import seeded, tiny_model
from torch import nn

from ldebm_hf import LDEBMConfig, LDEBMModel, build_document_tokenizer
from ldebm_hf.baselines.topic_models import compare_with_lda, count_matrix, lda_topics, topic_scores
from ldebm_hf.model.explanation import symbol_topics
from ldebm_hf.scores import topic_coherence, topic_diversity

TOPICS = ["rain wind storm cloud", "goal team ball coach"]


@pytest.fixture(scope="module")
def texts():
    rng = random.Random(0)
    return [" ".join(rng.choices(TOPICS[i % 2].split(), k=6)) for i in range(300)]


@pytest.fixture(scope="module")
def tokenizer(texts):
    return build_document_tokenizer(texts)


def model_that_writes(tokenizer) -> LDEBMModel:
    """A mixture of two far components; the decoder's first layer is the identity, its last one a table of topics."""
    torch.manual_seed(0)
    config = LDEBMConfig.from_preset(
        "gm_vae", modality="document", vocab_size=len(tokenizer), latent_size=2, num_symbols=2, document_hidden_size=2,
        document_decoder_layers=1, document_batch_norm=False,
    )  # fmt: skip
    model = LDEBMModel(config).eval()
    with torch.no_grad():
        model.prior.means.copy_(torch.tensor([[10.0, 0.0], [0.0, 10.0]]).view_as(model.prior.means))
        model.prior.log_variances.fill_(-6)
        nn.init.zeros_(model.decoder.layers[0].weight)
        nn.init.zeros_(model.decoder.layers[0].bias)
        for topic, words in enumerate(TOPICS):
            for rank, word in enumerate(words.split()):
                place = tokenizer.convert_tokens_to_ids(word)
                model.decoder.layers[0].weight[place, topic] = 0.5 - 0.05 * rank
    return model


def test_symbols_have_the_words_that_the_generator_writes(tokenizer):
    model = model_that_writes(tokenizer)
    topics = symbol_topics(model, tokenizer, num_words=4, num_samples=50, generator=seeded())
    assert topics == [words.split() for words in TOPICS]


def test_explanations_of_documents_have_the_words_written(tokenizer, texts):
    model = model_that_writes(tokenizer)
    explanation = model.explain(texts, tokenizer, num_samples=4, generator=seeded())
    assert explanation.modality == "document"
    assert [symbol.generated for symbol in explanation.symbols] == [words.split() for words in TOPICS]
    assert sum(symbol.num_texts for symbol in explanation.symbols) == len(texts)
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    assert explanation.assignments.tolist() == model.infer_symbols(**batch).argmax(-1).tolist()
    assert [symbol.generated for symbol in model.explain(texts, tokenizer, num_samples=0).symbols] == [[], []]


def test_relevance_weighs_frequent_words_against_distinctive_ones(tokenizer):
    model = model_that_writes(tokenizer)
    counts = torch.ones(len(tokenizer))
    counts[tokenizer.convert_tokens_to_ids("coach")] = 1000
    model.decoder.set_background(counts)
    frequent, telling = (
        symbol_topics(model, tokenizer, num_words=1, relevance=relevance, generator=seeded()) for relevance in (1, 0)
    )
    assert frequent == [["coach"], ["coach"]] and telling == [["rain"], ["goal"]]


def test_lda_finds_plain_topics(texts, tokenizer):
    topics = lda_topics(texts, tokenizer, 2, num_words=4, seed=1)
    assert sorted(sorted(topic) for topic in topics) == sorted(sorted(words.split()) for words in TOPICS)
    words = [text.split() for text in texts]
    assert topic_diversity(topics) == 1
    mixed = [["rain", "goal", "wind", "team"]]
    assert topic_coherence(topics, words).min() > 0.1 > topic_coherence(mixed, words).max()


def test_lda_is_fitted_by_all_texts_at_once_and_ranked_by_relevance(texts, tokenizer, monkeypatch):
    """Words of both topics come first for λ = 1, and words of one topic alone for λ = 0."""
    made = []

    class Remembered(LatentDirichletAllocation):
        def __init__(self, *arguments, **options):
            made.append(options)
            super().__init__(*arguments, **options)

        _get_param_names = LatentDirichletAllocation._get_param_names

    monkeypatch.setattr("sklearn.decomposition.LatentDirichletAllocation", Remembered)
    frequent, telling = (lda_topics(texts, tokenizer, 2, num_words=8, relevance=r, seed=1) for r in (1, 0))
    assert made[0] == {"learning_method": "batch", "max_iter": 30, "random_state": 1}
    assert frequent != telling and [set(topic[:4]) for topic in frequent] == [set(topic[:4]) for topic in telling]


def test_comparison_with_lda(texts, tokenizer):
    mixed = [["rain", "goal", "wind", "team"], ["storm", "ball", "cloud", "coach"]]
    held_out, words = texts[200:], [text.split() for text in texts[200:]]
    compared = compare_with_lda(mixed, texts[:200], held_out, tokenizer, seed=1)
    assert (compared["num_words"], compared["num_texts"]) == (4, 100)
    assert compared["own"]["coherence_of_topics"] == pytest.approx(topic_coherence(mixed, words).tolist())
    assert compared["own"]["coherence"] == pytest.approx(topic_coherence(mixed, words).mean())
    lda = compared["lda"]
    assert lda["words"] == lda_topics(texts[:200], tokenizer, 2, num_words=4, seed=1)
    assert lda["coherence"] > 0.1 > compared["own"]["coherence"] and lda["diversity"] == 1
    assert topic_scores([["rain", "wind"], ["rain", "storm"]], ["Rain, wind!"], tokenizer)["diversity"] == 0.75


def test_counts_are_those_of_words_alone(tokenizer):
    counts = count_matrix(["rain RAIN of 12 goal", "unheard"], tokenizer).toarray()
    assert counts.sum() == 3 and counts[0, tokenizer.convert_tokens_to_ids("rain")] == 2


def test_bad_arguments(tokenizer, texts):
    model = model_that_writes(tokenizer)
    with pytest.raises(ValueError, match="needs a model of documents, got one of texts"):
        symbol_topics(tiny_model(), tokenizer)
    with pytest.raises(ValueError, match="num_words must be from 1 to the number of words, 8, got 9"):
        symbol_topics(model, tokenizer, num_words=9)
    with pytest.raises(ValueError, match="relevance must be between 0 and 1, got 2"):
        lda_topics(texts, tokenizer, 2, relevance=2)
    with pytest.raises(ValueError, match="evaluation mode"):
        symbol_topics(model.train(), tokenizer)
