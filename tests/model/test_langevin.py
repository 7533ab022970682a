import math

import pytest
import torch

from ldebm_hf.model.langevin import MetropolisChains, langevin

N = 20_000
FIVE_SIGMA_MEAN = 5 / N**0.5  # in units of the standard deviation
FIVE_SIGMA_VARIANCE = 5 * (2 / N) ** 0.5  # relative


def gaussian(mean, variance):
    def score(z):
        return -(z - mean) / variance

    def log_density_and_score(z):
        return -(z - mean).square().sum(-1) / (2 * variance), score(z)

    return score, log_density_and_score


def run(score, steps, step_variance, start=None, seed=0, **settings):
    start = torch.full((N, 1), 3.0, dtype=torch.float64) if start is None else start
    step_variances = torch.full((steps, 1, 1), step_variance, dtype=torch.float64)
    return langevin(score, start, step_variances, generator=torch.Generator().manual_seed(seed), **settings)


@pytest.mark.parametrize("steps", [1, 5, 40])
@pytest.mark.parametrize("final_noise", [True, False])
def test_moments_follow_the_exact_recursion_of_a_gaussian(steps, final_noise):
    """On N(m, v) a step is linear: mean ← mean - h(mean - m), variance ← (1-h)² variance + s², with h = s²/2v."""
    mean, variance, step_variance = 1.0, 0.25, 0.1
    rate = step_variance / (2 * variance)
    expected_mean, expected_variance = 3.0, 0.0
    for step in range(steps):
        noisy = final_noise or step < steps - 1
        expected_mean -= rate * (expected_mean - mean)
        expected_variance = (1 - rate) ** 2 * expected_variance + step_variance * noisy
    samples = run(gaussian(mean, variance)[0], steps, step_variance, final_noise=final_noise).samples
    assert samples.mean() == pytest.approx(expected_mean, abs=FIVE_SIGMA_MEAN * expected_variance**0.5 + 1e-12)
    assert samples.var() == pytest.approx(expected_variance, rel=FIVE_SIGMA_VARIANCE, abs=1e-12)


def test_metropolis_correction_removes_the_step_bias():
    """A step of 1.2 standard deviations leaves the plain chain 56 % too wide, the corrected one exact."""
    mean, variance, step_variance = 1.0, 0.25, 0.36
    score, log_density_and_score = gaussian(mean, variance)
    biased = variance / (1 - step_variance / (4 * variance))
    assert run(score, 60, step_variance).samples.var() == pytest.approx(biased, rel=FIVE_SIGMA_VARIANCE)
    corrected = run(score, 60, step_variance, log_density_and_score=log_density_and_score)
    assert corrected.samples.mean() == pytest.approx(mean, abs=FIVE_SIGMA_MEAN * variance**0.5)
    assert corrected.samples.var() == pytest.approx(variance, rel=FIVE_SIGMA_VARIANCE)
    assert 0.5 < corrected.acceptance_rate.mean() < 1


