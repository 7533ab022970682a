"""Oracles of the diffusion prior: constant and quadratic energies, whose conditionals are known Gaussians."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from known_priors import QuadraticEnergy, metropolis_prior
from torch import nn

from ldebm_hf.model import diffusion_prior
from ldebm_hf.model.configuration_ldebm import LDEBMConfig
from ldebm_hf.model.diffusion_prior import DiffusionPrior
from ldebm_hf.model.energy import FrozenNetwork
from ldebm_hf.model.langevin import langevin

N = 20_000
FIVE_SIGMA_VARIANCE = 5 * (2 / N) ** 0.5


@pytest.mark.parametrize("curvature", [0.0, 0.05])
@pytest.mark.parametrize("level", [0, 1, 3, 5])
def test_long_chains_reach_the_conditionals_mean_and_variance(curvature, level):
    settings = {"langevin_step_rule": "relative", "langevin_step_size": 0.5, "energy_temperature": "unit"}
    prior = metropolis_prior(10 * curvature, langevin_start="previous", **settings)
    sigma2 = prior.levels.step_std[level] ** 2
    precision = 1 / sigma2 + 10 * curvature / prior.levels.temperature[level]
    mean = prior.levels.center_scale[level] * 0.8 / sigma2 / precision
    samples = prior.sample_level(
        torch.full((N, 1), 0.8),
        torch.full((N,), level),
        num_langevin_steps=60,
        generator=torch.Generator().manual_seed(0),
    )
    assert samples.mean() == pytest.approx(mean.item(), abs=5 * (1 / precision / N).sqrt().item())
    assert samples.var() == pytest.approx(1 / precision.item(), rel=FIVE_SIGMA_VARIANCE)


@pytest.mark.parametrize("preset", ["published", "consistent"])
def test_constant_energy_gives_the_reverse_chains_variance(preset):
    """v_t = (v_{t+1} + σ²_{t+1}) / a²_{t+1}, from v_{T-1} = σ²_T, or σ²_T/a²_T where the last level is scaled."""
    prior = metropolis_prior(scale_last_level=preset == "consistent", base_level_noise=True)
    tables = prior.levels
    variance = tables.step_std[-1].item() ** 2 / tables.latent_scale[-1].item() ** 2
    for t in reversed(range(5)):
        variance = (variance + tables.step_std[t].item() ** 2) / tables.step_scale[t].item() ** 2
    if preset == "published":
        assert variance == pytest.approx(24.7, abs=0.05)
    samples = prior.sample(N, num_langevin_steps=3, generator=torch.Generator().manual_seed(0))
    assert samples.shape == (7, N, 1)
    assert samples[-1].var().item() == pytest.approx(variance, rel=FIVE_SIGMA_VARIANCE)


def standard_normal_prior(**settings):
    """A constant energy over the Gaussian base measure: the prior is N(0, I)."""
    prior = DiffusionPrior(LDEBMConfig.from_preset("consistent", num_labels=1, latent_size=1, **settings))
    prior.energy = QuadraticEnergy(0.0)
    return prior


@pytest.mark.parametrize(
    "exact", [{"langevin_metropolis": True, "langevin_integrator": "euler"}, {"langevin_integrator": "exponential"}]
)
def test_gaussian_base_measure_and_constant_energy_sample_the_standard_normal(exact):
    """Exact, as every level's chain starts at its exact Gaussian, and a correct step keeps it."""
    prior = standard_normal_prior(**exact)
    states = prior.sample(N, num_langevin_steps=3, generator=torch.Generator().manual_seed(0))
    for state in states:
        assert state.mean().item() == pytest.approx(0, abs=5 / N**0.5)
        assert state.var().item() == pytest.approx(1, rel=FIVE_SIGMA_VARIANCE)


