"""Importance weights against explicit sums."""

import numpy as np
import pytest
import torch
from tiny_models import seeded, tiny_model

from ldebm_hf.likelihood.bounds import LikelihoodSettings, estimate_log_likelihood
from ldebm_hf.likelihood.importance_weights import (
    LikelihoodEstimate,
    effective_sample_size,
    log_mean,
    log_mean_error,
    pareto_k,
    pareto_tail,
    relative_variance,
    resample,
    tail_size,
    temper,
)

LOG_WEIGHTS = 2 * torch.randn(4, 200, generator=seeded(), dtype=torch.float64)


def test_means_errors_and_sizes_are_those_of_the_weights():
    weights = LOG_WEIGHTS.exp()
    torch.testing.assert_close(log_mean(LOG_WEIGHTS).exp(), weights.mean(-1))
    torch.testing.assert_close(relative_variance(LOG_WEIGHTS), weights.var(-1) / weights.mean(-1).square() / 200)
    torch.testing.assert_close(effective_sample_size(LOG_WEIGHTS), weights.sum(-1) ** 2 / weights.square().sum(-1))


def test_equal_weights_have_no_error_and_a_single_large_one_leaves_one_sample():
    equal, single = torch.full((1, 50), -700.0), torch.zeros(1, 50)
    single[0, 7] = 900
    assert relative_variance(equal).item() == pytest.approx(0, abs=1e-6)
    assert effective_sample_size(torch.cat([equal, single])).tolist() == pytest.approx([50, 1], rel=1e-5)
    assert relative_variance(single).item() == pytest.approx(1, rel=1e-5)


def test_delta_method_gives_the_spread_of_the_estimate():
    """Over 4,000 repetitions with 200 weights of a log-normal each, whose standard deviation of 1 % is 5 sigma."""
    log_weights = 0.5 * torch.randn(4000, 200, generator=seeded(1), dtype=torch.float64)
    reported = relative_variance(log_weights).mean().sqrt()
    assert log_mean(log_weights).std().item() == pytest.approx(reported.item(), rel=0.06)


def test_tempered_weights_have_exactly_the_effective_size_to_reach():
    tempered = temper(LOG_WEIGHTS, 60)
    assert (effective_sample_size(LOG_WEIGHTS) < 60).all()
    torch.testing.assert_close(effective_sample_size(tempered), torch.full((4,), 60.0, dtype=torch.float64), rtol=1e-4,
                               atol=0)  # fmt: skip
    power = tempered / LOG_WEIGHTS
    torch.testing.assert_close(power, power[:, :1].expand(4, 200))
    assert torch.equal(temper(LOG_WEIGHTS, 2), LOG_WEIGHTS)


def test_samples_are_resampled_in_proportion_to_their_weights():
    """Systematic resampling: each S' w_s times, rounded up or down, and S' w_s on average over 400 seeds."""
    expected = 30 * LOG_WEIGHTS.softmax(-1)
    counts = torch.zeros(4, 200, dtype=torch.float64)
    for seed in range(400):
        drawn = torch.nn.functional.one_hot(resample(LOG_WEIGHTS, 30, seeded(seed)), 200).sum(1)
        assert (drawn.sum(-1) == 30).all() and ((drawn - expected).abs() < 1).all()
        counts += drawn
    error = (expected - expected.floor()) * (1 - expected + expected.floor()) / 400
    assert ((counts / 400 - expected).abs() < 5 * error.sqrt() + 0.02).all()


def test_exact_weights_have_one_estimate_for_both_sides():
    estimate = LikelihoodEstimate.from_exact_weights(LOG_WEIGHTS)
    assert torch.equal(estimate.lower, estimate.upper) and torch.equal(estimate.lower_error, estimate.upper_error)
    assert estimate.effective_annealed is None
    torch.testing.assert_close(estimate.lower_error, log_mean_error(LOG_WEIGHTS))
    torch.testing.assert_close(estimate.pareto_k, pareto_k(LOG_WEIGHTS))


# ---------------------------------------------------------------------------------------------------------------- ties


@pytest.mark.parametrize("rounding", [0, 1e-7])
def test_weights_that_are_tied_have_no_tail(rounding):
    """20 of 500 weights are larger, by little or by much; 10 kinds of weights, none of which is rare."""
    log_weights = torch.zeros(3, 500, dtype=torch.float64)
    log_weights[0, :20], log_weights[1, :20] = 0.1, 5
    log_weights[2] = torch.arange(500) % 10
    log_weights = log_weights - 500 * (1 + rounding * torch.rand(3, 500, generator=seeded(), dtype=torch.float64))
    assert pareto_k(log_weights).tolist() == [0, 0, 0]
    torch.testing.assert_close(log_mean_error(log_weights), relative_variance(log_weights).sqrt())


