import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import ldebm_hf.model.energy as energy_module
from ldebm_hf.model.energy import EnergyLinear, EnergyNetwork, sinusoidal_embedding


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
    maps = {name: module for name, module in energy.named_modules() if isinstance(module, EnergyLinear)}
    assert len(maps) == 2 + 2 + 1 + 3 + 1  # of latent and level, merge, blocks and head
    for name, module in maps.items():
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


def with_context(**settings):
    torch.manual_seed(0)
    sizes = {"latent_size": 5, "num_symbols": 3, "num_levels": 4, "hidden_size": 16, "num_blocks": 3}
    return EnergyNetwork(**sizes, context_size=2, **settings).double().eval()


def test_network_is_the_residual_perceptron_of_its_description():
    """Two maps each for latent, context and level; a merge of the three; blocks h + W LeakyReLU(h); a head."""
    energy, activation = with_context(), nn.LeakyReLU(0.2)
    scaled, level = batch()
    context = torch.randn(7, 2, dtype=torch.float64)
    level_features = energy.level.output(activation(energy.level.hidden(sinusoidal_embedding(4, 16).double()[level])))
    latent_features = energy.latent_output(activation(energy.latent_hidden(scaled)))
    context_features = energy.context_output(activation(energy.context_hidden(context)))
    hidden = energy.merge(activation(torch.cat([latent_features, context_features, level_features], 1)))
    for block in energy.blocks:
        hidden = hidden + block(activation(hidden))
    torch.testing.assert_close(energy(scaled, level, context), energy.head(activation(hidden)))


def test_sizes_by_default():
    energy = EnergyNetwork(5, 3, 4)
    assert len(energy.blocks) == 12 and energy.head.weight.shape == (3, 200) and energy.merge.in_features == 400
    assert parametrize.is_parametrized(energy.head) and energy.context_hidden is energy.context_output is None
    assert not parametrize.is_parametrized(EnergyNetwork(5, 3, 4, normalize=False).head)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_closed_form_depends_on_the_context_as_the_network_does(mode):
    """Also where the context was computed without a graph, and the next loss needs one."""
    energy = with_context()
    (scaled, level), (free_energy_weight, logit_weight) = batch(), weights()
    with mode():
        context = torch.randn(7, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 3
        frozen = energy.frozen_copy(level, free_energy_weight, logit_weight, context=context)
        value, gradient = frozen.value_and_gradient(scaled)
    scaled = scaled.requires_grad_()
    logits = energy(scaled, level, context.clone())
    expected = free_energy_weight[:, 0] * logits.logsumexp(-1) + (logit_weight * logits).sum(-1)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), scaled)[0], rtol=0, atol=1e-10)
    with torch.no_grad():
        other = energy.frozen_copy(level, free_energy_weight, logit_weight, context=context.clone() + 1)
        assert not torch.allclose(other.value_and_gradient(scaled)[0], value)


def test_nothing_is_compiled_unless_asked_for(energy, monkeypatch):
    monkeypatch.setattr(energy_module, "compiled", lambda evaluate: pytest.fail("compiled"))
    energy.eval()
    scaled, level = batch()
    with torch.no_grad():
        first = energy.frozen_copy(level, weights()[0])
        second = energy_module.FrozenNetwork(energy, level, weights()[0])
    assert torch.equal(first.gradient(scaled), second.gradient(scaled))
    assert not first.gradient(scaled).requires_grad


@pytest.mark.parametrize(("has_gpu", "mode"), [(True, "reduce-overhead"), (False, None)])
def test_cuda_graphs_are_asked_for_where_there_is_a_gpu(monkeypatch, has_gpu, mode):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(torch, "compile", lambda evaluate, mode: asked.append(mode) or evaluate)
    assert energy_module.compiled(lambda energy, scaled: (energy, scaled))(1, 2) == (1, 2)
    assert asked == [mode]


def test_what_fails_without_being_compiled_is_raised(monkeypatch):
    def fail(energy, scaled):
        raise RuntimeError("of the energy itself")

    monkeypatch.setattr(torch, "compile", lambda evaluate, mode: evaluate)
    with pytest.raises(RuntimeError, match="of the energy itself"):
        energy_module.compiled(fail)(None, None)


def test_restarted_power_iteration_knows_the_new_weights_norm():
    torch.manual_seed(0)
    layer = energy_module.NormalizedLinear(6, 5).eval()
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(torch.diag(torch.arange(1.0, 7))[:5] * 3)
    norm = layer.parametrizations.weight[0]
    norm._v.zero_()  # as it can be in memory that was never written
    energy_module.restart_power_iteration(layer)
    assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.02)
    loaded = norm._v.clone()
    for tensor in (layer.parametrizations.weight.original, norm._u, norm._v):
        tensor._is_hf_initialized = True
    energy_module.restart_power_iteration(layer)
    assert torch.equal(norm._v, loaded), "what a checkpoint brought stays"


def test_pickled_map_is_the_map_itself():
    layer = energy_module.NormalizedLinear(4, 3).eval()
    inputs = torch.randn(2, 4)
    state = torch.random.get_rng_state()
    again = pickle.loads(pickle.dumps(layer))
    assert torch.equal(again(inputs), layer(inputs))
    assert torch.equal(torch.random.get_rng_state(), state), "no random numbers are drawn"


def test_level_table_is_the_transformers_one():
    table = sinusoidal_embedding(6, 8)
    assert table.shape == (6, 8)
    assert table[0].tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert table[3, 2] == pytest.approx(torch.sin(torch.tensor(3 / 10000**0.25)).item())
    assert table[5, 7] == pytest.approx(torch.cos(torch.tensor(5 / 10000**0.75)).item())
    angles = np.arange(1000)[:, None] / 10000 ** (np.arange(0, 64, 2) / 64)  # not rounded before their sines are
    np.testing.assert_allclose(sinusoidal_embedding(1000, 64)[:, ::2], np.sin(angles), rtol=0, atol=1e-7)
    assert sinusoidal_embedding(6, 5).shape == (6, 5) and table.dtype == torch.float32
