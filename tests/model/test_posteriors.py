"""Posteriors: entropies in closed form, Gaussian and Gumbel samples, and what a latent vector consists of."""

import math

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from tiny_models import seeded
from torch.distributions import Categorical, Independent, Normal

from ldebm_hf.model.codes import joint_logits
from ldebm_hf.model.configuration_ldebm import LDEBMConfig
from ldebm_hf.model.posteriors import Posterior, PosteriorHeads

N = 20_000
LOGITS = torch.tensor([[1.0, -0.5, 0.3], [-2.0, 0.0, 1.0]], dtype=torch.float64)  # of two variables


def code_config(prior="semi", **settings):
    return LDEBMConfig(prior=prior, latent_size=4, num_code_variables=2, num_symbols=9, **settings)


def posterior(prior="semi", batch_size=5, **settings):
    """In float64, with gradient."""
    config = code_config(prior, **settings)
    torch.manual_seed(0)
    mean, log_variance = torch.randn(2, batch_size, config.gaussian_size, dtype=torch.float64)
    logits = torch.randn(batch_size, 2, 3, dtype=torch.float64) if config.has_codes else None
    tensors = [tensor.requires_grad_() for tensor in (mean, log_variance, logits) if tensor is not None]
    return Posterior(config, *tensors)


@pytest.mark.parametrize("prior", ["gaussian", "mixture", "discrete", "semi"])
def test_negative_entropy_is_the_distributions(prior):
    q = posterior(prior)
    entropy = Independent(Normal(q.mean, (q.log_variance / 2).exp()), 1).entropy()
    entropy = entropy - q.config.gaussian_size / 2 * math.log(2 * math.pi)
    if q.code_logits is not None:
        entropy = entropy + Categorical(logits=q.code_logits).entropy().sum(-1)
    torch.testing.assert_close(-q.negative_entropy(), entropy.mean())


@pytest.mark.parametrize("prior", ["gaussian", "mixture", "discrete", "semi"])
def test_log_density_is_that_of_the_distributions(prior):
    """Of a normal distribution, and of the codes if the latent vector holds them."""
    q = posterior(prior)
    latents = q.sample(seeded(), relaxed=False)
    expected = Independent(Normal(q.mean, (q.log_variance / 2).exp()), 1).log_prob(
        latents[:, : q.config.gaussian_size]
    )
    if prior in ("discrete", "semi"):
        codes = latents[:, q.config.gaussian_size :].unflatten(-1, (2, 3)).argmax(-1)
        expected = expected + Categorical(logits=q.code_logits).log_prob(codes).sum(-1)
    torch.testing.assert_close(q.log_prob(latents), expected)


def test_threshold_counts_the_narrow_dimensions():
    q = posterior("gaussian")
    narrow = -0.5 * (1 + q.log_variance)
    expected = (narrow * (narrow > 0.3)).sum(-1).mean()
    torch.testing.assert_close(q.negative_entropy(threshold=0.3), expected)


def test_threshold_masks_the_gaussian_part_only():
    q = posterior("semi")
    code_part = posterior("discrete")
    masked = q.negative_entropy(threshold=100.0)
    torch.testing.assert_close(masked, Posterior(code_part.config, q.mean[:, :0], q.mean[:, :0], q.code_logits)
                               .negative_entropy())  # fmt: skip


@pytest.mark.parametrize(("prior", "size"), [("gaussian", 4), ("mixture", 4), ("discrete", 6), ("semi", 10)])
@pytest.mark.parametrize("relaxed", [True, False])
def test_a_latent_vector_is_the_gaussian_part_and_then_the_code_that_is_read(prior, size, relaxed):
    q = posterior(prior)
    vectors = {"sample": q.sample(seeded(), relaxed=relaxed), "expectation": q.expectation, "mode": q.mode}
    for name, vector in vectors.items():
        assert vector.shape == (5, size), name
        if prior in ("discrete", "semi"):
            codes = vector[:, -6:].unflatten(-1, (2, 3))
            torch.testing.assert_close(codes.sum(-1), torch.ones(5, 2, dtype=torch.float64))
            if name == "mode" or (name == "sample" and not relaxed):
                assert ((codes == 0) | (codes == 1)).all(), name
    if prior != "discrete":
        assert torch.equal(vectors["expectation"][:, :4], q.mean) and torch.equal(vectors["mode"][:, :4], q.mean)
    if prior in ("discrete", "semi"):
        assert torch.equal(vectors["expectation"][:, -6:].unflatten(-1, (2, 3)), q.code_logits.softmax(-1))
        assert torch.equal(vectors["mode"][:, -6:].unflatten(-1, (2, 3)).argmax(-1), q.code_logits.argmax(-1))
    if q.code_logits is not None:
        assert torch.equal(q.symbol_logits(), joint_logits(q.code_logits))


