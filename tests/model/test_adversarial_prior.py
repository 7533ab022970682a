"""The adversarial prior: the penalty's known values, a fit to Gaussians whose moments are known, what it refuses."""

import json
import logging

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from tiny_models import LATENT, seeded, tiny_model
from transformers.utils import logging as hf_logging

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.likelihood.bounds import estimate_log_likelihood
from ldebm_hf.likelihood.corpus_likelihood import write_likelihood
from ldebm_hf.model.adversarial_fit import gradient_penalty

SIZE = 2
MEANS = torch.tensor([[[3.0, 0.0], [3.0, 2.0]], [[-2.0, 1.0], [-2.0, 1.0]], [[0.0, -3.0], [1.0, -3.0]]])
"""Of each class, the means of its two components, which are equally likely."""
FACTORS = torch.tensor([[[0.5, 0.0], [0.0, 0.3]], [[0.6, 0.0], [0.5, 0.4]], [[0.4, 0.0], [0.0, 0.4]]])
"""Of each class, the Cholesky factor of its components' covariance."""
SHARES = torch.tensor([0.5, 0.3, 0.2])
QUICK = {"num_steps": 3, "num_critic_steps": 2, "hidden_size": 8, "batch_size": 16, "generator": 0}
STILL = {**QUICK, "num_steps": 1, "learning_rate": 1e-12}