def test_bfloat16_sampler_of_a_constant_energy_samples_the_standard_normal():
    """Only the energy is rounded: states, steps and noise are not."""
    sizes = {"energy_hidden_size": 8, "energy_num_blocks": 1, "energy_spectral_norm": False, "latent_size": 1}
    prior = DiffusionPrior(LDEBMConfig.from_preset("consistent", num_labels=2, **sizes))
    nn.init.zeros_(prior.energy.head.weight)
    prior.optimize_sampler(dtype=torch.bfloat16)
    z = prior.sample(N, generator=torch.Generator().manual_seed(0))[-1]
    assert z.dtype == torch.float32
    assert z.mean().item() == pytest.approx(0, abs=5 / N**0.5)
    assert z.var().item() == pytest.approx(1, rel=FIVE_SIGMA_VARIANCE)


@pytest.mark.parametrize("sampling", ["published", "uniform", "stratified", "all"])
def test_prior_loss_of_the_standard_normal_has_the_gradient_of_the_gaussian_kl(sampling):
    """-log p(z_{0:T}) averages to ‖z‖²/2 and a constant over the forward process, so its gradient averages to z."""
    prior = standard_normal_prior(level_sampling=sampling)
    for value in (0.5, -2.0):
        latents = torch.full((N, 1), value, requires_grad=True)
        loss = prior.loss(latents, generator=torch.Generator().manual_seed(1)).loss
        gradient = N * torch.autograd.grad(loss, latents)[0]
        standard_error = gradient.std().item() / N**0.5
        # Langevin's own bias: its stationary variance, not its mean, is off, so only noise is left
        assert gradient.mean().item() == pytest.approx(value, abs=5 * standard_error + 2e-3)


def tiny_prior(**settings):
    torch.manual_seed(0)
    sizes = {"latent_size": 4, "num_labels": 3, "energy_hidden_size": 16, "energy_num_blocks": 2, "langevin_steps": 4}
    return DiffusionPrior(LDEBMConfig.from_preset(settings.pop("preset", "published"), **{**sizes, **settings}))


def relative_difference(one, other):
    return ((one - other).norm() / other.norm()).item()