def test_gaussian_samples_have_the_posteriors_moments():
    mean, log_variance = torch.tensor([1.0, -2.0]), torch.tensor([0.5, -3.0])
    q = Posterior(LDEBMConfig(prior="gaussian", latent_size=2), mean.expand(N, 2), log_variance.expand(N, 2))
    samples = q.sample(seeded())
    noise = torch.randn(N, 2, generator=seeded())
    torch.testing.assert_close(samples, mean + (log_variance / 2).exp() * noise)  # a seed keeps its samples
    assert ((samples.mean(0) - mean).abs() < 5 * (log_variance.exp() / N).sqrt()).all()
    assert ((samples.var(0) / log_variance.exp() - 1).abs() < 5 * (2 / N) ** 0.5).all()


def many_codes(temperature=1.0, relaxed=True):
    q = Posterior(code_config("discrete", gumbel_temperature=temperature), *[torch.zeros(N, 0).double()] * 2,
                  LOGITS.expand(N, 2, 3))  # fmt: skip
    return q.sample(seeded(), relaxed=relaxed).unflatten(-1, (2, 3))


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_codes_are_drawn_as_often_as_they_are_likely(temperature):
    """Hard codes, and the largest entry of relaxed ones, at every temperature (the Gumbel-max trick)."""
    probability = LOGITS.softmax(-1)
    error = (probability * (1 - probability) / N).sqrt()
    hard, relaxed = many_codes(temperature, relaxed=False), many_codes(temperature)
    assert torch.equal(hard.argmax(-1), relaxed.argmax(-1))
    assert ((hard.mean(0) - probability).abs() < 5 * error).all()
    joint = (hard[:, 0, :, None] * hard[:, 1, None]).mean(0)  # the variables are independent
    expected = probability[0, :, None] * probability[1]
    assert ((joint - expected).abs() < 5 * (expected * (1 - expected) / N).sqrt()).all()


def test_relaxed_codes_sharpen_as_the_temperature_falls():
    largest = [many_codes(temperature).amax(-1).mean().item() for temperature in (10.0, 1.0, 0.1, 0.001)]
    assert largest == sorted(largest) and largest[0] < 0.5 and largest[-1] > 0.999
    for temperature in (10.0, 0.001):
        torch.testing.assert_close(many_codes(temperature).sum(-1), torch.ones(N, 2, dtype=torch.float64))


def test_gradient_flows_through_relaxed_samples():
    q = posterior("semi")
    weights = torch.randn(5, 10, dtype=torch.float64)
    gradients = torch.autograd.grad((weights * q.sample(seeded())).sum(), [q.mean, q.log_variance, q.code_logits])
    assert all(gradient.abs().min() > 0 for gradient in gradients)
    assert torch.equal(gradients[0], weights[:, :4])


def test_gradient_of_a_relaxed_sample_is_that_of_the_concrete_distribution():
    """Of softmax((l + g)/τ) with the Gumbel noise g held: (diag(s) - s sᵀ)/τ."""
    q = posterior("discrete", batch_size=1, gumbel_temperature=0.7)
    sample = q.sample(seeded()).unflatten(-1, (2, 3))[0, 0]
    jacobian = torch.stack([torch.autograd.grad(entry, q.code_logits, retain_graph=True)[0][0, 0] for entry in sample])
    torch.testing.assert_close(jacobian, (sample.diag() - sample[:, None] * sample) / 0.7)


