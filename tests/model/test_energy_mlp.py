"""SVEBM's network: its gradient in closed form is autograd's, and its symbols steer it."""

import pytest
import torch
from tiny_models import seeded
from torch import nn

from ldebm_hf.model.energy import EnergyMLP

LEVEL = torch.zeros(7, dtype=torch.long)


def random_energy(num_layers=2) -> EnergyMLP:
    torch.manual_seed(0)
    return EnergyMLP(latent_size=5, num_symbols=3, hidden_size=16, num_layers=num_layers).double()


def batch():
    return tuple(torch.randn(7, size, generator=seeded(size), dtype=torch.float64) for size in (5, 1, 3))


def test_network_is_the_plain_perceptron():
    energy = random_energy()
    latents, *_ = batch()
    layers = [energy.hidden[0], nn.GELU(), energy.hidden[1], nn.GELU(), energy.head]
    torch.testing.assert_close(energy(latents, LEVEL), nn.Sequential(*layers)(latents))
    assert torch.equal(energy(latents), energy(latents, LEVEL))


@pytest.mark.parametrize("num_layers", [0, 1, 2, 4])
@pytest.mark.parametrize("with_logits", [False, True])
def test_closed_form_value_and_gradient_equal_autograd(num_layers, with_logits):
    energy = random_energy(num_layers)
    latents, free_energy_weight, logit_weight = batch()
    logit_weight = logit_weight if with_logits else None
    latents.requires_grad_()
    logits = energy(latents, LEVEL)
    value = free_energy_weight[:, 0] * logits.logsumexp(-1)
    if with_logits:
        value = value + (logit_weight * logits).sum(-1)
    expected = torch.autograd.grad(value.sum(), latents)[0]
    frozen = energy.frozen_copy(LEVEL, free_energy_weight, logit_weight)
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            gradient = frozen.gradient(latents)
            assert not gradient.requires_grad
            torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-10)
            torch.testing.assert_close(frozen.value_and_gradient(latents), (value, expected), rtol=0, atol=1e-10)


@torch.no_grad()
def test_compiled_gradient_is_the_eager_one():
    energy = random_energy()
    latents, *weights = batch()
    expected = energy.frozen_copy(LEVEL, *weights).gradient(latents)
    compiled = energy.frozen_copy(LEVEL, *weights, compile=True).gradient(latents)
    torch.testing.assert_close(compiled, expected, rtol=0, atol=1e-10)


@torch.no_grad()
def test_bfloat16_gradient_is_near_and_comes_back_in_the_states_precision():
    energy = random_energy().float()
    latents, weight, _ = (tensor.float() for tensor in batch())
    exact = energy.frozen_copy(LEVEL, weight).gradient(latents)
    rounded = energy.frozen_copy(LEVEL, weight, dtype=torch.bfloat16).gradient(latents)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).norm() / exact.norm() < 0.05  # eight bits


def test_sizes_by_default():
    energy = EnergyMLP(5, 3)
    assert [layer.weight.shape for layer in energy.hidden] == [(200, 5), (200, 200)]
    assert energy.head.weight.shape == (3, 200)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_context_is_appended_to_the_latent_and_enters_the_closed_form(num_layers):
    torch.manual_seed(0)
    energy = EnergyMLP(latent_size=5, num_symbols=3, hidden_size=16, num_layers=num_layers, context_size=2).double()
    latents, free_energy_weight, logit_weight = batch()
    context = torch.randn(7, 2, generator=seeded(8), dtype=torch.float64)
    layers = [part for layer in energy.hidden for part in (layer, nn.GELU())]
    logits = nn.Sequential(*layers, energy.head)(torch.cat([latents.requires_grad_(), context], 1))
    torch.testing.assert_close(energy(latents, LEVEL, context), logits)
    value = free_energy_weight[:, 0] * logits.logsumexp(-1) + (logit_weight * logits).sum(-1)
    frozen = energy.frozen_copy(LEVEL, free_energy_weight, logit_weight, context=context)
    result = frozen.value_and_gradient(latents.detach())
    torch.testing.assert_close(result, (value, torch.autograd.grad(value.sum(), latents)[0]), rtol=0, atol=1e-10)
    assert not any(tensor.requires_grad for tensor in result)


def test_nothing_is_compiled_unless_asked_for(monkeypatch):
    monkeypatch.setattr("ldebm_hf.model.energy.compiled", lambda evaluate: pytest.fail("compiled"))
    latents, free_energy_weight, _ = batch()
    assert random_energy().frozen_copy(LEVEL, free_energy_weight).gradient(latents).isfinite().all()