@pytest.mark.parametrize("preset", ["published", "consistent"])
def test_one_pass_gradients_equal_the_two_phases_written_out(preset):
    """Eq. 10 with frozen samples for α, then Eq. 11 through a frozen energy for z, in passes of their own."""
    prior = tiny_prior(preset=preset, log_normalizer_gradient=False, terminal_prior=False).double().eval()
    latents = torch.randn(32, 4, dtype=torch.float64, requires_grad=True)
    one_pass = prior.loss(latents, generator=torch.Generator().manual_seed(1))
    parameters = list(prior.energy.parameters())
    *alpha_gradients, z_gradient = torch.autograd.grad(one_pass.loss, [*parameters, latents])

    generator = torch.Generator().manual_seed(1)
    tables = prior.levels
    level = tables.draw_levels(32, generator)
    weight = tables.energy_weight[level]
    repeated = latents.repeat(len(level) // 32, 1)
    positive, z_next = tables.diffuse(repeated, level, generator)
    negative = prior.sample_level(z_next.detach(), level, generator=generator)
    # learning phase: both samples constant
    increase = (weight * prior.energy(positive.detach(), level).logsumexp(-1)).sum() / 32
    decrease = (weight * prior.energy(negative, level).logsumexp(-1)).sum() / 32
    expected = torch.autograd.grad(decrease - increase, parameters)
    for gradient, reference in zip(alpha_gradients, expected, strict=True):
        assert relative_difference(gradient, reference) < 1e-6
    # inference phase: energy constant
    energy_term = -(weight * prior.energy(positive, level).logsumexp(-1)).sum() / 32
    last = level == prior.config.num_levels - 1
    precision = torch.where(last, 1 / tables.step_std[-1] ** 2, tables.base_precision[level])
    quadratic_term = (tables.quadratic_weight[level] * precision * positive.square().sum(-1) / 2).sum() / 32
    expected = torch.autograd.grad(energy_term + quadratic_term, latents)[0]
    assert relative_difference(z_gradient, expected) < 1e-6


def test_log_normalizer_gradient_is_the_quadratic_energys():
    """log Z_t(c) of F = -k‖z‖²/2 has gradient -c k/(1 + kσ²): its mean over N chains, to 5 standard errors."""
    curvature = 0.7
    prior = metropolis_prior(
        curvature,
        energy_temperature="unit",
        level_weighting="likelihood",
        level_sampling="all",
        log_normalizer_gradient=True,
        langevin_step_rule="relative",
        langevin_step_size=0.5,
    )
    tables = prior.levels
    for t in range(5):
        z_next = torch.full((N, 1), 1.3, requires_grad=True)
        level = torch.full((N,), t)
        generator = torch.Generator().manual_seed(t)
        negative = prior.sample_level(z_next.detach(), level, num_langevin_steps=40, generator=generator)
        terms = prior._quadratic_terms(torch.zeros(N, 1), negative, z_next, level)
        gradient = torch.autograd.grad(terms.sum(), z_next)[0]
        sigma2 = tables.step_std[t].item() ** 2
        expected = -1.3 * curvature / (1 + curvature * sigma2)
        spread = (sigma2 / (1 + curvature * sigma2)) ** 0.5 / sigma2
        assert gradient.mean().item() == pytest.approx(expected, abs=5 * spread / N**0.5)


def test_score_of_the_sampler_is_the_gradient_of_the_log_density():
    """One noiseless step moves by s²/2 ∇ log p, with a symbol and guidance too."""
    prior = tiny_prior(langevin_steps=1, langevin_final_noise=False).eval()
    level = torch.zeros(5, dtype=torch.long)
    z_next = torch.randn(5, 4)
    labels = torch.tensor([0, 1, 2, 1, 0])
    for class_labels, guidance in [(None, None), (labels, None), (labels, 2.5)]:
        state = z_next.clone().requires_grad_(True)
        log_density = prior.log_density(state, z_next, level, class_labels, guidance)
        score = torch.autograd.grad(log_density.sum(), state)[0]
        moved = prior.sample_level(z_next, level, class_labels, guidance)
        step = 0.5 * prior.levels.langevin_variance[0] * score
        torch.testing.assert_close(moved - z_next, step, rtol=2e-3, atol=2e-6)


@pytest.mark.parametrize("guided_steps", ["fixed", "adaptive"])
def test_metropolis_correction_judges_by_the_models_log_density(guided_steps):
    """At every state that a chain of 4 steps visits, with a symbol and guidance."""
    prior = tiny_prior(langevin_metropolis=True, preset="consistent", guided_steps=guided_steps).eval()
    level = torch.zeros(4, dtype=torch.long)
    z_next, labels = torch.randn(4, 4), torch.tensor([0, 1, 2, 0])
    seen = []
    value_and_gradient = FrozenNetwork.value_and_gradient

    def record(self, state):
        result = value_and_gradient(self, state)
        seen.append((state, result[0]))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrozenNetwork, "value_and_gradient", record)
        prior.sample_level(z_next, level, labels, 2.5, num_langevin_steps=4)
    distances = [prior._distance(state, z_next, level) for state, _ in seen]
    densities = [prior.log_density(state, z_next, level, labels, 2.5) for state, _ in seen]
    for (_, value), distance, density in zip(seen, distances, densities, strict=True):
        torch.testing.assert_close(value - distance, density, rtol=1e-4, atol=1e-4)
    assert len(seen) == 5


def test_metropolis_correction_moves_along_the_gradient_of_its_log_density(monkeypatch):
    """A wrong gradient would leave the samples' distribution right, and make them move less."""
    prior = tiny_prior(preset="consistent", langevin_metropolis=True, guided_steps="fixed").double().eval()
    level = torch.arange(6) % prior.config.num_levels
    z_next = torch.randn(6, 4, dtype=torch.float64)
    functions = []

    def record(score, start, *arguments, log_density_and_score, **options):
        functions.append((score, log_density_and_score))
        return langevin(score, start, *arguments, log_density_and_score=log_density_and_score, **options)

    monkeypatch.setattr(diffusion_prior, "langevin", record)
    prior.sample_level(z_next, level)
    score, log_density_and_score = functions[0]
    state = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    log_density = prior.log_density(state, z_next, level)
    expected = torch.autograd.grad(log_density.sum(), state)[0]
    value, gradient = log_density_and_score(state.detach())
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(score(state.detach()), expected)
    constant = value - log_density.detach()  # in z̃; it differs between levels and z_{t+1}
    other = torch.randn(6, 4, dtype=torch.float64)
    difference = log_density_and_score(other)[0] - prior.log_density(other, z_next, level)
    torch.testing.assert_close(difference, constant, rtol=1e-5, atol=1e-5)  # constants of levels are of float32


