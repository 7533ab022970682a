"""Many texts in one request: rows that have ended leave the batch, and latents are drawn in batches."""

import pytest
import torch
from tiny_models import END, LATENT, START, VOCABULARY, OnlyWord, StopAtLength, seeded, tiny_model
from transformers.utils.logging import enable_progress_bar

from ldebm_hf import LDEBMModel

MANY = torch.randn(40, LATENT, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model() -> LDEBMModel:
    return tiny_model()


# ---------------------------------------------------------------------------------------------- rows that have ended


@pytest.fixture
def projected_rows(model, monkeypatch):
    """The number of rows of every call of the output projection."""
    counts, project = [], model.decoder.logits
    monkeypatch.setattr(model.decoder, "logits", lambda hidden: counts.append(len(hidden)) or project(hidden))
    return counts


GREEDY_OPTIONS = [
    {},
    {"repetition_penalty": 2.0},
    {"no_repeat_ngram_size": 2, "min_new_tokens": 2},
    {"eos_token_id": [END, 7]},
    {"pad_token_id": 5},
    {"num_return_sequences": 1, "decoder_input_ids": torch.tensor([[START, 5, 6]]).expand(40, -1)},
]


@pytest.mark.parametrize("options", GREEDY_OPTIONS)
def test_ended_rows_are_not_computed_and_nobody_notices(model, projected_rows, options):
    dropped = model.generate(latents=MANY, max_new_tokens=12, **options)
    rows_computed = projected_rows.copy()
    whole = model.generate(latents=MANY, max_new_tokens=12, return_dict_in_generate=True, **options)
    assert torch.equal(dropped, whole.sequences)
    prompt_length = dropped.shape[1] - len(rows_computed)
    ends = torch.isin(dropped[:, prompt_length:], torch.tensor(options.get("eos_token_id", END)))
    unended = (ends.cumsum(1) - ends.int()) == 0  # up to and with the end
    assert rows_computed == unended.sum(0).tolist()
    assert rows_computed[0] == 40 and rows_computed[-1] < 40
    assert set(projected_rows[len(rows_computed) :]) == {40}


def test_sampled_rows_leave_too(model, projected_rows):
    options = {"max_new_tokens": 30, "do_sample": True, "top_p": 0.9, "suppress_tokens": [model.config.pad_token_id]}
    texts = model.generate(latents=MANY, generator=seeded(), **options)
    lengths = (texts != model.config.pad_token_id).sum(1) - 1
    assert sum(projected_rows) == lengths.sum() < 40 * len(projected_rows)
    assert torch.equal(model.generate(latents=MANY, generator=seeded(), **options), texts)


def test_dropping_leaves_the_distribution_of_sampled_tokens_as_it_is(model):
    """Mean length and share of every word, over 4,000 texts, against transformers' own loop."""
    latents, shares, lengths = MANY.repeat(100, 1), [], []
    for seed, whole in enumerate((False, True)):
        texts = model.generate(
            latents=latents, max_new_tokens=10, do_sample=True, return_dict_in_generate=whole, generator=seeded(seed)
        )
        texts = texts.sequences if whole else texts
        lengths.append((texts != model.config.pad_token_id).sum(1).float())
        shares.append(torch.bincount(texts.flatten(), minlength=VOCABULARY) / texts.numel())
    error = (lengths[0].var() / 4000 + lengths[1].var() / 4000).sqrt()
    assert (lengths[0].mean() - lengths[1].mean()).abs() < 4 * error
    assert (shares[0] - shares[1]).abs().max() < 0.01


@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 2},
        {"logits_processor": [OnlyWord()], "max_new_tokens": 3},
        {"stopping_criteria": [StopAtLength()]},
        {"prefix_allowed_tokens_fn": lambda row, tokens: [row % VOCABULARY], "max_new_tokens": 3},
        {"return_dict_in_generate": True, "output_scores": True},
    ],
)
def test_rows_stay_where_all_of_them_are_seen(model, projected_rows, options):
    model.generate(latents=MANY, **{"max_new_tokens": 8, **options})
    assert set(projected_rows) == {40 * options.get("num_beams", 1)}


# --------------------------------------------------------------------------------------------------- drawn in batches


def test_big_requests_are_drawn_in_batches(model, monkeypatch, capsys):
    enable_progress_bar()  # training, which may have run before, switches transformers' bars off
    sizes, sample = [], model.prior.sample
    monkeypatch.setattr(model.prior, "sample", lambda n, **rest: sizes.append(n) or sample(n, **rest))
    symbols = torch.arange(7) % 3
    generator, batches = seeded(), seeded()
    latents = model.sample_latents(class_labels=symbols, batch_size=3, generator=generator)
    expected = [model.sample_latents(class_labels=part, generator=batches) for part in symbols.split(3)]
    assert sizes[:3] == [3, 3, 1] and torch.equal(latents, torch.cat(expected))
    output = model.sample_latents(
        class_labels=symbols, batch_size=3, generator=seeded(), return_trajectory=True, show_progress=True
    )
    assert torch.equal(output.latents, latents) and output.trajectory.shape == (7, 7, LATENT)
    assert "7/7" in capsys.readouterr().err
    assert torch.equal(
        model.sample_latents(7, batch_size=9, generator=seeded()), model.sample_latents(7, generator=seeded())
    )
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        model.sample_latents(7, batch_size=0)
