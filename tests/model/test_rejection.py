"""Rejection sampling of texts in which the model reads the requested symbol."""

from dataclasses import FrozenInstanceError
from types import SimpleNamespace

import pytest
import torch
from tiny_models import seeded
from transformers import GenerationConfig, TextStreamer

from ldebm_hf import LDEBMConfig, LDEBMModel, build_subword_tokenizer
from ldebm_hf.model.rejection import (
    MAX_ATTEMPTS,
    SMALL_BLOCK,
    RequestedTexts,
    generate_accepted,
    lengths_to_first_end,
)

SIZES = {"vocab_size": 14, "id2label": {0: "good", 1: "bad"}, "embedding_size": 8, "encoder_hidden_size": 8,
         "decoder_hidden_size": 8, "latent_size": 4, "energy_hidden_size": 8, "energy_num_blocks": 1,
         "langevin_steps": 2}  # fmt: skip
THREE_EACH = GenerationConfig(do_sample=True, num_return_sequences=3)
WITH_LOGITS = GenerationConfig(return_dict_in_generate=True, output_logits=True)
WRITING = {"do_sample": True, "max_new_tokens": 6}


@pytest.fixture
def model() -> LDEBMModel:
    torch.manual_seed(0)
    return LDEBMModel(LDEBMConfig(**SIZES)).eval()


def reading(share_read_as_good: float, probability: float = 0.9):
    """A reading of texts by their second token, which is "good" for the given fraction of the vocabulary."""

    def infer_symbols(token_ids: torch.Tensor, mask=None, lengths: list[int] | None = None) -> torch.Tensor:
        good = (token_ids[:, 1] % 7 < 7 * share_read_as_good).float() * (2 * probability - 1) + 1 - probability
        return torch.stack([good, 1 - good], dim=1)

    return infer_symbols


def test_the_requested_symbol_is_read_in_every_text(model, monkeypatch):
    monkeypatch.setattr(model, "infer_symbols", reading(3 / 7))
    requested = torch.tensor([0, 1] * 40)
    options = {"class_labels": requested, "generator": torch.Generator().manual_seed(0), **WRITING}
    free = model.infer_symbols(model.generate(**options)).argmax(1)
    assert 10 < (free == requested).sum() < 70, "nothing would be rejected, or all"
    texts = model.generate(min_label_probability=0.8, **options)
    assert texts.shape[0] == 80
    torch.testing.assert_close(model.infer_symbols(texts).argmax(1), requested)


def test_accepted_texts_follow_the_models_own_distribution(model, monkeypatch):
    """Rejection: the frequencies of accepted first words are those of all texts among the words that are accepted."""
    monkeypatch.setattr(model, "infer_symbols", reading(3 / 7))
    count, options = 4000, {"do_sample": True, "max_new_tokens": 2}
    generator = torch.Generator().manual_seed(0)
    free = model.generate(class_labels=["good"], num_samples=2 * count, generator=generator, **options)[:, 1]
    chosen = model.generate(
        class_labels="good", num_samples=count, generator=generator, min_label_probability=0.8, **options
    )[:, 1]
    expected = torch.bincount(free, minlength=14) * (torch.arange(14) % 7 < 3)
    expected = expected / expected.sum()
    found = torch.bincount(chosen, minlength=14) / count
    # Both are frequencies of at least 3,000 draws; 5 standard errors of their difference.
    larger = torch.maximum(expected, found)
    tolerance = 5 * (larger * (1 - larger) * (1 / 3000 + 1 / count)).sqrt()
    assert ((found - expected).abs() <= tolerance).all()


class StreamOfTexts:
    """
    Stands for a model: writes the words of a fixed stream of random ones, whatever the sizes of blocks, and reads in
    each the requested symbol with a probability that is the word's.

    Args:
        model ([`LDEBMModel`]): The model whose methods are replaced.
        probabilities (`Sequence[float]`): By word, from the fifth of the vocabulary on.
    """

    def __init__(self, model, monkeypatch, probabilities, seed=0):
        words = torch.randint(len(probabilities), (100_000,), generator=seeded(seed))
        self.words, self.probabilities = words, torch.tensor(probabilities)
        self.blocks: list[int] = []
        monkeypatch.setattr(model, "generate", self.generate)
        monkeypatch.setattr(model, "infer_symbols", self.infer_symbols)

    def generate(self, class_labels, **options) -> torch.Tensor:
        done = sum(self.blocks)
        self.blocks.append(len(class_labels))
        words = self.words[done : done + len(class_labels), None]
        return torch.cat([torch.full_like(words, 2), words + 4, torch.full_like(words, 3)], 1)

    def infer_symbols(self, token_ids, lengths) -> torch.Tensor:
        probability = self.probabilities[token_ids[:, 1] - 4]
        return torch.stack([probability, probability], 1)

    def plain_rejection(self, number: int, least: float) -> tuple[list[int], list[int]]:
        """The first accepted words of the stream, and how many were examined for each."""
        places = (self.probabilities[self.words] >= least).nonzero()[:number, 0].tolist()
        return [int(self.words[place]) + 4 for place in places], [
            place - before for before, place in zip([-1, *places], places, strict=False)
        ]