@pytest.mark.parametrize("preset", ["published", "consistent"])
def test_quadratic_terms_written_out(preset):
    """Those of the log-density and those of the objective, level by level."""
    prior = tiny_prior(preset=preset, terminal_prior=True, log_normalizer_gradient=True).double().eval()
    levels, last = prior.levels, prior.config.num_levels - 1
    level = torch.arange(prior.config.num_levels)
    positive, negative, z_next = torch.randn(3, len(level), 4, dtype=torch.float64)
    z_next.requires_grad_(True)
    terms = prior._quadratic_terms(positive, negative, z_next, level)
    gradient = torch.autograd.grad(terms.sum(), z_next)[0]
    distance = prior._distance(positive, z_next.detach(), level)
    for t in range(len(level)):
        variance, center = levels.step_std[t] ** 2, levels.center_scale[t]
        base = levels.base_precision[t] * positive[t].square().sum() / 2
        offset = (positive[t] - center * z_next[t].detach()).square().sum() / (2 * variance)
        torch.testing.assert_close(distance[t], offset + base)
        value = positive[t].square().sum() / (2 * variance) if t == last else base
        slope = (negative[t] - center * z_next[t].detach()) * center / variance
        if t == last:
            value = value + z_next[t].detach().square().sum() / 2
            slope = slope + z_next[t].detach()
        torch.testing.assert_close(terms[t].detach(), levels.quadratic_weight[t] * value)
        torch.testing.assert_close(gradient[t], levels.quadratic_weight[t] * slope)


def test_default_guidance_follows_the_class_energy_alone():
    """γ = 1/τ_0 turns F/τ_0 + γ log p(y|z) into f_y/τ_0."""
    prior = tiny_prior().eval()
    level, z = torch.zeros(5, dtype=torch.long), torch.randn(5, 4)
    labels = torch.tensor([0, 1, 2, 1, 0])
    difference = prior.log_density(z, z, level, labels) - prior.log_density(z, z, level)
    logits = prior.energy(z, level)
    class_energy = logits.gather(1, labels[:, None])[:, 0] - logits.logsumexp(-1)
    torch.testing.assert_close(difference, class_energy / prior.levels.temperature[0], rtol=1e-3, atol=0.5)


def test_a_training_step_makes_one_power_iteration_and_freezes_the_energy_for_the_chains():
    prior = tiny_prior(langevin_steps=20).train()
    norm = prior.energy.blocks[0].parametrizations.weight[0]
    weight = prior.energy.blocks[0].parametrizations.weight.original
    expected = nn.functional.normalize(weight @ norm._v, dim=0)
    prior.loss(torch.randn(8, 4))
    torch.testing.assert_close(norm._u, expected.detach(), rtol=1e-4, atol=1e-5)


def test_float32_energy_under_bfloat16_autocast():
    prior = tiny_prior().eval()
    latents = torch.randn(8, 4)
    expected = prior.loss(latents, generator=torch.Generator().manual_seed(0)).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = prior.loss(latents, generator=torch.Generator().manual_seed(0)).loss
    assert loss.dtype == torch.float32 and torch.equal(loss, expected)


@pytest.mark.parametrize("sampling", ["published", "uniform", "stratified", "all"])
def test_loss_is_reproducible_with_a_generator(sampling):
    prior = tiny_prior(level_sampling=sampling).eval()
    latents = torch.randn(8, 4)
    losses = [prior.loss(latents, generator=torch.Generator().manual_seed(seed)).loss for seed in (0, 0, 1)]
    first, again, other = losses
    assert torch.equal(first, again) and not torch.equal(first, other)


