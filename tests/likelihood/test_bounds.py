"""The importance-weighted bound against log p(x) by quadrature, by enumeration, and exactly."""

from dataclasses import replace

import pytest
import torch
from known_priors import QuadraticEnergy, exact_variance
from tiny_models import seeded, tiny_model

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.likelihood import bounds
from ldebm_hf.likelihood.bounds import LikelihoodSettings, estimate_log_likelihood, importance_weighted_bound
from ldebm_hf.likelihood.importance_weights import temper
from ldebm_hf.likelihood.latent_density import prepare_annealing

TEXTS = {"input_ids": torch.tensor([[2, 5, 6, 7, 3], [2, 8, 9, 3, 0]])}
NUM_SAMPLES = 4000


def point_model(preset, **settings) -> LDEBMModel:
    torch.manual_seed(0)
    sizes = {"modality": "point", "latent_size": 1, "num_symbols": 3, "point_hidden_size": 8, "point_scale": 2.0}
    return LDEBMModel(LDEBMConfig.from_preset(preset, **{**sizes, **settings})).eval()


def standard_error(model, inputs) -> torch.Tensor:
    """Of the bound over repetitions, `(batch_size,)`, estimated from 20 of a twentieth of the samples each."""
    many = {name: value.repeat(20, 1) for name, value in inputs.items()}
    bounds = importance_weighted_bound(model, num_samples=NUM_SAMPLES // 20, generator=seeded(100), **many)
    return bounds.view(20, -1).std(0) / 20**0.5


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


def repeated(times: int) -> dict[str, torch.Tensor]:
    return {"input_ids": TEXTS["input_ids"].repeat(times, 1)}


def test_one_sample_is_the_evidence_lower_bound():
    """Its mean over repetitions is minus reconstruction, cross-entropy and entropy of a Gaussian prior's objective."""
    model = tiny_model("vae")
    bounds = importance_weighted_bound(model, num_samples=1, generator=seeded(), **repeated(400)).view(400, 2).mean(-1)
    with torch.no_grad():
        losses = torch.stack([model(**repeated(20), generator=seeded(1 + s)).loss for s in range(20)])
    error = (bounds.var() / 400 + losses.var() / 20).sqrt()
    assert (bounds.mean() + losses.mean()).abs() < 5 * error


def test_more_samples_never_lower_the_expected_bound():
    model = tiny_model("semi_vae")
    few, many = (
        importance_weighted_bound(model, num_samples=n, generator=seeded(), **repeated(60)).view(60, 2).mean(-1)
        for n in (1, 30)
    )
    assert many.mean() > few.mean() - 5 * ((few.var() + many.var()) / 60).sqrt()


def test_without_a_latent_it_is_the_likelihood():
    model = tiny_model("rnn_lm")
    with torch.no_grad():
        expected = -model(**TEXTS).loss
    bound = importance_weighted_bound(model, num_samples=1, **TEXTS)
    assert bound.shape == (2,) and bound.mean().item() == pytest.approx(expected.item(), rel=1e-6)


# ----------------------------------------------------------------------------------------------- a fitted proposal


def linear_gaussian_model(preset, latent_size=3, **settings) -> LDEBMModel:
    """p(x|z) = N(A z + b, I) in float64, and an encoder that is wrong on purpose: N(0, I) for every point."""
    sizes = {"energy_hidden_size": 8, "point_scale": 1.0, "num_symbols": 1}
    model = point_model(preset, latent_size=latent_size, **{**sizes, **settings}).double()
    model.decoder.network = torch.nn.Sequential(torch.nn.Linear(latent_size, 2)).double()
    torch.nn.init.normal_(model.decoder.network[0].weight, std=1.5, generator=seeded(4))
    for head in (model.encoder.heads.mean, model.encoder.heads.log_variance):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    return model


def exact_log_likelihood(model, points, prior_variance=1.0) -> torch.Tensor:
    weight, bias = (parameter.detach() for parameter in model.decoder.network.parameters())
    covariance = prior_variance * weight @ weight.T + torch.eye(2, dtype=torch.float64)
    return torch.distributions.MultivariateNormal(bias, covariance).log_prob(points)


POINTS = 3 * torch.randn(5, 2, generator=seeded(5), dtype=torch.float64)


@pytest.mark.parametrize("num_fitting_rounds", [0, 1, 3])
def test_linear_gaussian_model_within_the_reported_error(num_fitting_rounds):
    model = linear_gaussian_model("vae")
    settings = LikelihoodSettings(num_posterior_samples=1000, num_fitting_rounds=num_fitting_rounds)
    estimate = estimate_log_likelihood(model, settings, points=POINTS, generator=seeded())
    assert torch.equal(estimate.lower, estimate.upper)
    exact = exact_log_likelihood(model, POINTS)
    assert estimate.lower_error[estimate.pareto_k <= 0.7].max() < 0.2
    assert (estimate.pareto_k <= 0.7).all() or num_fitting_rounds == 0
    assert ((estimate.lower - exact).abs() < 5 * estimate.lower_error).all()


def test_fitted_proposals_raise_the_effective_samples_and_keep_a_lower_bound():
    """Mean over 40 repetitions, with 60 samples each."""
    model, sizes, bounds = linear_gaussian_model("vae"), [], []
    exact = exact_log_likelihood(model, POINTS).mean()
    for num_fitting_rounds in (0, 2):
        settings = LikelihoodSettings(num_posterior_samples=60, num_fitting_rounds=num_fitting_rounds)
        estimates = [estimate_log_likelihood(model, settings, points=POINTS, generator=seeded(s)) for s in range(40)]
        sizes.append(torch.stack([estimate.effective_samples for estimate in estimates]).mean())
        bounds.append(torch.stack([estimate.lower.mean() for estimate in estimates]))
        assert bounds[-1].mean() < exact + 4 * bounds[-1].std() / 40**0.5
    assert sizes[1] > 2 * sizes[0]
    assert exact - bounds[1].mean() < 0.75 * (exact - bounds[0].mean())


def test_proposals_are_wider_than_what_they_are_fitted_to(monkeypatch):
    """First the encoder's q(z|x), 1.3 times as wide; then nine tenths of a Gaussian 1.1 times as wide as p(z|x)."""
    model, drawn, size = linear_gaussian_model("vae", latent_size=1), [], 20_000
    likelihood = model.conditional_log_likelihood
    monkeypatch.setattr(
        model,
        "conditional_log_likelihood",
        lambda latents, **inputs: drawn.append(latents) or likelihood(latents, **inputs),
    )
    settings = LikelihoodSettings(num_posterior_samples=size, num_fitting_rounds=1)
    estimate_log_likelihood(model, settings, points=POINTS[:1], generator=seeded())
    latents = torch.cat(drawn)[:, 0]
    first, fitted, defensive = latents.split([size // 2, size * 9 // 10, size // 10])
    weight, bias = (parameter.detach() for parameter in model.decoder.network.parameters())
    precision = 1 + weight.square().sum()
    mean = (weight[:, 0] * (POINTS[0] - bias)).sum() / precision
    # The fit has some thousand effective samples, so that 5 standard errors of a deviation are about a tenth.
    assert first.std().item() == pytest.approx(1.3, rel=0.03)
    assert fitted.std().item() == pytest.approx(1.1 / precision.item() ** 0.5, rel=0.04)
    assert fitted.mean().item() == pytest.approx(mean.item(), abs=0.1 / precision.item() ** 0.5)
    assert defensive.std().item() == pytest.approx(1.3, rel=0.1)


def test_codes_keep_the_encoders_proposal():
    model = tiny_model("semi_vae")
    settings = LikelihoodSettings(num_posterior_samples=NUM_SAMPLES, num_fitting_rounds=1)
    fitted = estimate_log_likelihood(model, settings, generator=seeded(), **TEXTS)
    plain = importance_weighted_bound(model, num_samples=NUM_SAMPLES, generator=seeded(1), **TEXTS)
    assert ((fitted.lower - plain).abs() < 5 * (fitted.lower_error + standard_error(model, TEXTS)) + 1e-4).all()


def test_symbols_share_the_likelihood_among_them():
    """Σ_y p(x, y) = p(x), exactly so for the same samples."""
    model = tiny_model("gm_vae")
    settings = LikelihoodSettings(num_posterior_samples=50, num_fitting_rounds=0)

    def bound(**labels):
        return estimate_log_likelihood(model, settings, generator=seeded(), **TEXTS, **labels).lower

    joint = torch.stack([bound(class_labels=torch.full((2,), y)) for y in range(3)])
    torch.testing.assert_close(joint.logsumexp(0), bound())
    assert (joint.std(0) > 0).all()


def test_every_example_has_its_own_symbol():
    model = tiny_model("gm_vae")
    settings = LikelihoodSettings(num_posterior_samples=50, num_fitting_rounds=0)

    def bound(labels):
        return estimate_log_likelihood(model, settings, generator=seeded(), class_labels=labels, **TEXTS).lower

    of_symbol = [bound(torch.full((2,), y)) for y in range(3)]
    for labels in ([0, 2], [1, 0], [2, 1]):
        torch.testing.assert_close(
            bound(torch.tensor(labels)), torch.stack([of_symbol[y][i] for i, y in enumerate(labels)])
        )

@pytest.mark.parametrize("size", [2, 10, 40])
def test_errors_are_honest_or_the_example_is_marked(size):
    """100 points of x = A z + ε in as many dimensions: at most 8 % are trusted and off by more than two errors."""
    model = linear_gaussian_model("vae", latent_size=size, point_size=size)
    model.decoder.network = torch.nn.Sequential(torch.nn.Linear(size, size)).double()
    torch.nn.init.normal_(model.decoder.network[0].weight, std=2 / size, generator=seeded(4))
    weight, bias = (parameter.detach() for parameter in model.decoder.network.parameters())
    covariance = weight @ weight.T + torch.eye(size, dtype=torch.float64)
    density = torch.distributions.MultivariateNormal(bias, covariance)
    noise = torch.randn(100, size, generator=seeded(6), dtype=torch.float64)
    points = bias + noise @ torch.linalg.cholesky(covariance).T
    estimate = estimate_log_likelihood(model, points=points, generator=seeded(7))
    is_off = (estimate.lower - density.log_prob(points)).abs() > 2 * estimate.lower_error
    is_trusted = (estimate.effective_samples >= 10) & (estimate.pareto_k <= 0.7)
    assert (is_off & is_trusted).double().mean() <= 0.08
    assert is_trusted.double().mean() > 0.3


def test_a_mode_that_the_encoder_does_not_know_is_found_by_a_share_of_the_prior():
    """x = 1.5 z² + ε: without it the bound misses log 2 nats and nothing shows it. The sum on a grid is exact."""
    model = linear_gaussian_model("vae", latent_size=2)
    model.decoder.forward = lambda z: torch.stack([1.5 * z[:, 0].square(), z[:, 1]], 1)
    torch.nn.init.constant_(model.encoder.heads.log_variance.bias, -3.0)
    model.encoder.heads.mean.bias.data = torch.tensor([1.4, 0.0], dtype=torch.float64)
    points = torch.tensor([[3.0, 0.0], [3.5, -0.5]], dtype=torch.float64)
    axis = torch.linspace(-6, 6, 601, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        log_joint = torch.stack([
            model.conditional_log_likelihood(grid, points=point.expand(len(grid), 2)) + model.prior.log_prob(grid)
            for point in points
        ])  # fmt: skip
    exact = log_joint.logsumexp(1) + 2 * (axis[1] - axis[0]).log()
    missing, found = (
        estimate_log_likelihood(model, LikelihoodSettings(prior_share=share), points=points, generator=seeded(1))
        for share in (0.0, 0.1)
    )
    torch.testing.assert_close(missing.lower, exact - torch.tensor(2.0).log(), atol=0.1, rtol=0)
    assert (missing.effective_samples > 300).all() and (missing.pareto_k < 0.7).all()
    assert ((found.lower - exact).abs() < 3 * found.lower_error).all() and found.lower_error.max() < 0.2


def test_a_share_of_the_prior_keeps_the_estimate_of_an_easy_posterior():
    model, exact = linear_gaussian_model("vae"), exact_log_likelihood(linear_gaussian_model("vae"), POINTS)
    for rounds in (0, 2):
        settings = LikelihoodSettings(prior_share=0.3, num_fitting_rounds=rounds)
        estimate = estimate_log_likelihood(model, settings, points=POINTS, generator=seeded())
        assert ((estimate.lower - exact).abs() < 4 * estimate.lower_error).all()


@pytest.mark.parametrize(("number", "share"), [(2, 0.5), (3, 0.8)])
def test_the_fewest_samples_of_which_some_are_from_the_prior(number, share):
    settings = LikelihoodSettings(num_posterior_samples=number, num_fitting_rounds=0, prior_share=share)
    estimate = estimate_log_likelihood(tiny_model("vae"), settings, generator=seeded(), **TEXTS)
    assert estimate.lower.isfinite().all()


# ------------------------------------------------------------------------------------------------ the diffusion prior


@pytest.mark.parametrize("preset", ["consistent", "svebm"])
def test_linear_gaussian_model_with_an_energy_based_prior(preset):
    """A quadratic energy makes the prior a Gaussian: log p(x) is known, and both sides must equal it."""
    model = linear_gaussian_model(preset, num_levels=1 if preset == "svebm" else 3)
    model.prior.energy = QuadraticEnergy(0.3)
    settings = LikelihoodSettings(num_posterior_samples=1000, num_annealed_samples=100, num_temperatures=30)
    annealing = prepare_annealing(model.prior, 30, num_chains=500, generator=seeded(1))
    estimate = estimate_log_likelihood(model, settings, annealing=annealing, points=POINTS, generator=seeded())
    exact = exact_log_likelihood(model, POINTS, exact_variance(model.prior))
    error = 5 * (estimate.lower_error + annealing.log_last_tilt_error)
    assert error.max() < 1.5
    assert ((estimate.lower - exact).abs() < error).all()
    noise = 5 * (estimate.upper_error.square().mean() / len(exact)).sqrt() + 5 * annealing.log_last_tilt_error
    assert (estimate.upper - exact).mean() > -noise and (estimate.upper - exact).max() < 1.5


@pytest.mark.parametrize("preset", ["consistent", "published", "svebm"])
def test_texts_under_the_diffusion_prior(preset):
    """Both sides are finite, close for an untrained energy, and reproducible; symbols add up to them."""
    model = tiny_model(preset, energy_temperature="unit")
    settings = LikelihoodSettings(num_posterior_samples=100, num_annealed_samples=30, num_temperatures=8)
    annealing = prepare_annealing(model.prior, 8, num_chains=100, generator=seeded())

    def estimate(seed=0, **labels):
        return estimate_log_likelihood(model, settings, annealing=annealing, generator=seeded(seed), **TEXTS, **labels)

    first, again, other = (estimate(seed) for seed in (0, 0, 1))
    assert torch.equal(first.lower, again.lower) and not torch.equal(first.lower, other.lower)
    assert ((first.upper - first.lower).abs() < 0.5).all() and (first.lower < 0).all()
    joint = torch.stack([estimate(class_labels=torch.full((2,), y)).lower for y in range(3)])
    error = 5 * (first.lower_error + first.upper_error)
    assert ((joint.logsumexp(0) - first.lower).abs() < error).all()


def test_bound_of_the_diffusion_prior_prepares_its_annealing_itself():
    model = tiny_model("svebm")
    bound = importance_weighted_bound(model, num_samples=20, generator=seeded(), **TEXTS)
    assert bound.shape == (2,) and bound.isfinite().all()


def test_memory_budget_does_not_change_the_result():
    """A vocabulary of 12 needs little memory, so the pieces are made small by hand."""
    model, settings = tiny_model("vae"), LikelihoodSettings(num_posterior_samples=60, num_fitting_rounds=1)
    whole = estimate_log_likelihood(model, settings, generator=seeded(), **TEXTS).lower
    model.config.vocab_size = 2**20 // 4
    pieces = estimate_log_likelihood(model, replace(settings, memory_budget=100), generator=seeded(), **TEXTS).lower
    torch.testing.assert_close(pieces, whole, rtol=1e-5, atol=1e-5)


def test_number_of_samples_must_be_positive():
    with pytest.raises(ValueError, match="num_samples must be at least 1, got 0"):
        importance_weighted_bound(tiny_model("vae"), num_samples=0, **TEXTS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_posterior_samples": 0}, "num_posterior_samples must be at least 1, got 0"),
        ({"num_fitting_rounds": -1}, "num_fitting_rounds must be at least 0, got -1"),
        ({"num_annealed_samples": 0}, "num_annealed_samples must be at least 1, got 0"),
        ({"num_temperatures": 0}, "num_temperatures must be at least 1, got 0"),
        ({"prior_share": 0.9}, "prior_share must be between 0 and 0.8, got 0.9"),
        ({"prior_share": -0.1}, "prior_share must be between 0 and 0.8, got -0.1"),
        (
            {"prior_share": 0.5, "num_fitting_rounds": 0, "num_posterior_samples": 1},
            "num_posterior_samples must be at least 2 with prior_share 0.5 \\(one is drawn by the encoder\\), got 1",
        ),
        (
            {"prior_share": 0.8, "num_fitting_rounds": 0, "num_posterior_samples": 2},
            "num_posterior_samples must be at least 3 with prior_share 0.8 \\(one is drawn by the encoder\\), got 2",
        ),
        ({"memory_budget": 0}, "memory_budget must be at least 1, got 0"),
        ({"num_posterior_samples": 49}, "num_posterior_samples must be at least 50, of which half fit"),
    ],
)
def test_settings_out_of_range(values, message):
    with pytest.raises(ValueError, match=message):
        LikelihoodSettings(**values)


def test_bad_arguments():
    model = tiny_model("vae")
    with pytest.raises(ValueError, match="settings must be LikelihoodSettings, got 3"):
        estimate_log_likelihood(model, 3, **TEXTS)
    with pytest.raises(ValueError, match="annealing must be an Annealing, of prepare_annealing, got 3"):
        estimate_log_likelihood(model, annealing=3, **TEXTS)
    with pytest.raises(ValueError, match="no symbols"):
        estimate_log_likelihood(model, class_labels=torch.zeros(2).long(), **TEXTS)
    with pytest.raises(ValueError, match=r"class_labels must have shape \(2,\), got \(3,\)"):
        estimate_log_likelihood(tiny_model("gm_vae"), class_labels=torch.zeros(3).long(), **TEXTS)
    with pytest.raises(ValueError, match="class_labels must be in 0..2 or one of .*; got 3"):
        estimate_log_likelihood(tiny_model("gm_vae"), class_labels=torch.tensor([0, 3]), **TEXTS)
    with pytest.raises(ValueError, match="evaluation mode"):
        importance_weighted_bound(model.train(), **TEXTS)


# ----------------------------------------------------------------------------------------- numbers of samples, pieces


def test_numbers_of_samples_by_default():
    settings = LikelihoodSettings()
    assert (settings.num_posterior_samples, settings.num_fitting_rounds) == (500, 2)
    assert (settings.num_annealed_samples, settings.num_temperatures) == (32, 200)
    assert (settings.prior_share, settings.memory_budget) == (0, 256)
    model, generators = tiny_model("vae"), (seeded(), seeded())
    by_default = importance_weighted_bound(model, generator=generators[0], **TEXTS)
    assert torch.equal(by_default, importance_weighted_bound(model, num_samples=100, generator=generators[1], **TEXTS))
    by_default = estimate_log_likelihood(model, generator=generators[0], **TEXTS)
    spelt_out = estimate_log_likelihood(model, settings, generator=generators[1], **TEXTS)
    assert torch.equal(by_default.lower, spelt_out.lower)


@pytest.mark.parametrize(
    "values",
    [
        {"prior_share": 0.8},
        {"num_posterior_samples": 50},
        {"num_posterior_samples": 1, "num_fitting_rounds": 0, "memory_budget": 1},
        {"num_annealed_samples": 1, "num_temperatures": 1},
    ],
)
def test_limits_are_allowed_themselves(values):
    estimate = estimate_log_likelihood(tiny_model("vae"), LikelihoodSettings(**values), generator=seeded(), **TEXTS)
    assert estimate.lower.isfinite().all()


@pytest.mark.parametrize(
    ("name", "smallest", "largest"),
    [
        ("num_posterior_samples", "1", "10,000,000"),
        ("num_fitting_rounds", "0", "10,000"),
        ("num_annealed_samples", "1", "10,000,000"),
        ("num_temperatures", "1", "10,000,000"),
    ],
)
def test_settings_have_upper_limits(name, smallest, largest):
    message = f"{name} must be between {smallest} and {largest}, got 100000000"
    with pytest.raises(ValueError, match=message):
        LikelihoodSettings(**{name: 10**8})


def test_arguments_may_be_lists_and_seeds_and_are_checked():
    """A seed is read once, although there are several draws."""
    model, settings = tiny_model("vae"), LikelihoodSettings(num_posterior_samples=50, num_fitting_rounds=1)
    texts = {"input_ids": TEXTS["input_ids"].tolist()}
    for function, options in ((estimate_log_likelihood, {"settings": settings}), (importance_weighted_bound, {})):
        one = function(model, generator=3, **texts, **options)
        other = function(model, generator=seeded(3), **TEXTS, **options)
        assert torch.equal(getattr(one, "lower", one), getattr(other, "lower", other))
        with pytest.raises(ValueError, match="generator must be a torch.Generator, an integer seed or None"):
            function(model, generator="x", **TEXTS, **options)
        with pytest.raises(ValueError, match="input_ids: token ids"):
            function(model, input_ids=[[2, 99, 3]], **options)
    for number in (1.5, 10**8):
        with pytest.raises(ValueError, match="num_samples must be"):
            importance_weighted_bound(model, num_samples=number, **TEXTS)


@pytest.mark.parametrize(
    ("mebibytes", "budget", "expected"),
    [(1, 3, [(0, 3), (3, 6), (6, 7)]), (1, 7, [(0, 7)]), (2, 3, [(n, n + 1) for n in range(7)]), (999, 3, None)],
)
def test_decoder_scores_as_many_rows_at_once_as_fit_into_memory(monkeypatch, mebibytes, budget, expected):
    """A number takes four bytes; at least one row is scored at a time."""
    model = tiny_model("vae")
    monkeypatch.setattr(type(model.modality), "floats_per_example", lambda self, lengths: mebibytes * 2**18)
    ranges = [(rows.start, rows.stop) for rows in bounds._row_ranges(model, 7, budget, {})]
    assert ranges == (expected or [(n, n + 1) for n in range(7)])


def record_draws(monkeypatch, model) -> list[int]:
    """The number of latents of each call of the decoder."""
    numbers, likelihood = [], model.conditional_log_likelihood
    monkeypatch.setattr(
        model, "conditional_log_likelihood", lambda z, **inputs: numbers.append(len(z)) or likelihood(z, **inputs)
    )
    return numbers


def test_fitting_rounds_take_half_of_the_samples_each(monkeypatch):
    model = linear_gaussian_model("vae")
    numbers = record_draws(monkeypatch, model)
    settings = LikelihoodSettings(num_posterior_samples=60, num_fitting_rounds=3)
    estimate_log_likelihood(model, settings, points=POINTS, generator=seeded())
    assert numbers == [5 * 30] * 3 + [5 * 60]


def test_every_proposal_gets_its_share_and_at_least_one_sample(monkeypatch):
    model, counts, repeat = linear_gaussian_model("vae"), [], bounds._repeat
    monkeypatch.setattr(bounds, "_repeat", lambda posterior, times: counts.append(times) or repeat(posterior, times))
    options = {"points": POINTS[:1], "generator": seeded()}
    estimate_log_likelihood(model, LikelihoodSettings(50, 1, prior_share=0.3), **options)
    assert counts == [17, 8, 25, 25, 30, 5, 15, 50, 50, 50]
    counts.clear()
    estimate_log_likelihood(model, LikelihoodSettings(50, 1, prior_share=1e-6), **options)
    assert counts == [24, 1, 25, 25, 44, 5, 1, 50, 50, 50]


def test_a_prior_proposal_has_the_moments_of_512_samples(monkeypatch):
    """Mean and variance of these samples, whatever the encoder says; with contexts, those of the batch in turn."""
    model, calls = linear_gaussian_model("vae", latent_size=2), []
    samples = torch.tensor([3.0, -1.0]) + torch.tensor([2.0, 0.5]) * torch.randn(512, 2, generator=seeded())
    monkeypatch.setattr(
        model.prior, "sample", lambda number, **options: calls.append((number, options)) or samples[None].double()
    )
    posterior = model.posterior(points=POINTS)
    gaussian = bounds._prior_gaussian(model, posterior, None)
    assert calls == [(512, {"generator": None})]
    torch.testing.assert_close(gaussian.mean, samples.double().mean(0).expand(5, 2))
    torch.testing.assert_close(gaussian.log_variance.exp(), samples.double().var(0).expand(5, 2))
    bounds._prior_gaussian(model, replace(posterior, context=torch.arange(3.0)[:, None]), None)
    assert torch.equal(calls[1][1]["context"][:, 0], torch.arange(512) % 3)


def test_a_proposal_is_fitted_to_weights_of_a_fifth_of_the_samples():
    """Mean and 1.1 times the standard deviation, by weights that are tempered; equal latents give no infinite logs."""
    posterior = linear_gaussian_model("vae", latent_size=2).posterior(points=POINTS)
    latents = torch.randn(5, 60, 2, generator=seeded(), dtype=torch.float64)
    factors, prior = 3 * torch.randn(2, 5, 60, generator=seeded(1), dtype=torch.float64)
    fitted = bounds._fit(posterior, bounds._Samples(latents, factors, prior))
    weights = temper(factors + prior, 12).softmax(-1)[..., None]
    mean = (weights * latents).sum(1)
    torch.testing.assert_close(fitted.mean, mean)
    variance = (weights * (latents - mean[:, None]) ** 2).sum(1)
    torch.testing.assert_close((fitted.log_variance / 2).exp(), 1.1 * variance.sqrt())
    assert bounds._fit(posterior, bounds._Samples(0 * latents, factors, prior)).log_variance.isfinite().all()