def test_weights_equal_to_the_threshold_are_not_in_the_tail():
    """50 weights above equal ones have the same tail however many of the equal ones are among the largest."""
    above = torch.randn(2, 50, generator=seeded(8), dtype=torch.float64).abs()
    tails = [
        pareto_tail(torch.cat([torch.zeros(2, number, dtype=torch.float64), above], -1)) for number in (230, 350)
    ]
    assert [tail.size for tail in tails] == [50, 60]
    for tail in tails:
        assert tail.num_above.tolist() == [50, 50]
    torch.testing.assert_close(tails[0].shape, tails[1].shape)
    torch.testing.assert_close(tails[0].scale, tails[1].scale)
    assert (tails[0].shape != 0).all()


def test_errors_of_a_model_of_codes_are_the_spread_of_its_estimates():
    """20 symbols, which 500 samples draw again and again; the spread over 200 repetitions is known to 5 %."""
    model = tiny_model(prior="discrete", id2label={symbol: f"s{symbol}" for symbol in range(20)})
    texts = [[2, 4, 5, 6, 3], [2, 7, 4, 3, 0], [2, 5, 3, 0, 0], [2, 4, 4, 4, 3]]
    settings = LikelihoodSettings(num_fitting_rounds=0)
    estimate = estimate_log_likelihood(model, settings, input_ids=texts * 200, generator=0)
    spread = estimate.lower.view(200, 4).std(0)
    errors = estimate.lower_error.view(200, 4)
    assert (estimate.pareto_k <= 0.7).all()
    assert (errors.mean(0) > 0.8 * spread).all() and (errors < 2 * spread).all()


# ------------------------------------------------------------------------------------------------------- honest errors


@pytest.mark.parametrize("k", [-0.4, 0.2, 0.6, 1.2])
def test_the_tails_shape_is_found(k):
    """200 sets of 4,000 weights with a generalised Pareto tail; k is drawn towards 1/2 by 10 of 189 weights."""
    uniform = torch.rand(200, 4000, generator=seeded(2), dtype=torch.float64)
    tail = pareto_tail((((1 - uniform) ** -k - 1) / k).log())
    assert tail.size == 189
    assert tail.shape.mean().item() == pytest.approx((189 * k + 5) / 199, abs=0.04)
    assert (pareto_k(5 + 2 * LOG_WEIGHTS) - pareto_k(2 * LOG_WEIGHTS)).abs().max() < 1e-9


def test_a_single_large_weight_is_a_heavy_tail():
    single = torch.randn(1, 50, generator=seeded(), dtype=torch.float64)
    single[0, 7] = 900
    assert pareto_k(single).item() > 10 and log_mean_error(single).item() > 1


def test_equal_weights_and_few_weights_have_no_tail():
    equal = torch.full((3, 100), -700.0)
    assert pareto_k(equal).tolist() == [0, 0, 0] and (log_mean_error(equal) < 1e-6).all()
    assert pareto_tail(equal).num_above.tolist() == [0, 0, 0]
    few = LOG_WEIGHTS[:, :24]
    assert pareto_k(few) is None and pareto_k(LOG_WEIGHTS[:, :25]).shape == (4,)
    torch.testing.assert_close(log_mean_error(few), relative_variance(few).sqrt())
    assert log_mean_error(torch.zeros(2, 1)).tolist() == [0, 0]


@pytest.mark.parametrize(("spread", "most_off"), [(0.5, 0.05), (1.5, 0.05), (2.5, 0.1)])
def test_errors_of_log_normal_weights_are_honest_or_the_weights_are_marked(spread, most_off):
    """2,000 sets of 200 weights. For a large spread few or none of those that decide the mean are drawn."""
    log_weights = spread * torch.randn(2000, 200, generator=seeded(3), dtype=torch.float64)
    distance = (log_mean(log_weights) - spread**2 / 2).abs()
    is_trusted = (effective_sample_size(log_weights) >= 10) & (pareto_k(log_weights) <= 0.7)
    is_off = distance > 2 * log_mean_error(log_weights)
    assert (is_off & is_trusted).double().mean() < most_off
    by_delta_method = (distance > 2 * relative_variance(log_weights).sqrt()).double().mean()
    assert is_off.double().mean() < 0.6 * by_delta_method
    assert spread < 1 or by_delta_method > 0.09


def test_errors_are_not_much_larger_than_they_need_be_where_weights_are_even():
    even = 0.2 * torch.randn(200, 500, generator=seeded(4), dtype=torch.float64)
    assert (log_mean_error(even) / relative_variance(even).sqrt()).mean() < 1.5