# ------------------------------------------------------------------------------------------------- one level, as SVEBM


def single_level(preset="svebm", **settings):
    """SVEBM's prior with a small network, in float64."""
    torch.manual_seed(0)
    sizes = {"latent_size": 4, "num_labels": 3, "energy_hidden_size": 16, "langevin_steps": 5}
    return DiffusionPrior(LDEBMConfig.from_preset(preset, **{**sizes, **settings})).double()


def single_level_presets():
    """The published network, and the residual one with any of the rules that also makes sense there."""
    residual = {"energy_network": "residual", "langevin_integrator": "exponential", "terminal_prior": True}
    return [{}, residual, {**residual, "langevin_step_rule": "paper", "log_normalizer_gradient": True}]


@pytest.mark.parametrize("settings", single_level_presets())
@pytest.mark.parametrize("sampling", ["published", "uniform", "all"])
def test_gradients_of_a_single_level_are_svebms(settings, sampling):
    """To the energy ∇ E[F(z⁻)] - E[F(z⁺)]; to a latent z - ∇F(z), of -log p(z) = ‖z‖²/2 - F(z) + log Z."""
    prior = single_level(level_sampling=sampling, **settings).eval()
    latents = torch.randn(8, 4, dtype=torch.float64, requires_grad=True)
    output = prior.loss(latents, generator=torch.Generator().manual_seed(1))
    parameters = [parameter for parameter in prior.energy.parameters() if parameter.requires_grad]
    *energy_gradients, z_gradient = torch.autograd.grad(output.loss, [*parameters, latents], allow_unused=True)

    generator = torch.Generator().manual_seed(1)
    level = torch.zeros(8, dtype=torch.long)
    _, z_next = prior.levels.diffuse(latents, level, generator)
    negative = prior.sample_level(z_next.detach(), level, generator=generator)

    def free_energy(states):
        return prior.energy(states, level).logsumexp(-1)

    contrast = free_energy(negative).mean() - free_energy(latents.detach()).mean()
    expected = torch.autograd.grad(contrast, parameters, allow_unused=True)
    for gradient, reference in zip(energy_gradients, expected, strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-9, atol=1e-12)
    pull = torch.autograd.grad(free_energy(latents).sum(), latents)[0]
    torch.testing.assert_close(8 * z_gradient, latents - pull, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(output.energy_positive, free_energy(latents).mean())
    torch.testing.assert_close(output.energy_negative, free_energy(negative).mean())


def test_samples_of_a_single_level_start_at_the_standard_normal_and_take_eulers_steps():
    """z + s²/2 (∇F - z) + s ε with s = 0.5, from N(0, I), for the chains of training and for samples."""
    prior = single_level(langevin_steps=2)
    generator = torch.Generator().manual_seed(3)
    states = prior.sample(6, generator=generator)
    assert states.shape == (2, 6, 4)
    generator = torch.Generator().manual_seed(3)
    torch.randn(6, 4, generator=generator, dtype=torch.float64)  # z_T, which is drawn but not used
    z = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    noises = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64)
    for noise in noises:
        z = z.requires_grad_()
        gradient = torch.autograd.grad(prior.energy(z).logsumexp(-1).sum(), z)[0]
        z = (z + 0.5**2 / 2 * (gradient - z) + 0.5 * noise).detach()
    torch.testing.assert_close(states[-1], z)


@pytest.mark.parametrize("curvature", [0.0, 2.0])
def test_chains_of_a_quadratic_energy_reach_its_gaussian(curvature):
    """F = -k‖z‖²/2 tilts N(0, I) to N(0, 1/(1+k)); with short steps the bias is s²(1+k)/4 of the variance."""
    prior = single_level(num_labels=1, latent_size=1, langevin_step_size=0.02).float()
    prior.energy = QuadraticEnergy(curvature)
    steps = int(8 / (0.01 * (1 + curvature)))  # each removes a fraction s²(1+k)/2 of the distance to the mean
    z = prior.sample(N, num_langevin_steps=steps, generator=torch.Generator().manual_seed(0))[-1]
    variance = 1 / (1 + curvature) / (1 - 0.02 * (1 + curvature) / 4)
    assert z.mean().item() == pytest.approx(0, abs=5 * (variance / N) ** 0.5)
    assert z.var().item() == pytest.approx(variance, rel=FIVE_SIGMA_VARIANCE)


