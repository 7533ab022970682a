import pytest
import torch
from torch.nn.utils import parametrize

from ldebm_hf.energy import EnergyNetwork, sinusoidal_embedding


@pytest.fixture
def energy():
    torch.manual_seed(0)
    return EnergyNetwork(latent_size=5, num_symbols=3, num_levels=4, hidden_size=16, num_blocks=3).double()


def batch(n=7):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 5, generator=generator, dtype=torch.float64), torch.arange(n) % 4


@pytest.mark.parametrize("function", ["logsumexp", "one_logit"])
def test_closed_form_gradient_equals_autograd(energy, function):
    energy.eval()
    scaled, level = batch()
    scaled.requires_grad_(True)
    logits = energy(scaled, level)
    value = logits.logsumexp(-1) if function == "logsumexp" else logits[:, 1]
    expected = torch.autograd.grad(value.sum(), scaled)[0]

    def weights(logits):
        return logits.softmax(-1) if function == "logsumexp" else torch.eye(3, dtype=torch.float64)[1].expand(7, 3)

    frozen = energy.at_level(level)
    torch.testing.assert_close(frozen.logits(scaled), logits, rtol=0, atol=1e-10)
    torch.testing.assert_close(frozen.gradient(scaled, weights), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradient_works_where_autograd_is_off(energy, context):
    scaled, level = batch()
    energy.eval()
    with context():
        gradient = energy.at_level(level).gradient(scaled, lambda logits: logits.softmax(-1))
    assert gradient.isfinite().all() and gradient.abs().max() > 0


def test_spectral_norm_bounds_every_weight(energy):
    for _ in range(200):  # power iterations
        energy(*batch())
    for name, module in energy.named_modules():
        if parametrize.is_parametrized(module):
            assert torch.linalg.matrix_norm(module.weight, 2).item() == pytest.approx(1, abs=1e-3), name


def test_freezing_inside_a_cached_block_does_not_cut_the_graph(energy):
    """The chain freezes the weights first; the loss that follows must still train them."""
    energy.train()
    scaled, level = batch()
    with parametrize.cached(), torch.no_grad():
        energy.at_level(level)
        with torch.enable_grad():
            energy(scaled, level).sum().backward()
    assert all(parameter.grad is not None for parameter in energy.parameters())


def test_level_table_is_the_transformers_one():
    table = sinusoidal_embedding(6, 8)
    assert table.shape == (6, 8)
    assert table[0].tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert table[3, 2] == pytest.approx(torch.sin(torch.tensor(3 / 10000**0.25)).item())