@pytest.mark.parametrize("number", [1, 7, 300])
@pytest.mark.parametrize("num_accepted_words", [2, 5, 9, 10])
def test_texts_are_those_of_plain_rejection_whatever_the_blocks(model, monkeypatch, number, num_accepted_words):
    """Acceptance probabilities of 0.2 to 1: the first accepted texts of the stream, in order, and their counts."""
    probabilities = [0.95] * num_accepted_words + [0.3] * (10 - num_accepted_words)
    stream = StreamOfTexts(model, monkeypatch, probabilities, seed=1)
    accepted = generate_accepted(model, 0.9, "good", num_samples=number)
    words, counts = stream.plain_rejection(number, 0.9)
    assert accepted.token_ids[:, 1].tolist() == words and accepted.is_accepted.all()
    assert accepted.num_candidates.tolist() == counts
    assert accepted.num_drawn == sum(stream.blocks) >= sum(counts)
    assert accepted.acceptance_rate == pytest.approx(number / sum(counts))
    if number == 300:  # five standard errors of a fraction of at least 300 candidates
        rate = num_accepted_words / 10
        assert abs(accepted.acceptance_rate - rate) <= 5 * (rate * (1 - rate) / 300) ** 0.5


def test_blocks_follow_the_acceptance_rate(model, monkeypatch):
    """At a rate of 0.1 ten texts need about 100 candidates: two or three blocks, where rounds of ten needed 20."""
    stream = StreamOfTexts(model, monkeypatch, [0.95] + [0.3] * 9)
    accepted = generate_accepted(model, 0.9, "good", num_samples=10)
    assert accepted.is_accepted.all() and len(stream.blocks) <= 4
    assert max(stream.blocks) <= SMALL_BLOCK
    assert accepted.num_drawn - accepted.num_candidates.sum() < SMALL_BLOCK


def test_blocks_are_no_larger_than_the_number_of_texts(model, monkeypatch):
    stream = StreamOfTexts(model, monkeypatch, [0.95] * 5 + [0.3] * 5)
    generate_accepted(model, 0.9, "good", num_samples=100)
    assert max(stream.blocks) <= 100


def test_two_symbols_do_not_share_candidates(model, monkeypatch):
    """Half of the candidates for good texts are accepted, and all for bad ones: each symbol has its own."""
    asked = []

    def generate(class_labels, **options):
        asked.append(class_labels.tolist())
        words = torch.arange(len(class_labels))[:, None] % 2 + 5
        return torch.cat([class_labels[:, None] + 10, words, torch.full_like(words, 3)], 1)

    def infer_symbols(token_ids, lengths):
        is_bad = token_ids[:, 0] == 11
        good = torch.where(is_bad, 0.05, torch.where(token_ids[:, 1] == 5, 0.9, 0.1))
        return torch.stack([good, 1 - good], dim=1)

    monkeypatch.setattr(model, "generate", generate)
    monkeypatch.setattr(model, "infer_symbols", infer_symbols)
    requested = torch.tensor([1, 0, 0, 1, 0])
    accepted = generate_accepted(model, 0.8, requested)
    assert accepted.token_ids[:, 0].tolist() == (requested + 10).tolist()
    assert accepted.is_accepted.all()
    assert accepted.num_candidates[requested == 1].tolist() == [1, 1]
    assert asked[0][:5] == requested.tolist(), "first one candidate for each row"
    assert all(1 not in block for block in asked[1:]), "all bad texts are there"


def test_of_too_few_accepted_texts_the_best_others_are_returned_and_counted(model, monkeypatch, caplog):
    """One word in four, the best of the others, is at 0.5; the budget is 20 candidates for each text."""
    stream = StreamOfTexts(model, monkeypatch, [0.1, 0.2, 0.3, 0.5])
    monkeypatch.setattr("ldebm_hf.model.rejection.logger.warning", lambda message: caplog.records.append(message))
    accepted = generate_accepted(model, 0.6, "good", num_samples=5)
    assert sum(stream.blocks) == accepted.num_drawn == MAX_ATTEMPTS * 5
    assert accepted.num_candidates.sum() == MAX_ATTEMPTS * 5 and not accepted.is_accepted.any()
    assert accepted.acceptance_rate == 0 and accepted.probabilities[:, 0].tolist() == [0.5] * 5
    assert caplog.records == [
        "5 of 5 texts do not reach min_label_probability=0.6 with 20 candidates for each text; "
        "the best of the other candidates are returned"
    ]