@torch.no_grad()
def test_symbols_steer_a_single_level():
    """γ log p(y|z) is in the score, and samples of a symbol are likelier to have it than others."""
    prior = single_level(langevin_steps=20)
    prior.energy.head.weight.mul_(20)
    symbols = torch.arange(300) % 3
    free = prior.sample(300, generator=torch.Generator().manual_seed(0))[-1]
    steered = prior.sample(300, symbols, generator=torch.Generator().manual_seed(0))[-1]
    insisted = prior.sample(300, symbols, guidance_scale=5.0, generator=torch.Generator().manual_seed(0))[-1]
    ignored = prior.sample(300, symbols, guidance_scale=0.0, generator=torch.Generator().manual_seed(0))[-1]
    torch.testing.assert_close(ignored, free, rtol=1e-9, atol=1e-9)
    agreement = [
        prior.symbol_logits(z).softmax(-1).gather(1, symbols[:, None]).mean() for z in (free, steered, insisted)
    ]
    assert agreement[0] + 0.05 < agreement[1] < agreement[2]


def test_likelihood_has_no_closed_form():
    with pytest.raises(ValueError, match='prior="diffusion" has no normalised density'):
        single_level().log_prob(torch.zeros(1, 4))


# ------------------------------------------------------------------------------------------- symbols at several levels


def without_noise(prior, monkeypatch) -> None:
    """Let the forward process neither scale nor disturb a latent."""
    monkeypatch.setattr(prior.levels, "diffuse", lambda latents, level, generator=None: (latents, latents))


@torch.no_grad()
@pytest.mark.parametrize("method", ["noisy_symbol_logits", "loss"])
@pytest.mark.parametrize("sampling", ["published", "uniform", "all"])
def test_noisy_logits_of_pair_i_belong_to_example_i_modulo_the_batch(monkeypatch, method, sampling):
    """With its own level and its own context; without noise they are known."""
    prior = tiny_prior(preset="consistent", level_sampling=sampling, symbol_levels="all", context_size=2).eval()
    without_noise(prior, monkeypatch)
    latents, context = torch.randn(5, 4), torch.randn(5, 2)
    output = getattr(prior, method)(latents, generator=torch.Generator().manual_seed(3), context=context)
    logits = output.noisy_symbol_logits if method == "loss" else output
    level = prior.levels.draw_levels(5, torch.Generator().manual_seed(3))
    assert len(logits) == len(level)
    for i, t in enumerate(level):
        expected = prior.energy(latents[i % 5, None], t[None], context=context[i % 5, None])[0]
        torch.testing.assert_close(logits[i], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["noisy_symbol_logits", "loss"])
def test_only_the_first_level_learns_symbols_if_the_settings_say_so(method):
    prior = tiny_prior(symbol_levels="first").eval()
    output = getattr(prior, method)(torch.randn(5, 4))
    assert (output.noisy_symbol_logits if method == "loss" else output) is None


@torch.no_grad()
@pytest.mark.parametrize("symbol_levels", ["first", "all"])
def test_symbols_steer_exactly_the_levels_that_learn_them(symbol_levels):
    """With the same noise, states of two symbols part at the first level that is steered: the last or the noisiest."""
    prior = tiny_prior(preset="consistent", symbol_levels=symbol_levels).eval()
    one, other = (
        prior.sample(6, torch.full((6,), symbol), guidance_scale=3.0, generator=torch.Generator().manual_seed(0))
        for symbol in (0, 1)
    )
    differ = [not torch.equal(*states) for states in zip(one, other, strict=True)]  # from z_T to z_0
    num_levels = prior.config.num_levels
    assert differ == ([False] * num_levels + [True] if symbol_levels == "first" else [False] + [True] * num_levels)


