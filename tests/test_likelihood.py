"""The importance-weighted bound against log p(x) by quadrature, by enumeration, and exactly."""

import pytest
import torch
from tiny_models import seeded, tiny_model

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.likelihood import importance_weighted_bound

TEXTS = {"input_ids": torch.tensor([[2, 5, 6, 7, 3], [2, 8, 9, 3, 0]])}
NUM_SAMPLES = 4000


def point_model(preset, **settings) -> LDEBMModel:
    torch.manual_seed(0)
    sizes = {"modality": "point", "latent_size": 1, "num_symbols": 3, "point_hidden_size": 8, "point_scale": 2.0}
    return LDEBMModel(LDEBMConfig.from_preset(preset, **{**sizes, **settings})).eval()


def standard_error(model, inputs) -> torch.Tensor:
    """Of the bound over repetitions, `(batch_size,)`, estimated from 20 of a twentieth of the samples each."""
    seeds = range(100, 120)
    bounds = [
        importance_weighted_bound(model, num_samples=NUM_SAMPLES // 20, generator=seeded(s), **inputs) for s in seeds
    ]
    return torch.stack(bounds).std(0) / 20**0.5


@pytest.mark.parametrize("preset", ["vae", "gm_vae"])
def test_bound_reaches_the_integral_over_the_latent(preset):
    """The sum over 4,001 latents in -10..10 is exact to float32; the estimate to 5 standard errors."""
    model, points = point_model(preset), 3 * torch.randn(6, 2, generator=seeded())
    grid = torch.linspace(-10, 10, 4001)[:, None]
    log_step = (grid[1, 0] - grid[0, 0]).log()
    with torch.no_grad():
        exact = torch.stack([
            (model.conditional_log_likelihood(grid, points=point.expand(len(grid), 2)) + model.prior.log_prob(grid))
            .logsumexp(0) + log_step
            for point in points
        ])  # fmt: skip
    estimate = importance_weighted_bound(model, num_samples=NUM_SAMPLES, generator=seeded(), points=points)
    assert ((estimate - exact).abs() < 5 * standard_error(model, {"points": points}) + 1e-4).all()


def test_density_of_points_is_in_their_own_units():
    """It integrates to 1 over the plane; the sum on a grid of 0.25 over -12..12 is exact to 1e-3."""
    model = point_model("discrete_vae")
    axis = torch.arange(-12, 12, 0.25)
    points = torch.cartesian_prod(axis, axis)
    codes = torch.eye(3)
    with torch.no_grad():
        joint = [model.conditional_log_likelihood(code.expand(len(points), 3), points=points) for code in codes]
    assert (torch.stack(joint).exp().mean(0).sum() * 0.25**2).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("preset", ["discrete_vae", "di_vae"])
def test_bound_reaches_the_sum_over_codes(preset):
    model = tiny_model(preset)
    codes = torch.eye(3)
    with torch.no_grad():
        exact = torch.stack([model.conditional_log_likelihood(code.expand(2, 3), **TEXTS) for code in codes])
    exact = exact.logsumexp(0) - torch.tensor(3.0).log()
    estimate = importance_weighted_bound(model, num_samples=NUM_SAMPLES, generator=seeded(), **TEXTS)
    assert ((estimate - exact).abs() < 5 * standard_error(model, TEXTS) + 1e-4).all()


def test_one_sample_is_the_evidence_lower_bound():
    """Its mean over repetitions is minus reconstruction, cross-entropy and entropy of a Gaussian prior's objective."""
    model = tiny_model("vae")
    bounds = torch.stack([
        importance_weighted_bound(model, num_samples=1, generator=seeded(s), **TEXTS).mean() for s in range(400)
    ])  # fmt: skip
    with torch.no_grad():
        losses = torch.stack([model(**TEXTS, generator=seeded(1000 + s)).loss for s in range(400)])
    error = ((bounds.var() + losses.var()) / 400).sqrt()
    assert (bounds.mean() + losses.mean()).abs() < 5 * error


def test_more_samples_never_lower_the_expected_bound():
    model = tiny_model("semi_vae")
    few, many = (
        torch.stack([
            importance_weighted_bound(model, num_samples=n, generator=seeded(s), **TEXTS).mean() for s in range(60)
        ])
        for n in (1, 30)
    )  # fmt: skip
    assert many.mean() > few.mean() - 5 * ((few.var() + many.var()) / 60).sqrt()


def test_without_a_latent_it_is_the_likelihood():
    model = tiny_model("rnn_lm")
    with torch.no_grad():
        expected = -model(**TEXTS).loss
    bound = importance_weighted_bound(model, num_samples=1, **TEXTS)
    assert bound.shape == (2,) and bound.mean().item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("preset", ["consistent", "svebm"])
def test_energy_based_priors_have_no_density_in_closed_form(preset):
    with pytest.raises(ValueError, match='prior="diffusion" has no normalised density'):
        importance_weighted_bound(tiny_model(preset), **TEXTS)


def test_number_of_samples_must_be_positive():
    with pytest.raises(ValueError, match="num_samples must be at least 1, got 0"):
        importance_weighted_bound(tiny_model("vae"), num_samples=0, **TEXTS)
