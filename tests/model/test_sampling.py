"""`sample_latents`: trajectories, guidance, and bad arguments."""

import pytest
import torch
from tiny_models import DIFFUSION_PRESETS, LATENT, seeded, tiny_model

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
    """0 ignores the symbol exactly; the larger the scale (in units of 1/τ_0), the likelier the symbol."""
    model = tiny_model(preset, energy_spectral_norm=False, langevin_steps=20)
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
        ({"class_labels": []}, "num_samples must be at least 1, got 0"),
        ({"num_samples": 3, "class_labels": [0, 1]}, "class_labels must be one, or one for each of 3 samples, got 2"),
        ({"num_langevin_steps": -1}, "num_langevin_steps must be at least 0, got -1"),
    ],
)
def test_impossible_samples_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny_model().sample_latents(**arguments)
