import math

import pytest
import torch
from torch.distributions import Categorical, Normal

from ldebm_hf.objective import (
    classification_loss,
    mutual_information,
    negative_entropy,
    reconstruction_loss,
)


def test_reconstruction_sums_tokens_and_averages_examples():
    logits = torch.randn(2, 3, 5, dtype=torch.float64)
    targets = torch.tensor([[1, 2, -100], [4, -100, -100]])
    expected = -sum(Categorical(logits=logits[b, i]).log_prob(targets[b, i]) for b, i in [(0, 0), (0, 1), (1, 0)]) / 2
    torch.testing.assert_close(reconstruction_loss(logits, targets, 2).double(), expected, rtol=1e-6, atol=1e-6)


def test_negative_entropy_is_the_gaussian_one_up_to_its_constant():
    log_variance = torch.randn(4, 3, dtype=torch.float64)
    entropy = Normal(0.0, (0.5 * log_variance).exp()).entropy().sum(-1).mean()
    torch.testing.assert_close(-negative_entropy(log_variance), entropy - 3 / 2 * math.log(2 * math.pi))


def test_entropy_mask_is_active_below_the_published_width():
    log_variance = torch.tensor([[-2.99, -3.01]], requires_grad=True)
    loss = negative_entropy(log_variance, threshold=1.0)
    loss.backward()
    assert loss.item() == pytest.approx(-0.5 * (1 - 3.01))
    assert log_variance.grad.tolist() == [[0.0, -0.5]]


def test_mutual_information_of_known_channels():
    certain = 50 * torch.eye(4, dtype=torch.float64).repeat(8, 1)
    assert mutual_information(certain).item() == pytest.approx(math.log(4))
    assert mutual_information(torch.randn(1, 4).expand(16, 4)).item() == pytest.approx(0, abs=1e-6)
    # a binary symmetric channel with error probability e has capacity log 2 - H(e)
    error = 0.1
    probability = torch.tensor([[1 - error, error], [error, 1 - error]], dtype=torch.float64)
    capacity = math.log(2) + error * math.log(error) + (1 - error) * math.log(1 - error)
    assert mutual_information(probability.log()).item() == pytest.approx(capacity)


def test_classification_counts_only_known_symbols():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 7.0]])
    loss = classification_loss(logits, torch.tensor([0, -100, -100]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)))
    assert classification_loss(logits, torch.full((3,), -100)).item() == 0