def draws_of(labels: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Draws of the mixtures of some classes, `(n, 2)`."""
    generator = seeded(seed)
    component = (torch.rand(len(labels), generator=generator) < 0.5).long()
    noise = torch.randn(len(labels), SIZE, generator=generator)
    return MEANS[labels, component] + torch.einsum("nij,nj->ni", FACTORS[labels], noise)


def exact_moments(label: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and covariance of the mixture of a class."""
    mean, factor = MEANS[label].mean(0), FACTORS[label]
    offset = (MEANS[label, 0] - mean)[:, None]
    return mean, factor @ factor.T + offset @ offset.T


def some_latents(number: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.arange(number) % 3
    return torch.randn(number, LATENT, generator=seeded(1)) + labels[:, None], labels


# ------------------------------------------------------------------------------------------------------------- the fit


@pytest.mark.parametrize("norm", [0.5, 1.0, 3.0])
def test_penalty_of_a_linear_critic_is_known(norm):
    weight = torch.tensor([0.6, -0.8]) * norm
    weight.requires_grad_()
    for critic in (lambda points: points @ weight + 7, lambda points: (points @ weight)[:, None]):
        penalty = gradient_penalty(critic, torch.randn(5, 2, generator=seeded()))
        torch.testing.assert_close(penalty, torch.tensor((norm - 1) ** 2))
        (gradient,) = torch.autograd.grad(penalty, weight)
        torch.testing.assert_close(gradient, 2 * (norm - 1) * weight.detach() / norm, atol=1e-6, rtol=1e-5)


def test_penalty_of_a_quadratic_critic_is_the_mean_over_points():
    points = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    penalty = gradient_penalty(lambda points: points.square().sum(-1) / 2, points)  # the gradient is the point
    torch.testing.assert_close(penalty, torch.tensor((4.0**2 + 0.0) / 2))


@pytest.fixture(scope="module")
def fitted():
    """A model whose generator was fitted to 6,000 draws of the mixtures, and what the critic measured."""
    model = tiny_model("cgan", latent_size=SIZE)
    labels = torch.multinomial(SHARES, 6000, replacement=True, generator=seeded())
    settings = {"num_steps": 600, "hidden_size": 64, "penalty_weight": 0.1, "generator": 0}
    output = model.fit_adversarial_prior(draws_of(labels), labels, **settings)
    return model, output


def test_fit_has_the_moments_of_known_mixtures_and_keeps_the_classes_apart(fitted):
    """
    Tolerances: means within 0.25 and entries of covariances within 0.25, where the classes are about 4 apart and
    within a class a coordinate's standard deviation is 0.3 to 1.1; 97 % of the draws are nearest their own class.
    """
    model, _ = fitted
    centers = MEANS.mean(1)
    for label in range(3):
        latents = model.sample_latents(4000, class_labels=label, generator=5)
        mean, covariance = exact_moments(label)
        assert (latents.mean(0) - mean).abs().max() < 0.25
        assert (latents.T.cov() - covariance).abs().max() < 0.25
        nearest = (latents[:, None] - centers).norm(dim=-1).argmin(-1)
        assert (nearest == label).float().mean() > 0.97


def test_without_a_class_the_classes_are_as_frequent_as_they_were(fitted):
    """Within five standard errors, and 3 % of draws that are nearest another class."""
    model, _ = fitted
    latents = model.sample_latents(4000, generator=6)
    nearest = (latents[:, None] - MEANS.mean(1)).norm(dim=-1).argmin(-1)
    found = nearest.bincount(minlength=3) / len(nearest)
    assert ((found - SHARES).abs() < 5 * (SHARES * (1 - SHARES) / 4000).sqrt() + 0.03).all()


def test_critic_measures_less_in_the_end_and_keeps_to_the_penalty(fitted):
    _, output = fitted
    assert output.critic_difference.shape == output.gradient_penalty.shape == (600,)
    assert output.critic_difference[-50:].abs().mean() < output.critic_difference[10:60].mean() / 2
    assert output.gradient_penalty[-50:].mean() < 0.5


def test_before_the_first_step_latents_are_gaussian_with_the_moments_of_all():
    model, (latents, labels) = tiny_model("cgan"), some_latents()
    model.fit_adversarial_prior(latents, labels, **STILL)
    noise = torch.randn(7, LATENT, generator=seeded(3))
    expected = latents.mean(0) + latents.std(0, correction=0) * noise
    drawn = model.sample_latents(7, class_labels=1, generator=seeded(3))
    torch.testing.assert_close(drawn, expected, atol=1e-5, rtol=1e-5)


def test_the_encoder_that_made_the_latents_is_not_trained():
    model, (latents, labels) = tiny_model("cgan"), some_latents()
    latents.requires_grad_()
    model.fit_adversarial_prior(latents * 1.0, labels, **QUICK)
    assert latents.grad is None and not model.sample_latents(2).requires_grad
    assert not any(buffer.requires_grad for buffer in model.prior.buffers())


def test_a_dimension_that_does_not_vary_stays_as_it_is():
    model, (latents, labels) = tiny_model("cgan"), some_latents()
    latents[:, 1] = 5.0
    model.fit_adversarial_prior(latents, labels, **QUICK)
    drawn = model.sample_latents(9, generator=0)
    assert drawn.isfinite().all() and (drawn[:, 1] - 5).abs().max() < 1e-3


def test_latents_without_a_class_are_left_out():
    model, (latents, labels) = tiny_model("cgan"), some_latents()
    far = torch.cat([latents, torch.full((4, LATENT), 1e3)])
    model.fit_adversarial_prior(far, torch.cat([labels, torch.full((4,), -100)]), **QUICK)
    other = tiny_model("cgan")
    other.fit_adversarial_prior(latents, [["good", "bad", "neutral"][label] for label in labels], **QUICK)
    assert torch.equal(model.sample_latents(5, generator=1), other.sample_latents(5, generator=1))


def test_same_seed_same_generator_and_nothing_else_changes():
    first, again, other, untouched = (tiny_model("cgan") for _ in range(4))
    for model, seed in ((first, 0), (again, 0), (other, 1)):
        model.fit_adversarial_prior(*some_latents(), **{**QUICK, "generator": seed})
    latents = [model.sample_latents(6, generator=2) for model in (first, again, other)]
    assert torch.equal(latents[0], latents[1]) and not torch.equal(latents[0], latents[2])
    first.fit_adversarial_prior(*some_latents(), **QUICK)
    assert torch.equal(first.sample_latents(6, generator=2), latents[0]), "a second fit begins anew"
    for name, tensor in untouched.state_dict().items():
        assert torch.equal(first.state_dict()[name], tensor), name
    assert not any(parameter.requires_grad for parameter in first.prior.latent_generator.parameters())


# -------------------------------------------------------------------------------------------------------- the prior


def test_saved_with_the_checkpoint(tmp_path):
    model = tiny_model("cgan")
    model.fit_adversarial_prior(*some_latents(), **QUICK)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["latent_generator"] == {"hidden_size": 8}
    loaded, found = LDEBMModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(found.values())
    for arguments in ({"num_samples": 4}, {"class_labels": ["good", "neutral"]}):
        assert torch.equal(*(m.sample_latents(**arguments, generator=2) for m in (model, loaded)))
        assert torch.equal(*(m.generate(**arguments, generator=2, max_new_tokens=4) for m in (model, loaded)))
    assert not any(parameter.requires_grad for parameter in loaded.prior.latent_generator.parameters())
    loaded.train()(torch.tensor([[2, 4, 5, 3]] * 4)).loss.backward()
    assert all(parameter.grad is None for parameter in loaded.prior.latent_generator.parameters())


def test_until_it_is_fitted_latents_are_normal_and_a_class_is_warned_about(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    hf_logging.warning_once.cache_clear()  # what other tests were warned about
    model = tiny_model("cgan")
    expected = torch.randn(3, LATENT, generator=seeded(4))
    assert torch.equal(model.sample_latents(3, generator=seeded(4)), expected)
    assert "no generator is fitted" not in caplog.text
    assert torch.equal(model.sample_latents(3, class_labels=2, generator=seeded(4)), expected)
    assert "no generator is fitted" in caplog.text


def test_density_for_chains_is_the_normal_one_and_that_of_the_class():
    model, latents = tiny_model("cgan"), some_latents()[0]
    normal = torch.distributions.Normal(0, 1).log_prob(latents).sum(-1)
    labels = torch.full((len(latents),), 2)
    torch.testing.assert_close(model.prior.log_density_for_chains(latents)(latents), normal)
    of_class = model.prior.symbol_logits(latents).log_softmax(-1)[:, 2]
    torch.testing.assert_close(model.prior.log_density_for_chains(latents, labels)(latents), normal + of_class)


# ---------------------------------------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([-100] * 30, "class_labels must have the class of at least one latent"),
        (["awful"] * 30, "class_labels must be in 0..2 or one of 'good', 'bad', 'neutral'; got 'awful'"),
        ([0, 1], "class_labels must be one for each of 30 latents, got 2"),
        ([], "class_labels must name at least one symbol, got none"),
    ],
)
def test_classes_that_cannot_be_fitted_to(labels, message):
    with pytest.raises(ValueError, match=message):
        tiny_model("cgan").fit_adversarial_prior(some_latents()[0], labels, **QUICK)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
        ({"num_critic_steps": 0}, "num_critic_steps must be at least 1, got 0"),
        ({"learning_rate": 0}, "learning_rate must be in"),
        ({"penalty_weight": -1}, "penalty_weight must be at least 0, got -1"),
    ],
)
def test_settings_of_the_fit_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        tiny_model("cgan").fit_adversarial_prior(*some_latents(), **{**QUICK, **options})