@pytest.mark.parametrize("share", [0.3, 0.75, 1.0])
def test_exponential_steps_leave_a_gaussian_exactly_invariant(share):
    """With s² = share · v and h = (1-ρ) v, ρ² = 1 - share, a step from N(m, v) ends in N(m, v)."""
    mean, variance = 1.0, 0.25
    start = mean + variance**0.5 * torch.randn(N, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    drift = torch.full((4, 1, 1), (1 - (1 - share) ** 0.5) * variance, dtype=torch.float64)
    samples = run(gaussian(mean, variance)[0], 4, share * variance, start, drift=drift).samples
    assert samples.mean() == pytest.approx(mean, abs=FIVE_SIGMA_MEAN * variance**0.5)
    assert samples.var() == pytest.approx(variance, rel=FIVE_SIGMA_VARIANCE)


def test_each_step_evaluates_the_density_once():
    calls = []

    def log_density_and_score(z):
        calls.append(len(z))
        return gaussian(0.0, 1.0)[1](z)

    def score(z):
        return log_density_and_score(z)[1]

    start = torch.zeros(3, 1, dtype=torch.float64)
    run(score, 100, 0.1, start)
    run(score, 100, 0.1, start, final_noise=False)
    assert len(calls) == 200
    run(score, 100, 0.1, start, log_density_and_score=log_density_and_score)
    assert len(calls) == 301
    run(score, 100, 0.1, start, log_density_and_score=log_density_and_score, final_noise=False)
    assert len(calls) == 401


def test_steps_may_change_along_the_chain():
    """Variances of the recursion of a Gaussian with steps of 1.2 and then 0.1 standard deviations."""
    steps = torch.tensor([1.44, 0.01], dtype=torch.float64)[:, None, None]
    generator = torch.Generator().manual_seed(0)
    samples = langevin(gaussian(0.0, 1.0)[0], torch.zeros(N, 1).double(), steps, generator=generator).samples
    assert samples.var() == pytest.approx(1.44 * 0.995**2 + 0.01, rel=FIVE_SIGMA_VARIANCE)


def test_rows_may_have_their_own_steps():
    score, _ = gaussian(0.0, 1.0)
    step_variance = torch.tensor([[0.0], [0.5]], dtype=torch.float64).expand(3, 2, 1)
    start = torch.ones(2, 1, dtype=torch.float64)
    samples = langevin(score, start, step_variance, generator=torch.Generator().manual_seed(0)).samples
    assert samples[0] == 1 and samples[1] != 1


def test_same_seed_same_chain_and_no_steps_no_change():
    score, _ = gaussian(0.0, 1.0)
    assert torch.equal(run(score, 5, 0.1, seed=1).samples, run(score, 5, 0.1, seed=1).samples)
    assert not torch.equal(run(score, 5, 0.1, seed=1).samples, run(score, 5, 0.1, seed=2).samples)
    assert (run(score, 0, 0.1, final_noise=False).samples == 3).all()


def test_metropolis_correction_is_exact_where_many_steps_are_rejected():
    """Steps of 1.6 standard deviations from exact samples: a chain that stays must go on from the state, density and
    score that it has. With the score of the refused proposal the variance would be 12 % too small."""
    mean, variance, step_variance = 1.0, 0.25, 0.64
    score, log_density_and_score = gaussian(mean, variance)
    start = mean + variance**0.5 * torch.randn(N, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    corrected = run(score, 20, step_variance, start, log_density_and_score=log_density_and_score)
    assert corrected.acceptance_rate.mean() == pytest.approx(0.7, abs=0.02)
    assert corrected.samples.mean() == pytest.approx(mean, abs=FIVE_SIGMA_MEAN * variance**0.5)
    assert corrected.samples.var() == pytest.approx(variance, rel=FIVE_SIGMA_VARIANCE)


@pytest.mark.parametrize("metropolis", [False, True])
@pytest.mark.parametrize("steps", [1, 6, 7])
def test_the_middle_is_the_state_after_half_of_the_steps_rounded_down(steps, metropolis):
    """The score is asked for at every state in turn, and steps as small as these are all accepted."""
    states = []

    def log_density_and_score(z):
        states.append(z)
        return gaussian(0.0, 1.0)[1](z)

    settings = {"log_density_and_score": log_density_and_score} if metropolis else {}
    start = torch.zeros(3, 2, dtype=torch.float64)
    output = run(lambda z: log_density_and_score(z)[1], steps, 1e-6, start, **settings)
    assert torch.equal(output.middle, states[steps // 2])
    assert (output.samples != output.middle).all()
    if metropolis:
        assert torch.equal(output.samples, states[steps]) and (output.acceptance_rate == 1).all()
    else:
        assert output.acceptance_rate is None


@pytest.mark.parametrize("metropolis", [False, True])
def test_noise_is_drawn_for_64_steps_at_once(metropolis):
    """Without a score the chain is the sum of its noise. All Metropolis steps are accepted if the density is even."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(64, 2, 3, dtype=torch.float64, generator=generator)
    if metropolis:
        torch.rand(64, 2, dtype=torch.float64, generator=generator)
    noise = torch.cat([first, torch.randn(36, 2, 3, dtype=torch.float64, generator=generator)])
    start = torch.zeros(2, 3, dtype=torch.float64)
    settings = {"log_density_and_score": lambda z: (torch.zeros_like(z[:, 0]), torch.zeros_like(z))}
    samples = run(torch.zeros_like, 100, 0.25, start, **settings if metropolis else {}).samples
    torch.testing.assert_close(samples, 0.5 * noise.sum(0))


def chains_at(value: list[float]) -> MetropolisChains:
    states = torch.zeros(len(value), 2)
    return MetropolisChains(states, torch.tensor(value), states - 1)


def test_a_proposal_is_accepted_with_the_probability_of_its_ratio():
    """Of density and of the noises there and back; a proposal of unknown density is refused."""
    chains = chains_at([1.0, 2.0, 3.0, 4.0])
    assert chains.acceptance_rate.tolist() == chains.acceptance_probability.tolist() == [0] * 4
    ratio, noise = torch.tensor([-1.0, -1.0, 2.0, math.nan]), torch.tensor([[1.0, 2.0]]).repeat(4, 1)
    proposal = {"proposal": torch.ones(4, 2), "value": torch.full((4,), 9.0), "gradient": torch.full((4, 2), 5.0)}
    backward = torch.tensor([[2.0, 0.0]]).repeat(4, 1)  # its square is less by 1
    uniform = torch.tensor([0.60, 0.61, 0.99, 0.0])
    chains.accept_or_stay(**proposal, log_density_ratio=ratio, noise=noise, backward_noise=backward, uniform=uniform)
    torch.testing.assert_close(chains.acceptance_probability, torch.tensor([math.exp(-0.5)] * 2 + [1, 0]))
    assert chains.value.tolist() == [9, 2, 9, 4] and chains.states[:, 0].tolist() == [1, 0, 1, 0]
    assert chains.gradient[:, 1].tolist() == [5, -1, 5, -1]
    assert chains.acceptance_rate.tolist() == [1, 0, 1, 0]
    chains.accept_or_stay(
        **proposal, log_density_ratio=-ratio.nan_to_num(4.0) - 9, noise=noise, backward_noise=noise, uniform=uniform
    )
    assert chains.acceptance_rate.tolist() == [0.5, 0, 0.5, 0.5], "log of a uniform number of 0 is below any ratio"


def test_the_last_step_without_noise_has_its_own_drift():
    drift, none = torch.tensor([0.5, 0.25], dtype=torch.float64)[:, None, None], torch.zeros(2, 1, 1).double()
    start = torch.full((1, 1), 3.0, dtype=torch.float64)
    assert langevin(gaussian(0.0, 1.0)[0], start, none, drift=drift, final_noise=False).samples == 3 * 0.5 * 0.75
