import pytest
import torch
from torch.nn.utils import parametrize

import ldebm_hf.model.energy as energy_module
from ldebm_hf.model.energy import EnergyNetwork, sinusoidal_embedding


@pytest.fixture
def energy():
    torch.manual_seed(0)
    return EnergyNetwork(latent_size=5, num_symbols=3, num_levels=4, hidden_size=16, num_blocks=3).double()


def batch(n=7):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 5, generator=generator, dtype=torch.float64), torch.arange(n) % 4


def weights(n=7):
    """w and c of E = w F + c·f, different in every row."""
    generator = torch.Generator().manual_seed(2)
    return torch.rand(n, 1, generator=generator).double(), torch.randn(n, 3, generator=generator).double()


@pytest.mark.parametrize("with_logits", [False, True])
def test_closed_form_value_and_gradient_equal_autograd(energy, with_logits):
    energy.eval()
    scaled, level = batch()
    scaled.requires_grad_(True)
    free_energy_weight, logit_weight = weights()
    logit_weight = logit_weight if with_logits else None
    logits = energy(scaled, level)
    value = free_energy_weight[:, 0] * logits.logsumexp(-1)
    if with_logits:
        value = value + (logit_weight * logits).sum(-1)
    expected = torch.autograd.grad(value.sum(), scaled)[0]

    frozen = energy.frozen_copy(level, free_energy_weight, logit_weight=logit_weight)
    with torch.no_grad():
        first = frozen.gradient(scaled)
        frozen.gradient(scaled + 1)  # the buffers are used again; what was returned must not change
        torch.testing.assert_close(first, expected, rtol=0, atol=1e-10)
        torch.testing.assert_close(frozen.value_and_gradient(scaled), (value, expected), rtol=0, atol=1e-10)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradient_works_where_autograd_is_off(energy, context):
    scaled, level = batch()
    energy.eval()
    with context():
        gradient = energy.frozen_copy(level, weights()[0]).gradient(scaled)
    assert gradient.isfinite().all() and gradient.abs().max() > 0


def test_bfloat16_gradient_is_near_and_comes_back_in_the_states_precision(energy):
    energy.float().eval()
    scaled, level = (tensor.float() if tensor.is_floating_point() else tensor for tensor in batch())
    weight = torch.ones(7, 1)
    with torch.no_grad():
        exact = energy.frozen_copy(level, weight).gradient(scaled)
        rounded = energy.frozen_copy(level, weight, dtype=torch.bfloat16).gradient(scaled)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).norm() / exact.norm() < 0.2  # eight bits; some LeakyReLUs change sides


@torch.no_grad()
def test_compiled_gradient_is_the_eager_one(energy):
    energy.eval()
    scaled, level = batch()
    expected = energy.frozen_copy(level, *weights()).gradient(scaled)
    compiled = energy.frozen_copy(level, *weights(), compile=True).gradient(scaled)
    torch.testing.assert_close(compiled, expected, rtol=0, atol=1e-10)


@torch.no_grad()
def test_where_nothing_can_be_compiled_the_gradient_is_the_eager_one(energy, monkeypatch, caplog):
    def broken(function, **_):
        def run(*_):
            raise RuntimeError("no compiler")

        return run

    monkeypatch.setattr(torch, "compile", broken)
    energy_module.compiled.cache_clear()
    energy.eval()
    scaled, level = batch()
    expected = energy.frozen_copy(level, *weights()).gradient(scaled)
    for _ in range(2):
        assert torch.equal(energy.frozen_copy(level, *weights(), compile=True).gradient(scaled), expected)
    assert [record.getMessage() for record in caplog.records] == [
        "torch.compile failed; the sampler runs without it: no compiler"
    ]
    energy_module.compiled.cache_clear()


def test_spectral_norm_bounds_every_weight(energy):
    for _ in range(200):  # power iterations
        energy(*batch())
    for name, module in energy.named_modules():
        if parametrize.is_parametrized(module):
            assert torch.linalg.matrix_norm(module.weight, 2).item() == pytest.approx(1, abs=1e-3), name


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_freezing_inside_a_cached_block_does_not_cut_the_graph(energy, context):
    """The chain freezes the weights first; the loss that follows must still train them."""
    energy.train()
    scaled, level = batch()
    with parametrize.cached():
        with context():
            energy.frozen_copy(level, torch.ones(7, 1))
        energy(scaled, level).sum().backward()
    assert all(parameter.grad is not None for parameter in energy.parameters())


def test_level_table_is_the_transformers_one():
    table = sinusoidal_embedding(6, 8)
    assert table.shape == (6, 8)
    assert table[0].tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert table[3, 2] == pytest.approx(torch.sin(torch.tensor(3 / 10000**0.25)).item())
