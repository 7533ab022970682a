"""Rejection sampling of texts in which the model reads the requested symbol."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from tiny_models import seeded
from transformers import GenerationConfig, TextStreamer

from ldebm_hf import LDEBMConfig, LDEBMModel, build_subword_tokenizer
from ldebm_hf.model.rejection import MAX_ATTEMPTS, generate_accepted, lengths_to_first_end

SIZES = {"vocab_size": 14, "id2label": {0: "good", 1: "bad"}, "embedding_size": 8, "encoder_hidden_size": 8,
         "decoder_hidden_size": 8, "latent_size": 4, "energy_hidden_size": 8, "energy_num_blocks": 1,
         "langevin_steps": 2}  # fmt: skip
THREE_EACH = GenerationConfig(do_sample=True, num_return_sequences=3)
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


def test_rows_that_are_never_accepted_keep_their_best_attempt_and_are_counted(model, monkeypatch, caplog):
    attempts = []

    def infer_symbols(token_ids: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        attempts.append(token_ids)
        good = torch.full((len(token_ids),), 0.5 if len(attempts) == 3 else 0.1)
        return torch.stack([good, 1 - good], dim=1)

    monkeypatch.setattr(model, "infer_symbols", infer_symbols)
    monkeypatch.setattr("ldebm_hf.model.rejection.logger.warning", lambda message: caplog.records.append(message))
    texts = model.generate(class_labels=["good"] * 5, min_label_probability=0.6, **WRITING)
    assert len(attempts) == MAX_ATTEMPTS
    length = min(texts.shape[1], attempts[2].shape[1])
    torch.testing.assert_close(texts[:, :length], attempts[2][:, :length])
    assert caplog.records == [
        "5 of 5 texts do not reach min_label_probability=0.6 in 20 attempts; their best versions are returned"
    ]


def test_sampling_stops_once_every_text_is_accepted(model, monkeypatch):
    """Rows that are accepted are not sampled again, and a tie between two versions keeps the first."""
    asked, warnings = [], []

    def infer_symbols(token_ids, lengths):
        asked.append(token_ids)
        good = torch.tensor([[0.9, 0.2, 0.2, 0.9], [0.2, 0.8], [0.95]][len(asked) - 1])
        return torch.stack([good, 1 - good], dim=1)

    monkeypatch.setattr(model, "infer_symbols", infer_symbols)
    monkeypatch.setattr("ldebm_hf.model.rejection.logger.warning", warnings.append)
    accepted = generate_accepted(model, 0.8, ["good"] * 4, generator=seeded(), **WRITING)
    assert [len(token_ids) for token_ids in asked] == [4, 2, 1] and warnings == []
    torch.testing.assert_close(accepted.probabilities[:, 0], torch.tensor([0.9, 0.95, 0.8, 0.9]))
    for row, (attempt, number) in enumerate([(0, 0), (2, 0), (1, 1), (0, 3)]):
        expected = asked[attempt][number]
        length = lengths_to_first_end(expected[None], torch.tensor([3]))[0]
        assert torch.equal(accepted.token_ids[row, :length], expected[:length])
        assert (accepted.token_ids[row, length:] == model.config.pad_token_id).all()


def test_of_equally_good_versions_the_first_is_kept(model, monkeypatch):
    asked = []

    def infer_symbols(token_ids, lengths):
        asked.append(token_ids)
        return torch.full((len(token_ids), 2), 0.5)

    monkeypatch.setattr(model, "infer_symbols", infer_symbols)
    accepted = generate_accepted(model, 0.8, ["good"] * 6, generator=seeded(), **WRITING)
    lengths = lengths_to_first_end(asked[0], torch.tensor([3]))
    for text, first, length in zip(accepted.token_ids, asked[0], lengths, strict=True):
        assert torch.equal(text[:length], first[:length])


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
    accepted = generate_accepted(model, 0, ["good"] * 3, generator=seeded(), **WRITING)
    assert [len(token_ids) for token_ids in asked] == [3] and accepted.probabilities.tolist() == [[0, 0]] * 3
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
        ({"class_labels": "good", "return_dict_in_generate": True}, "return_dict_in_generate=True"),
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


def test_resampled_rows_keep_their_context(monkeypatch):
    torch.manual_seed(0)
    model = LDEBMModel(LDEBMConfig(**SIZES, context_size=6, context_hidden_size=5, context_turns=2)).eval()
    turns = torch.tensor([[[2, 5, 3]], [[2, 6, 3]], [[2, 7, 3]], [[2, 8, 3]]])
    seen = []

    def infer_symbols(token_ids, lengths, context_input_ids):
        seen.append(context_input_ids[:, 0, 1].tolist())
        good = (context_input_ids[:, 0, 1] % 2 == 0).float() if len(seen) == 1 else torch.ones(len(token_ids))
        return torch.stack([good, 1 - good], dim=1)

    monkeypatch.setattr(model, "infer_symbols", infer_symbols)
    model.generate(class_labels="good", context_input_ids=turns, min_label_probability=0.5, **WRITING)
    assert seen == [[5, 6, 7, 8], [5, 7]]
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
