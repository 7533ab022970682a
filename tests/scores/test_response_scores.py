"""Responses of a model to the contexts of a split, and their scores."""

import numpy as np
import pytest
from tiny_models import tiny_model

from ldebm_hf import build_tokenizer
from ldebm_hf.data import NO_LABEL, Corpus, Split
from ldebm_hf.model.dialogue_turns import MARKERS
from ldebm_hf.scores import WordVectors
from ldebm_hf.scores.held_out_texts import reading_scores
from ldebm_hf.scores.responses import WrittenResponses, response_scores, write_responses

TEXTS = ["<sys> are you going", "<usr> where", "<sys> today you are"]
CONTEXTS = [("<d>", "<usr> where"), ("<d>",), ("<usr> going", "<sys> going", "<usr> you")]
OF_CONTEXTS = {"context_size": 6, "context_hidden_size": 5, "context_turns": 3}


def split_of(count=3) -> Split:
    texts, contexts = TEXTS * count, CONTEXTS * count
    return Split(texts[:count], [NO_LABEL] * count, {"kind": [i % 2 for i in range(count)]}, contexts[:count])


def tokenizer():
    return build_tokenizer(["where are you going today"], markers=MARKERS, max_length=8)


def test_every_context_gets_a_response():
    model, split = tiny_model(**OF_CONTEXTS), split_of()
    model.generation_config.max_new_tokens = 8
    written = write_responses(model, tokenizer(), split, batch_size=2)
    assert written.references == split.texts and written.contexts == split.contexts
    assert len(written.responses) == len(written.reconstructions) == 3
    assert written == write_responses(model, tokenizer(), split, batch_size=2)
    drawn, other = (write_responses(model, tokenizer(), split, seed=seed, do_sample=True) for seed in (0, 1))
    assert drawn == write_responses(model, tokenizer(), split, do_sample=True) and written != drawn != other
    with pytest.raises(ValueError, match="num_candidates must be at least 1 and at most batch_size=2, got 3"):
        write_responses(model, tokenizer(), split, num_candidates=3, batch_size=2)
    scores = response_scores(written)
    assert scores["words_per_text"] > 0 and 0 <= scores["distinct_2"] <= 1


def test_unknown_words_of_texts_and_contexts_are_counted(caplog):
    model, split = tiny_model(**OF_CONTEXTS), split_of()
    write_responses(model, tokenizer(), split, max_new_tokens=4)
    assert not caplog.messages
    split.texts[0] += " zzz"
    split.contexts[0] = ("<d>", "<usr> where yyy")
    write_responses(model, tokenizer(), split, batch_size=1, max_new_tokens=4)
    assert caplog.messages == [
        "1 of 8 words (12 %) are unknown to the model, in 1 of 3 texts; 1 of 5 words (20 %) are unknown to the model, "
        "in 1 of 4 turns"
    ]


def test_candidates_belong_to_their_context(monkeypatch):
    """Every context gets its own candidates, which are compared without their markers."""
    model, split, words = tiny_model(**OF_CONTEXTS), split_of(), tokenizer()
    seen = []

    def generate(input_ids=None, context_input_ids=None, **options):
        seen.append(context_input_ids)
        answers = ["<sys> where", "<usr> are you", "<sys> are you"] * (len(context_input_ids) // 3)
        return words(["going"] if input_ids is not None else answers, padding=True, return_tensors="pt")["input_ids"]

    monkeypatch.setattr(model, "generate", generate)
    written = write_responses(model, words, split, num_candidates=3, batch_size=3)
    assert written.responses == ["<usr> are you"] * 3, "of two that are the same but for the marker the first"
    assert written.reconstructions == ["going"] * 3 and len(seen) == 6
    for of_candidates, alone in zip(seen[::2], seen[1::2], strict=True):
        assert of_candidates.tolist() == alone.tolist() * 3 and len(alone) == 1


def test_a_language_model_responds_too():
    model = tiny_model("rnn_lm", **OF_CONTEXTS)
    written = write_responses(model, tokenizer(), split_of())
    assert written.reconstructions == [] and written == write_responses(model, tokenizer(), split_of())


def test_markers_count_in_the_published_protocol_alone():
    references = [f"<{'usr' if i % 2 else 'sys'}> a{i} b{i} c{i} d{i} e{i}" for i in range(20)]
    same = response_scores(WrittenResponses([()] * 20, references, references, references))
    assert same["bleu"] == same["bleu_with_markers"] == same["reconstruction_bleu"] == pytest.approx(100)
    assert same["bleu_chance"] < 30 and same["distinct_texts"] == 1
    swapped = [text.replace("<usr>", "<x>").replace("<sys>", "<usr>").replace("<x>", "<sys>") for text in references]
    wrong = response_scores(WrittenResponses([()] * 20, references, swapped, []))
    assert wrong["bleu"] == pytest.approx(100) and wrong["bleu_with_markers"] < 90
    assert "reconstruction_bleu" not in wrong


def test_embedding_scores_ignore_markers():
    vectors = WordVectors({"a": 0, "b": 1}, np.array([[1, 0], [0, 1]], dtype=np.float32))
    references = ["<usr> a a", "<sys> b"] * 6
    same = response_scores(WrittenResponses([()] * 12, references, references, []), vectors)
    assert same["embedding_average"] == same["embedding_extrema"] == same["embedding_greedy"] == pytest.approx(1)
    assert same["embedding_average_chance"] < 0.8 and same["embedding_num_pairs"] == 12
    assert same["embedding_coverage"] == 1
    # Every response is nearer to the six others of the other kind and as near to the five of its own.
    assert same["retrieval"] == pytest.approx((6 + 5 / 2) / 11)
    empty = response_scores(WrittenResponses([()] * 12, references, [""] * 12, []), vectors)
    assert empty["retrieval"] == 0.5 and "embedding_average" not in empty
    unknown = response_scores(WrittenResponses([()] * 12, references, ["<usr> c", "<unk>"] * 6, []), vectors)
    assert not [name for name in unknown if name.startswith("embedding")]
    unknown = response_scores(WrittenResponses([()] * 2, ["a", "c"], ["a", "c"], []), vectors)
    assert unknown["embedding_average"] == pytest.approx(1) and "retrieval" not in unknown


def test_symbols_are_read_in_their_contexts():
    corpus = Corpus("talk", split_of(12), split_of(6), attribute_names={"kind": ["even", "odd"]})
    scores = reading_scores(tiny_model(**OF_CONTEXTS), tokenizer(), corpus)
    assert "kind_homogeneity" in scores and "mutual_information" in scores


def test_split_and_model_must_have_contexts():
    with pytest.raises(ValueError, match="split must have contexts"):
        write_responses(tiny_model(**OF_CONTEXTS), tokenizer(), Split(["a"], [NO_LABEL]))
    with pytest.raises(ValueError, match="model must have contexts"):
        write_responses(tiny_model(), tokenizer(), split_of())