def test_accepted_texts_come_before_the_best_others(model, monkeypatch):
    """One word in 100 is accepted: 200 candidates for ten texts have about two of them."""
    stream = StreamOfTexts(model, monkeypatch, [0.9] + [0.1] * 79 + [0.4] * 20)
    accepted = generate_accepted(model, 0.6, "good", num_samples=10)
    words, counts = stream.plain_rejection(10, 0.6)
    number = int(accepted.is_accepted.sum())
    assert 1 <= number <= 6
    assert accepted.is_accepted.tolist() == [True] * number + [False] * (10 - number)
    assert accepted.num_candidates[:number].tolist() == counts[:number]
    assert accepted.num_candidates.sum() == 200
    torch.testing.assert_close(accepted.probabilities[number:, 0], torch.full((10 - number,), 0.4))


def test_of_equally_good_texts_the_first_are_kept(model, monkeypatch):
    stream = StreamOfTexts(model, monkeypatch, [0.5] * 10)
    accepted = generate_accepted(model, 0.8, "good", num_samples=6)
    assert accepted.token_ids[:, 1].tolist() == (stream.words[:6] + 4).tolist()


def test_probabilities_are_those_by_which_texts_were_accepted(model):
    options = {"generator": torch.Generator().manual_seed(0), **WRITING}
    accepted = generate_accepted(model, 0.4, ["good", "bad"] * 4, **options)
    requested = accepted.probabilities.gather(1, torch.tensor([0, 1] * 4)[:, None])
    assert (requested >= 0.4).all()
    lengths = lengths_to_first_end(accepted.token_ids, torch.tensor([3]))
    torch.testing.assert_close(accepted.probabilities, model.infer_symbols(accepted.token_ids, lengths=lengths))


def test_every_text_is_accepted_where_no_probability_is_asked_for(model, monkeypatch):
    asked = []
    monkeypatch.setattr(
        model, "infer_symbols", lambda token_ids, lengths: asked.append(token_ids) or torch.zeros(len(token_ids), 2)
    )
    requested = ["good", "bad", "good"]
    accepted = generate_accepted(model, 0, requested, generator=seeded(), **WRITING)
    assert [len(token_ids) for token_ids in asked] == [3] and accepted.probabilities.tolist() == [[0, 0]] * 3
    assert torch.equal(asked[0], model.generate(class_labels=requested, generator=seeded(), **WRITING))
    with pytest.raises(FrozenInstanceError):
        accepted.token_ids = asked[0]


def test_lengths_include_the_first_end_mark_and_padding_before_it():
    token_ids = torch.tensor([[2, 0, 7, 3, 0, 0], [2, 5, 6, 7, 8, 9], [2, 3, 3, 0, 4, 0], [2, 5, 0, 0, 6, 4]])
    assert lengths_to_first_end(token_ids, torch.tensor([3, 4])) == [4, 6, 2, 6]


def test_same_seed_same_texts(model):
    first, again, other = (
        model.generate(
            class_labels=["good", "bad"] * 4,
            min_label_probability=0.5,
            generator=torch.Generator().manual_seed(seed),
            **WRITING,
        )
        for seed in (1, 1, 2)
    )
    torch.testing.assert_close(first, again)
    assert first.shape != other.shape or (first != other).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 2}, "needs class_labels"),
        ({"class_labels": "good", "min_label_probability": 1.5}, "between 0 and 1, got 1.5"),
        ({"class_labels": "good", "min_label_probability": -0.1}, "between 0 and 1, got -0.1"),
        ({"class_labels": "good", "num_return_sequences": 2}, "num_return_sequences=2"),
        ({"class_labels": "good", "return_dict_in_generate": True, "output_scores": True}, "output_scores must be"),
        ({"class_labels": "good", "generation_config": WITH_LOGITS}, "output_logits must be False with min_label"),
        ({"class_labels": "good", "generation_config": THREE_EACH}, "num_return_sequences=3"),
        ({"class_labels": "good", "streamer": TextStreamer(None)}, "streamer="),
        ({"class_labels": "good", "latents": torch.zeros(1, 4)}, "takes one of"),
        ({"class_labels": ["good", "bad"], "num_samples": 3}, "must be one, or one for each of 3 samples, got 2"),
        ({"class_labels": "good", "num_samples": 0}, "num_samples must be at least 1, got 0"),
        ({"class_labels": "ugly"}, "got 'ugly'"),
    ],
)
def test_impossible_requests_are_errors(model, options, message):
    with pytest.raises(ValueError, match=message):
        model.generate(**{"min_label_probability": 0.5, **options})