def test_log_normalizer_gradient_is_a_constant_of_the_chains_samples():
    """It is an expectation over samples that do not move with z_{t+1}: the center is no way back to the encoder."""
    prior = metropolis_prior(0.7, log_normalizer_gradient=True, terminal_prior=False)
    z_next, negative = torch.full((4, 1), 1.3, requires_grad=True), torch.randn(4, 1)
    terms = prior._quadratic_terms(torch.zeros(4, 1), negative, z_next, torch.full((4,), 2))
    assert torch.equal(terms, torch.zeros(4))
    gradient = torch.autograd.grad(terms.sum(), z_next, create_graph=True)[0]
    assert gradient.abs().min() > 0 and not gradient.requires_grad


# -------------------------------------------------------------------------------------- settings, numbers of steps


@pytest.mark.parametrize(
    ("preset", "settings", "message"),
    [
        ("consistent", {"energy_network": "mlp", "energy_spectral_norm": False}, "energy_network must be residual"),
        ("svebm", {"energy_spectral_norm": True}, 'energy_spectral_norm must be False for energy_network="mlp"'),
        ("published", {"base_level_noise": False}, "langevin_step_rule must be used with base_level_noise=True only"),
        ("consistent", {"langevin_step_size": 1.01}, "langevin_step_size must be at most 1 with langevin_integrator"),
        (
            "consistent",
            {"noise_schedule": "linear_variance", "noise_range": [0.1, 0.6], "base_level_noise": True},
            "base_level_noise must be False for noise_schedule='linear_variance'",
        ),
        ("consistent", {"scale_last_level": True}, "scale_last_level must be False for base_measure='gaussian'"),
        (
            "published",
            {"langevin_integrator": "exponential", "langevin_step_size": 0.9},
            "langevin_step_size must be at most .* with langevin_integrator='exponential' and .*, got 0.9",
        ),
        (
            "svebm",
            {"scale_last_level": True, "base_measure": "flat"},
            "scale_last_level must be False for num_levels=1",
        ),
        (
            "svebm",
            {"langevin_step_rule": "published", "base_level_noise": True},
            "langevin_step_rule must be relative or paper for num_levels=1",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(preset, settings, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        LDEBMConfig.from_preset(preset, **settings)


@pytest.mark.parametrize(
    ("preset", "settings"),
    [
        ("consistent", {"langevin_step_size": 1.0}),
        ("consistent", {"langevin_step_size": 1.5, "langevin_integrator": "euler"}),
        ("consistent", {"base_measure": "flat", "scale_last_level": True}),
        ("svebm", {"energy_network": "residual", "energy_spectral_norm": True}),
        ("svebm", {"langevin_step_rule": "paper"}),
        ("published", {}),
    ],
)
def test_settings_that_go_together_are_taken(preset, settings):
    DiffusionPrior.validate_settings(LDEBMConfig.from_preset(preset, **settings))


def test_what_the_prior_can_do():
    config = LDEBMConfig.from_preset("consistent")
    assert DiffusionPrior.has_symbols(config) and DiffusionPrior.has_energy and not DiffusionPrior.has_exact_density
    assert DiffusionPrior.can_have_symbols and DiffusionPrior.normalizes_posterior
    assert [DiffusionPrior.clusters_by_default(number) for number in (1, 2, 6)] == [False, True, True]
    prior = tiny_prior()
    prior.optimize_sampler()
    assert prior.sampler_options == {"compile": False, "dtype": None}


def steps_of_levels(prior, monkeypatch, **options) -> list[int]:
    """The number of steps at each level of a sample, the last level first."""
    numbers = []
    for name in ("adaptive_chains", "langevin"):
        function = getattr(diffusion_prior, name)

        def counted(*arguments, function=function, name=name, **settings):
            numbers.append(arguments[2] if name == "adaptive_chains" else len(arguments[2]))
            return function(*arguments, **settings)

        monkeypatch.setattr(diffusion_prior, name, counted)
    prior.sample(3, generator=torch.Generator().manual_seed(0), **options)
    monkeypatch.undo()
    return numbers


@pytest.mark.parametrize("symbol_levels", ["first", "all"])
def test_guided_chains_take_twice_the_steps_and_four_times_at_the_last_level(monkeypatch, symbol_levels):
    prior = tiny_prior(preset="consistent", symbol_levels=symbol_levels, guided_steps="adaptive").eval()
    symbols = torch.tensor([0, 1, 2])
    guided = [4] * 5 + [8] if symbol_levels == "first" else [16] + [8] * 5
    assert steps_of_levels(prior, monkeypatch, symbols=symbols, guidance_scale=2.0) == guided
    for free in ({}, {"symbols": symbols, "guidance_scale": 0.0}):
        assert steps_of_levels(prior, monkeypatch, **free) == [4] * 6
    asked = {"symbols": symbols, "guidance_scale": 2.0, "num_langevin_steps": 3}
    assert steps_of_levels(prior, monkeypatch, **asked) == [3] * 6
    assert prior.adapts_steps(symbols, 1.0) and not prior.adapts_steps(None, 1.0)
    fixed = tiny_prior(preset="consistent", symbol_levels=symbol_levels, guided_steps="fixed").eval()
    assert steps_of_levels(fixed, monkeypatch, symbols=symbols, guidance_scale=2.0) == [4] * 6


def test_no_step_leaves_a_state_and_fewer_are_refused():
    prior = tiny_prior().eval()
    z, level = torch.randn(3, 4), torch.zeros(3).long()
    assert torch.equal(prior.sample_level(z, level, num_langevin_steps=0), z)
    with pytest.raises(ValueError, match="num_langevin_steps must be at least 0, got -1"):
        prior.sample_level(z, level, num_langevin_steps=-1)


def test_what_the_chains_of_each_level_did_is_told():
    prior, told = tiny_prior(preset="consistent", langevin_metropolis=True).eval(), []
    prior.sample(3, generator=torch.Generator().manual_seed(0), diagnostics=told)
    assert len(told) == 6 and all(one.acceptance_rate.shape == (3,) for one in told)


@torch.no_grad()
def test_symbols_are_read_at_the_first_level_with_its_noise_in_training_alone():
    prior = tiny_prior(base_level_noise=True).eval()
    latents, level = torch.randn(5, 4), torch.zeros(5).long()
    mean = prior.levels.first_level(latents, False, None)
    torch.testing.assert_close(prior.symbol_logits(latents), prior.energy(mean, level))
    noisy = prior.levels.first_level(latents, True, torch.Generator().manual_seed(1))
    assert not torch.equal(noisy, mean)
    for logits in (
        prior.training_symbol_logits(latents, torch.Generator().manual_seed(1)),
        prior.symbol_logits(latents, base_noise=True, generator=torch.Generator().manual_seed(1)),
    ):
        torch.testing.assert_close(logits, prior.energy(noisy, level))


def test_chains_for_a_text_move_under_the_first_level_given_a_draw_of_the_second():
    prior = tiny_prior(scale_last_level=True, preset="published").eval()
    latents, others, labels = torch.randn(5, 4), torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0])
    noise = torch.randn(5, 4, generator=torch.Generator().manual_seed(2))
    z_next = prior.levels.step_scale[0] * latents + prior.levels.step_std[0] * noise
    density = prior.log_density_for_chains(latents, labels, 2.0, torch.Generator().manual_seed(2))
    scaled = prior.levels.latent_scale[0] * others
    expected = prior.log_density(scaled, z_next, torch.zeros(5).long(), labels, 2.0)
    torch.testing.assert_close(density(others), expected)


def test_contexts_are_repeated_with_the_pairs():
    prior = tiny_prior(preset="consistent", context_size=2).double()
    assert prior._context_inputs(None, 3) == {}
    context = torch.arange(4.0).view(2, 2)
    assert prior._context_inputs(context)["context"].dtype == torch.float64
    assert torch.equal(prior._context_inputs(context, 2)["context"], torch.cat([context, context]).double())
