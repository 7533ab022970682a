"""`sample_latents`: trajectories, guidance, and bad arguments."""

import logging

import pytest
import torch
from tiny_models import DIFFUSION_PRESETS, LATENT, seeded, tiny_model

from ldebm_hf import LDEBMPipeline, build_tokenizer
from ldebm_hf.files.writing import write_samples
from ldebm_hf.model.sampling import one_warning_of_chains

LEVELS = 6


@pytest.mark.parametrize("preset", DIFFUSION_PRESETS)
def test_trajectory_starts_at_noise_and_ends_at_the_latents(preset):
    model = tiny_model(preset)
    output = model.sample_latents(5, class_labels=0, generator=seeded(), return_trajectory=True)
    assert output.trajectory.shape == (LEVELS + 1, 5, LATENT)
    assert torch.equal(output.trajectory[-1], output.latents)
    assert torch.equal(output.trajectory[0], torch.randn(5, LATENT, generator=seeded()))
    assert torch.equal(model.sample_latents(5, class_labels=0, generator=seeded()), output.latents)
    shorter = model.sample_latents(5, class_labels=0, generator=seeded(), num_langevin_steps=1)
    assert not torch.equal(shorter, output.latents)


@pytest.mark.parametrize("preset", DIFFUSION_PRESETS)
@torch.no_grad()
def test_guidance_moves_the_symbols(preset):
    """
    0 ignores the symbol exactly; the larger the scale (in units of 1/τ_0), the likelier the symbol, chain by chain if
    all have the same noise.
    """
    model = tiny_model(preset, energy_spectral_norm=False, langevin_steps=20, guided_steps="fixed")
    model.prior.energy.head.weight.mul_(10)
    unit = 1 / model.prior.levels.temperature[0].item()
    unguided = model.sample_latents(200, generator=seeded())
    log_probability = []
    for scale in (0.0, unit, 10 * unit):
        latents = model.sample_latents(200, class_labels="bad", guidance_scale=scale, generator=seeded())
        assert torch.equal(latents, unguided) == (scale == 0)
        log_probability.append(model.prior.symbol_logits(latents).log_softmax(-1)[:, 1])
    none, default, strong = log_probability
    assert (default > none).float().mean() > 0.9 and (strong > default).float().mean() > 0.9
    assert strong.mean() > none.mean() + 0.2


def test_default_guidance_is_the_configurations():
    plain, guided = tiny_model(), tiny_model(label_guidance=5.0)
    given = plain.sample_latents(2, class_labels=1, guidance_scale=5.0, generator=seeded())
    assert torch.equal(guided.sample_latents(2, class_labels=1, generator=seeded()), given)
    assert not torch.equal(plain.sample_latents(2, class_labels=1, generator=seeded()), given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 0}, "num_samples must be at least 1, got 0"),
        ({"class_labels": []}, "class_labels must name at least one symbol, got none"),
        ({"num_samples": 3, "class_labels": [0, 1]}, "class_labels must be one, or one for each of 3 samples, got 2"),
        ({"num_langevin_steps": -1}, "num_langevin_steps must be at least 0, got -1"),
    ],
)
def test_impossible_samples_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny_model().sample_latents(**arguments)


def test_diagnostics_have_one_row_for_each_level_and_leave_the_samples_as_they_are():
    for preset in ("consistent", "published"):
        model = tiny_model(preset)
        plain = model.sample_latents(5, class_labels=0, generator=seeded())
        output = model.sample_latents(5, class_labels=0, generator=seeded(), return_diagnostics=True)
        assert torch.equal(output.latents, plain) and output.trajectory is None
        chains = output.diagnostics
        for values in (chains.acceptance_rate, chains.distance_moved, chains.energy_drift):
            assert values.shape == (LEVELS, 5)
        assert chains.acceptance_rate.isnan().all() == (preset == "published")
        both = model.sample_latents(
            5, return_trajectory=True, return_diagnostics=True, generator=seeded(), batch_size=2
        )
        assert both.trajectory.shape == (LEVELS + 1, 5, LATENT) and both.diagnostics.energy_drift.shape == (LEVELS, 5)
    plain = tiny_model().sample_latents(2, return_trajectory=True)
    assert plain.diagnostics is None


def test_level_of_a_row_of_diagnostics():
    """At a level without steps chains do not move; a single step moves them. Rows are levels, the cleanest first."""
    model = tiny_model()
    moved = []
    sample_level = type(model.prior).sample_level

    def only_level_two(self, z_next, level, *arguments, **options):
        labels, scale, _, *others = arguments
        return sample_level(self, z_next, level, labels, scale, 3 * int(level[0] == 2), *others, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model.prior), "sample_level", only_level_two)
        output = model.sample_latents(4, class_labels=0, generator=seeded(), return_diagnostics=True)
    moved = (output.diagnostics.distance_moved > 0).any(-1).tolist()
    assert moved == [False, False, True, False, False, False]


def test_chains_without_a_prior_of_levels_have_no_diagnostics():
    with pytest.raises(ValueError, match="prior='gaussian' has no chains, got return_diagnostics=True"):
        tiny_model("vae").sample_latents(2, return_diagnostics=True)


def steep_model():
    """A model whose energies are steep enough that two guided steps do not do."""
    model = tiny_model(energy_spectral_norm=False)
    model.prior.energy.head.weight.data.mul_(20)
    return model


def warned(caplog) -> list[str]:
    return [record.message for record in caplog.records if "did not settle" in record.message]


def test_one_call_warns_once_whatever_its_batches_and_attempts(caplog, monkeypatch, tmp_path):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("ldebm_hf"), "propagate", True)
    tokenizer = build_tokenizer([" ".join("abcdefgh")], max_length=12)
    model = steep_model()
    assert len(tokenizer) == model.config.vocab_size
    pipe = LDEBMPipeline(model, tokenizer, device="cpu")
    chains = {"guidance_scale": 8.0, "num_langevin_steps": 2, "generator": 0, "max_new_tokens": 2}
    for call in (
        lambda: pipe.write(1, 96, batch_size=32, **chains),
        lambda: pipe(["a", "b c"], class_labels=1, num_return_sequences=40, **chains),
        lambda: model.generate(class_labels=[1] * 60, min_label_probability=0.99, **chains),
        lambda: write_samples(
            model, tokenizer, tmp_path / "a.jsonl", 90, class_labels=1, batch_size=30, guidance_scale=8.0,
            num_langevin_steps=2, show_progress=False,
        ),
    ):  # fmt: skip
        caplog.clear()
        call()
        assert len(warned(caplog)) == 1
    caplog.clear()
    with pytest.raises(ValueError, match="some error"), one_warning_of_chains():
        for _ in range(3):
            model.sample_latents(40, class_labels=1, guidance_scale=8.0, num_langevin_steps=2, generator=0)
        raise ValueError("some error")
    assert len(warned(caplog)) == 1, "also where the call ends in an error"


def test_one_warning_says_that_chains_did_not_settle_and_what_to_change(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("ldebm_hf"), "propagate", True)
    model = steep_model()
    options = {"class_labels": 1, "guidance_scale": 8.0, "generator": seeded()}
    model.generate(num_samples=100, num_langevin_steps=2, **options)
    (record,) = [record for record in caplog.records if "did not settle" in record.message]
    assert "level 5" in record.message and "larger num_langevin_steps" in record.message
    caplog.clear()
    model.sample_latents(100, num_langevin_steps=200, **options)
    model.sample_latents(100, num_langevin_steps=2, generator=seeded())  # not examined, as it does not adapt
    assert not [record for record in caplog.records if "did not settle" in record.message]