@pytest.mark.parametrize("given", ["argument", "configuration"])
def test_a_dictionary_tells_what_rejection_cost(model, given):
    if given == "argument":
        options = WRITING | {"return_dict_in_generate": True}
    else:
        options = {"generation_config": GenerationConfig(**WRITING, return_dict_in_generate=True)}
    asked = {"class_labels": ["good", "bad"] * 4, "min_label_probability": 0.5}
    output = model.generate(**asked, generator=seeded(), **options)
    assert torch.equal(output.sequences, model.generate(**asked, generator=seeded(), **WRITING))
    requested = output.symbol_probabilities.gather(1, torch.tensor([0, 1] * 4)[:, None])[:, 0]
    assert torch.equal(output.is_accepted, requested >= 0.5)
    assert 8 <= output.num_candidates.sum() <= output.num_drawn
    assert output.acceptance_rate == output.is_accepted.sum() / output.num_candidates.sum()


def test_resampled_rows_keep_their_context(monkeypatch):
    torch.manual_seed(0)
    model = LDEBMModel(LDEBMConfig(**SIZES, context_size=6, context_hidden_size=5, context_turns=2)).eval()
    turns = torch.tensor([[[2, 5, 3]], [[2, 6, 3]], [[2, 7, 3]], [[2, 8, 3]]])
    seen = []

    def infer_symbols(token_ids, lengths, context_input_ids):
        seen.append(context_input_ids[:, 0, 1].tolist())
        good = (context_input_ids[:, 0, 1] % 2 == 0) | torch.tensor(len(seen) > 1)
        good = good.float()
        return torch.stack([good, 1 - good], dim=1)

    monkeypatch.setattr(model, "infer_symbols", infer_symbols)
    model.generate(class_labels="good", context_input_ids=turns, min_label_probability=0.5, **WRITING)
    assert seen[0][:4] == [5, 6, 7, 8], "first one candidate for each row"
    assert set(seen[1]) == {5, 7} and len(seen) == 2
    with pytest.raises(ValueError, match="one for each of 4 samples, got 3"):
        model.generate(class_labels=["good"] * 3, context_input_ids=turns, min_label_probability=0.5)


def test_texts_of_subwords_are_read_as_requested_in_their_strings_too(monkeypatch):
    """Of whole words, which tokenise as they were written; pieces of words may be joined to other pieces."""
    words = "soup cold warm nice rain"
    tokenizer = build_subword_tokenizer([words, words.upper()] * 2, 400)
    torch.manual_seed(0)
    model = LDEBMModel(LDEBMConfig(**SIZES | {"vocab_size": len(tokenizer)})).eval()
    monkeypatch.setattr(model, "infer_symbols", reading(3 / 7))
    pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    is_whole = [piece.strip("▁").lower() in words.split() and piece.startswith("▁") for piece in pieces]
    others = [token for token in range(len(tokenizer)) if not is_whole[token] and token != tokenizer.eos_token_id]
    requested = ["good", "bad"] * 20
    options = {"class_labels": requested, "suppress_tokens": others, **WRITING}
    free = model.generate(**options, generator=torch.Generator().manual_seed(0))
    assert model.infer_symbols(free).argmax(1).tolist() != [0, 1] * 20, "nothing would be rejected"
    ids = model.generate(**options, min_label_probability=0.8, generator=torch.Generator().manual_seed(0))
    assert model.infer_symbols(ids).argmax(1).tolist() == [0, 1] * 20
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
    assert {word.lower() for text in texts for word in text.split()} <= set(words.split())
    assert [one["label"] for one in model.classify(texts, tokenizer)] == requested


def test_texts_with_a_beginning_are_read_without_it_as_an_argument(model, monkeypatch):
    monkeypatch.setattr(model, "infer_symbols", reading(1))  # takes no beginning
    beginning = torch.tensor([[2, 5, 6]])
    options = {"class_labels": [0, 1], "decoder_input_ids": beginning, "min_label_probability": 0.1, **WRITING}
    texts = model.generate(generator=seeded(), **options)
    assert texts[:, :3].tolist() == beginning.tolist() * 2


def test_no_more_rejected_candidates_are_kept_than_texts_are_missing():
    requested = RequestedTexts(range(3), min_label_probability=0.5)
    for probability in (0.1, 0.4, 0.2, 0.3, 0.9, 0.25):
        requested.examine(SimpleNamespace(probability=probability))
    assert requested.num_missing == 2
    assert [one.probability for one in requested.best_rejected] == [0.4, 0.3]