def test_beyond_a_mean_the_error_is_that_of_the_tails_logarithm():
    """k about 3 of 500 weights: S^(k-1) would be 250,000 nats."""
    uniform = torch.rand(20, 500, generator=seeded(5), dtype=torch.float64)
    log_weights = -3 * uniform.log()
    torch.testing.assert_close(log_mean_error(log_weights), 2 * pareto_k(log_weights))


# ----------------------------------------------------------------------------------------------- formulas written out


@pytest.mark.parametrize(
    ("num_weights", "size"), [(5, 0), (24, 0), (25, 5), (100, 20), (225, 45), (226, 45), (500, 67), (4000, 189)]
)
def test_the_tail_has_a_fifth_of_the_weights_or_three_roots_of_their_number(num_weights, size):
    assert tail_size(num_weights) == size


def tail_by_hand(weights: np.ndarray, size: int) -> tuple[float, float, float]:
    """k, σ and the threshold of Zhang and Stephens, in a loop over their candidates for -k/σ."""
    ordered = np.sort(weights) / weights.max()
    threshold = ordered[-size - 1]
    excess = ordered[-size:] - threshold
    number, quartile = 30 + int(np.sqrt(size)), excess[int(size / 4 + 0.5) - 1]
    rates, log_likelihoods = [], []
    for j in range(1, number + 1):
        rate = 1 / excess[-1] + (1 - np.sqrt(number / (j - 0.5))) / (3 * quartile)
        k = np.mean(np.log(1 - rate * excess))
        rates.append(rate)
        log_likelihoods.append(size * (np.log(-rate / k) - k - 1))
    shares = np.exp(np.array(log_likelihoods) - max(log_likelihoods))
    rate = np.sum(shares * rates) / shares.sum()
    k = np.mean(np.log(1 - rate * excess))
    return (size * k + 5) / (size + 10), -k / rate, threshold


def error_by_hand(weights: np.ndarray, size: int) -> float:
    n = len(weights)
    delta = weights.std(ddof=1) / weights.mean() / np.sqrt(n)
    k, scale, threshold = tail_by_hand(weights, size)
    wary = min(0.45, k + max(0, 1 + k) / np.sqrt(size))
    mean, square = scale / (1 - wary), 2 * scale**2 / ((1 - wary) * (1 - 2 * wary))
    relative = weights / weights.max()
    moment = np.square(np.sort(relative)[:-size]).sum() + size * (threshold**2 + 2 * threshold * mean + square)
    error = max(delta, np.sqrt(max(0, n * moment / relative.sum() ** 2 - 1) / n))
    return max(error, min(n ** (k - 1), 2 * k)) if k > 0.7 else error


@pytest.mark.parametrize("spread", [0.1, 0.7, 2.0, 5.0])
@pytest.mark.parametrize("number", [25, 200])
def test_tail_and_error_are_the_formulas_written_out(spread, number):
    log_weights = spread * torch.randn(6, number, generator=seeded(6), dtype=torch.float64)
    tail, errors = pareto_tail(log_weights), log_mean_error(log_weights)
    for row, weights in enumerate(log_weights.exp().numpy()):
        k, scale, threshold = tail_by_hand(weights, tail.size)
        assert tail.shape[row].item() == pytest.approx(k, abs=1e-9)
        assert tail.scale[row].item() == pytest.approx(scale, rel=1e-9)
        assert tail.threshold[row].item() == pytest.approx(threshold, rel=1e-9)
        assert errors[row].item() == pytest.approx(error_by_hand(weights, tail.size), rel=1e-6)


def test_resampling_starts_at_a_uniform_place_and_takes_even_steps():
    log_weights = torch.log(torch.tensor([[0.1, 0.4, 0.5], [0.5, 0.4, 0.1]]))
    offset = torch.rand(2, 1, generator=seeded(7), dtype=torch.float64)
    ends = torch.tensor([[0.1, 0.5, 1.0], [0.5, 0.9, 1.0]], dtype=torch.float64)
    places = (torch.arange(20) + offset) / 20
    expected = (places[:, :, None] > ends[:, None]).sum(-1)
    assert torch.equal(resample(log_weights, 20, seeded(7)), expected)


def test_three_bisections_find_the_power_to_an_eighth():
    searched = temper(LOG_WEIGHTS, 60, num_bisections=3)
    power = searched / LOG_WEIGHTS
    exact = temper(LOG_WEIGHTS, 60) / LOG_WEIGHTS
    torch.testing.assert_close(power, (8 * exact).floor() / 8)


def test_the_last_dimension_holds_the_weights():
    many = LOG_WEIGHTS.view(2, 2, 200)
    for function in (log_mean, effective_sample_size, relative_variance, log_mean_error, pareto_k):
        torch.testing.assert_close(function(many), function(LOG_WEIGHTS).view(2, 2))
        torch.testing.assert_close(function(LOG_WEIGHTS[0]), function(LOG_WEIGHTS)[0])
