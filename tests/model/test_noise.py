"""A seed stands for a generator wherever a function draws; what is neither is refused by name."""

import numpy as np
import pytest
import torch
from tiny_models import TINY_SIZES, seeded, tiny_model

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.likelihood.bounds import importance_weighted_bound
from ldebm_hf.likelihood.latent_density import prepare_annealing
from ldebm_hf.likelihood.published_estimator import published_log_likelihood
from ldebm_hf.model.noise import as_generator, gaussian_like
from ldebm_hf.model.rejection import generate_accepted
from ldebm_hf.scores.distances import sliced_wasserstein

IDS = torch.tensor([[2, 4, 1, 3]])


def of_modality(modality):
    torch.manual_seed(0)
    sizes = TINY_SIZES | {"modality": modality, "document_hidden_size": 8, "point_hidden_size": 8}
    return LDEBMModel(LDEBMConfig.from_preset("consistent", **sizes)).eval()


DRAWERS = {
    "generate": lambda g: tiny_model().generate(num_samples=3, do_sample=True, generator=g),
    "documents": lambda g: of_modality("document").generate(
        num_samples=2, do_sample=True, max_new_tokens=3, generator=g
    ),
    "points": lambda g: of_modality("point").generate(num_samples=2, do_sample=True, generator=g),
    "sample_latents": lambda g: tiny_model().sample_latents(5, batch_size=2, generator=g),
    "forward": lambda g: tiny_model()(IDS, generator=g).loss,
    "posterior": lambda g: tiny_model().posterior(IDS).sample(g),
    "complete": lambda g: tiny_model().complete(IDS, num_chains=2, generator=g).latents,
    "accepted": lambda g: generate_accepted(tiny_model(), 0.5, ["good"] * 4, do_sample=True, generator=g).token_ids,
    "bound": lambda g: importance_weighted_bound(
        tiny_model(prior="gaussian", id2label=None), num_samples=3, input_ids=IDS, generator=g
    ),
    "annealing": lambda g: torch.tensor(
        prepare_annealing(tiny_model().prior, num_temperatures=2, num_chains=4, generator=g).log_last_tilt_lower
    ),
    "published": lambda g: published_log_likelihood(tiny_model(preset="published"), input_ids=IDS, generator=g),
    "sliced_wasserstein": lambda g: torch.tensor(
        sliced_wasserstein(torch.eye(3), torch.zeros(2, 3), num_projections=4, generator=g)
    ),
}


@pytest.mark.parametrize("draw", DRAWERS.values(), ids=DRAWERS)
def test_a_seed_is_a_generator(draw):
    expected = draw(seeded(5))
    assert torch.equal(draw(5), expected) and torch.equal(draw(np.int64(5)), expected)


@pytest.mark.parametrize("draw", DRAWERS.values(), ids=DRAWERS)
@pytest.mark.parametrize(
    "wrong",
    [[seeded(), seeded()], "5", 0.5, True, np.random.default_rng(0), torch.tensor(5)],
    ids=["list", "text", "float", "bool", "NumPy's generator", "tensor"],
)
def test_anything_else_is_refused_by_name(draw, wrong):
    with pytest.raises(ValueError, match="generator must be a torch.Generator, an integer seed or None"):
        draw(wrong)


def test_the_error_on_a_list_says_that_one_is_for_all_samples():
    with pytest.raises(ValueError, match="one for all samples, got a list"):
        as_generator([seeded()])


def test_a_seed_beyond_64_bits_is_refused():
    with pytest.raises(ValueError, match="64 bits"):
        as_generator(2**64)


def test_single_draws_refuse_a_seed_which_would_repeat_the_same_numbers():
    with pytest.raises(ValueError, match="generator must be a torch.Generator or None, got 3"):
        gaussian_like(torch.zeros(2), 3)