def test_unlikely_and_certain_codes_stay_finite():
    logits = torch.tensor([[[0.0, -1e4, 1e4]]]).expand(1000, 1, 3).clone().requires_grad_()
    config = LDEBMConfig(prior="discrete", num_symbols=3, gumbel_temperature=0.01)
    q = Posterior(config, torch.zeros(1000, 0), torch.zeros(1000, 0), logits)
    sample = q.sample(seeded())
    (sample.sum() + q.negative_entropy()).backward()
    assert sample.isfinite().all() and (sample[:, 2] == 1).all() and logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("prior", "names"),
    [("diffusion", ["log_variance", "mean"]), ("gaussian", ["log_variance", "mean"]), ("discrete", ["code"])]
    + [("mixture", ["code", "log_variance", "mean"]), ("semi", ["code", "log_variance", "mean"])],
)
def test_heads_make_what_the_prior_needs(prior, names):
    heads = PosteriorHeads(code_config(prior, normalize_posterior=False), 7)
    assert sorted({name.partition(".")[0] for name, _ in heads.named_parameters()}) == names
    features = torch.randn(5, 7)
    q = heads(features)
    assert q.mean.shape == q.log_variance.shape == (5, 0 if prior == "discrete" else 4)
    if "mean" in names:
        assert torch.equal(q.mean, heads.mean(features)) and torch.equal(q.log_variance, heads.log_variance(features))
    if "code" in names:
        assert torch.equal(q.code_logits.flatten(1), heads.code(features)) and q.code_logits.shape == (5, 2, 3)
    half = heads.to(torch.bfloat16)(features.to(torch.bfloat16))
    assert half.mean.dtype == torch.float32 and (half.code_logits is None or half.code_logits.dtype == torch.float32)


def test_normalized_means_have_a_fixed_scale():
    config = LDEBMConfig(latent_size=3, normalize_posterior=True)
    torch.manual_seed(0)
    heads = PosteriorHeads(config, 5)
    features = 7 + 4 * torch.randn(64, 5)
    for _ in range(200):  # until the running averages have converged
        mean = heads(features).mean
    torch.testing.assert_close(mean.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(mean.var(0, unbiased=False), torch.ones(3), atol=1e-3, rtol=0)
    one = heads(features[:1]).mean  # a batch of one: by the running averages, in training too
    heads.eval()
    torch.testing.assert_close(heads(features).mean, mean, atol=0.05, rtol=0)
    torch.testing.assert_close(heads(features).mean[:1], one)


def normalized_heads(seed=0) -> PosteriorHeads:
    torch.manual_seed(seed)
    return PosteriorHeads(LDEBMConfig(latent_size=3, normalize_posterior=True), 5)


def test_two_examples_are_normalized_by_each_other():
    heads, features = normalized_heads(), torch.randn(2, 5)
    mean = heads.mean(features)
    expected = (mean - mean.mean(0)) / (mean.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(heads(features).mean, expected)
    assert not [name for name, _ in heads.named_parameters() if name.startswith("normalization")]


def test_one_example_counts_as_a_batch_in_training_alone_and_moves_no_average():
    heads, features = normalized_heads(), torch.randn(1, 5)
    norm = heads.normalization
    norm.running_mean.fill_(0.5)
    norm.running_var.fill_(4.0)
    heads.train()
    expected = (heads.mean(features) - 0.5) / (4 + norm.eps) ** 0.5
    torch.testing.assert_close(heads(features).mean, expected)
    assert norm.num_batches_tracked == 1
    heads.eval()
    torch.testing.assert_close(heads(features).mean, expected)
    assert norm.num_batches_tracked == 1
    assert norm.running_mean.tolist() == [0.5] * 3 and norm.running_var.tolist() == [4.0] * 3


def test_log_variances_are_not_normalized():
    heads, features = normalized_heads(), torch.randn(4, 5)
    assert torch.equal(heads(features).log_variance, heads.log_variance(features))


def test_normalized_means_need_a_gaussian_part():
    refused = "normalize_posterior must be False for prior='discrete'"
    with pytest.raises(StrictDataclassClassValidationError, match=refused):
        LDEBMConfig.from_preset("discrete_vae", normalize_posterior=True)