def test_other_priors_and_latents_of_another_size_are_refused():
    with pytest.raises(ValueError, match="is for models with prior=\"adversarial\", got prior='diffusion'"):
        tiny_model().fit_adversarial_prior(*some_latents(), **QUICK)
    with pytest.raises(ValueError, match="latents must have shape"):
        tiny_model("cgan").fit_adversarial_prior(torch.zeros(3, 2), [0, 1, 2], **QUICK)


def test_a_class_of_which_no_latent_was_seen_is_refused():
    model, (latents, labels) = tiny_model("cgan"), some_latents()
    model.fit_adversarial_prior(latents[labels > 0], labels[labels > 0], **QUICK)
    with pytest.raises(ValueError, match="class_labels must be of 'bad', 'neutral', to which .*, got 'good'"):
        model.generate(class_labels=["bad", "good"])
    assert model.prior.latent_generator.draw_classes(200, seeded()).min() == 1


def test_a_class_that_was_not_seen_is_never_drawn(monkeypatch):
    """Not even by the extreme uniform numbers, where shares that are rounded have a sum a little below 1."""
    model, (latents, labels) = tiny_model("cgan"), some_latents()
    model.fit_adversarial_prior(latents, labels, **QUICK)
    monkeypatch.setattr("ldebm_hf.model.adversarial_prior.draw", lambda *_: torch.tensor([[0.0], [1 - 2**-24]]))
    shares = model.prior.latent_generator.class_shares
    shares.copy_(torch.tensor([0.5, 0.5 - 2**-24, 0.0]))
    assert model.prior.latent_generator.draw_classes(2).tolist() == [0, 1]
    shares.copy_(torch.tensor([0.0, 0.5, 0.5]))
    assert model.prior.latent_generator.draw_classes(2).tolist() == [1, 2]


def test_what_needs_a_density_contexts_or_other_symbols_is_refused(tmp_path):
    model = tiny_model("cgan")
    ids = torch.tensor([[2, 4, 5, 3]])
    with pytest.raises(ValueError, match="model must have a prior with a density, got one with prior='adversarial'"):
        estimate_log_likelihood(model, input_ids=ids)
    with pytest.raises(ValueError, match="model must have a prior with a density, got one with prior='adversarial'"):
        write_likelihood(model, ["a text"], tmp_path / "likelihood.json")
    with pytest.raises(ValueError, match="has no density"):
        model.prior.log_prob(torch.zeros(1, LATENT))
    with pytest.raises(ValueError, match="symbols of prior='adversarial' cannot be merged"):
        model.merge_symbols([[0, 1]])
    with pytest.raises(StrictDataclassError, match='context_size must be 0 for prior="adversarial"'):
        LDEBMConfig.from_preset("cgan", context_size=4)
    with pytest.raises(StrictDataclassError, match='latent_generator must be used with prior="adversarial" only'):
        LDEBMConfig(latent_generator={"hidden_size": 8})
    for wrong in ({}, {"hidden_size": 0}, {"hidden_size": 4, "layers": 2}):
        with pytest.raises(StrictDataclassError, match="latent_generator"):
            LDEBMConfig.from_preset("cgan", latent_generator=wrong)
