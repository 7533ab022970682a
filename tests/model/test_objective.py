import math

import pytest
import torch
from torch.distributions import Categorical, Normal
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ldebm_hf.model.objective import (
    PriorLoss,
    all_levels_classification_loss,
    classification_loss,
    contrastive_loss,
    mutual_information,
    negative_code_entropy,
    negative_entropy,
    reconstruction_loss,
)


def test_reconstruction_sums_tokens_and_averages_examples():
    hidden, vocabulary = torch.randn(6, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    targets = torch.tensor([1, 2, -100, 4, -100, -100])
    logits = hidden @ vocabulary.T
    expected = -sum(Categorical(logits=logits[i]).log_prob(targets[i]) for i in (0, 1, 3)) / 2
    loss = reconstruction_loss(hidden, vocabulary, targets, 2)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=1e-6)


def test_reconstruction_has_the_gradients_of_its_definition():
    torch.manual_seed(0)
    hidden, vocabulary = (torch.randn(n, 16, requires_grad=True) for n in (200, 300))
    targets = torch.randint(300, (200,)).masked_fill(torch.rand(200) < 0.1, -100)
    exact = [tensor.detach().double().requires_grad_() for tensor in (hidden, vocabulary)]
    log_probability = (exact[0] @ exact[1].T).log_softmax(-1)
    counted = targets >= 0
    expected = torch.autograd.grad(-log_probability[counted, targets[counted]].sum() / 8, exact)
    loss = reconstruction_loss(hidden, vocabulary, targets, 8)
    for _ in range(2):  # the graph may be kept
        gradients = torch.autograd.grad(loss, (hidden, vocabulary), retain_graph=True)
        for gradient, exact_gradient in zip(gradients, expected, strict=True):
            torch.testing.assert_close(gradient.double(), exact_gradient, rtol=1e-4, atol=1e-6)


def test_reconstruction_in_half_precision_is_summed_in_full_precision():
    torch.manual_seed(0)
    hidden, vocabulary = torch.randn(3000, 8), torch.randn(50, 8)
    targets = torch.randint(50, (3000,))
    exact = reconstruction_loss(hidden.bfloat16().float(), vocabulary.bfloat16().float(), targets, 1)
    loss = reconstruction_loss(hidden.bfloat16(), vocabulary.bfloat16(), targets, 1)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=1e-3, atol=0)  # bfloat16 has steps of 1 / 256
    with torch.autocast("cpu", torch.bfloat16):
        assert reconstruction_loss(hidden, vocabulary, targets, 1).dtype == torch.float32


def test_reconstruction_with_certain_and_impossible_words():
    """Logits as far apart as float32 can tell: the loss is their difference, and its gradient 0 or one word more."""
    hidden, vocabulary = torch.eye(2, requires_grad=True), torch.tensor([[1e4, 0.0], [0.0, 1e4], [-1e4, 0.0]])
    loss = reconstruction_loss(hidden, vocabulary, torch.tensor([0, 2]), 1)
    assert loss.item() == 1e4
    assert torch.autograd.grad(loss, hidden)[0].tolist() == [[0, 0], [1e4, 1e4]]


@pytest.mark.parametrize("size", [16, 128])
def test_products_in_bfloat16_lose_half_a_percent_at_most(size):
    """
    Against float64, and not nothing: a number in bfloat16 is off by 0.2 % on average and 0.4 % at most. In the loss
    the errors of many tokens cancel; its sum and that of a gradient over 800 tokens are in float32.
    """
    torch.manual_seed(0)
    hidden, vocabulary = torch.randn(800, size, requires_grad=True), torch.randn(1000, size, requires_grad=True)
    with torch.no_grad():
        vocabulary *= 2 / size**0.5
    targets = torch.randint(1000, (800,)).masked_fill(torch.rand(800) < 0.1, -100)
    exact = [tensor.detach().double().requires_grad_() for tensor in (hidden, vocabulary)]
    expected = reconstruction_loss(*exact, targets, 1)
    loss = reconstruction_loss(hidden, vocabulary, targets, 1, torch.bfloat16)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    gradients = torch.autograd.grad(loss, (hidden, vocabulary))
    for gradient, exact_gradient in zip(gradients, torch.autograd.grad(expected, exact), strict=True):
        assert gradient.dtype == torch.float32
        error = ((gradient - exact_gradient).norm() / exact_gradient.norm()).item()
        assert 1e-3 < error < 5e-3
    assert not gradients[0][targets < 0].any()


def test_products_in_bfloat16_are_exact_where_nothing_is_rounded():
    """All words equally likely among 256, states and words of ones: every number has a few bits."""
    hidden, vocabulary = torch.ones(64, 4, requires_grad=True), torch.ones(256, 4, requires_grad=True)
    targets = torch.arange(64) % 2
    loss = reconstruction_loss(hidden, vocabulary, targets, 1, torch.bfloat16)
    assert loss.item() == pytest.approx(64 * math.log(256), rel=1e-6)
    of_hidden, of_vocabulary = torch.autograd.grad(loss, (hidden, vocabulary))
    assert of_hidden.abs().max() < 1e-2  # 1 - 1/256 in bfloat16, less 255 times 1/256
    expected = torch.full((256, 4), 64 / 256)
    expected[:2] -= 32
    torch.testing.assert_close(of_vocabulary, expected, rtol=4e-3, atol=0)


@pytest.mark.parametrize("trained", [(True, False), (False, True)])
def test_reconstruction_with_one_part_frozen(trained):
    torch.manual_seed(0)
    tensors = [torch.randn(n, 4).requires_grad_(needed) for n, needed in zip((9, 30), trained, strict=True)]
    targets = torch.randint(30, (9,))
    loss = reconstruction_loss(*tensors, targets, 1)
    expected = torch.nn.functional.cross_entropy(tensors[0] @ tensors[1].T, targets, reduction="sum")
    chosen = tensors[trained.index(True)]
    torch.testing.assert_close(*(torch.autograd.grad(value, chosen)[0] for value in (loss, expected)))
    with torch.no_grad():
        torch.testing.assert_close(reconstruction_loss(*tensors, targets, 1), expected.detach())
    assert reconstruction_loss(tensors[0][:0], tensors[1], targets[:0], 1) == 0


def test_half_precision_adds_up_in_full_precision():
    """Under autocast too. The sum of 200 tokens in bfloat16 would be off by whole nats."""
    torch.manual_seed(0)
    hidden, vocabulary = torch.randn(200, 16).bfloat16(), torch.randn(300, 16).bfloat16()
    targets = torch.randint(300, (200,))
    logits = (hidden @ vocabulary.T).double()
    expected = -logits.log_softmax(-1)[torch.arange(200), targets].sum() / 4
    loss = reconstruction_loss(hidden, vocabulary, targets, 4)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = reconstruction_loss(hidden.float(), vocabulary.float(), targets, 4)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed.double(), expected, rtol=1e-5, atol=0)


def test_contrastive_loss_is_the_weighted_difference_per_example():
    positive, negative = torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([3.0, 2.0, 1.0, 7.0])
    weight = torch.tensor([0.5, 1.0, 2.0, 3.0])
    expected = (0.5 * 2 + 0 + 2 * -3 + 3 * -1) / 2  # of two examples, at two levels each
    assert contrastive_loss(positive, negative, weight, 2).item() == expected


def test_priors_may_leave_out_energies_and_noisy_logits():
    loss = PriorLoss(torch.tensor(2.0))
    assert loss.loss == 2 and loss.energy_positive is loss.energy_negative is loss.noisy_symbol_logits is None
    assert PriorLoss(*torch.arange(3.0)).energy_negative == 2


@pytest.mark.parametrize("product_dtype", [None, torch.bfloat16])
def test_logits_of_all_tokens_are_never_in_memory_at_once(product_dtype):
    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
            result = function(*arguments, **(keywords or {}))
            tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
            self.size = max([self.size, *(tensor.numel() for tensor in tensors)])
            return result

    hidden, vocabulary = (torch.randn(n, 16, requires_grad=True) for n in (500, 400))
    with Largest() as largest:
        reconstruction_loss(hidden, vocabulary, torch.randint(400, (500,)), 8, product_dtype).backward()
    assert largest.size <= 500 * 400 / 10


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


def test_information_of_several_variables_is_the_sum():
    logits = torch.randn(16, 3, 4, dtype=torch.float64)
    expected = sum(mutual_information(logits[:, m]) for m in range(3))
    torch.testing.assert_close(mutual_information(logits), expected)
    assert mutual_information(50 * torch.eye(4).repeat(8, 1)[:, None]).item() == pytest.approx(math.log(4))


def test_negative_code_entropy_is_the_categorical_one():
    logits = 3 + torch.randn(5, 2, 4, dtype=torch.float64)
    torch.testing.assert_close(-negative_code_entropy(logits), Categorical(logits=logits).entropy().sum(-1).mean())
    assert negative_code_entropy(torch.tensor([[[0.0, -1e4]]])) == 0


def test_classification_counts_only_known_symbols():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 7.0]])
    loss = classification_loss(logits, torch.tensor([0, -100, -100]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)))
    assert classification_loss(logits, torch.full((3,), -100)).item() == 0


@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_symbols_of_noisy_latents_are_those_of_their_examples(repeats):
    """Pair `i` belongs to example `i % batch_size`, also where some symbols are unknown."""
    labels = torch.tensor([0, 2, -100, 1])
    clean, noisy = torch.randn(4, 3), torch.randn(4 * repeats, 3)
    pairs = [(noisy[i], labels[i % 4]) for i in range(4 * repeats) if labels[i % 4] >= 0]
    at_noisy_levels = -sum(row.log_softmax(-1)[label] for row, label in pairs) / len(pairs)
    expected = (classification_loss(clean, labels) + at_noisy_levels) / 2
    torch.testing.assert_close(all_levels_classification_loss(clean, noisy, labels), expected)


def test_without_noisy_latents_symbols_are_learned_at_level_0_alone():
    logits, labels = torch.randn(4, 3), torch.tensor([0, 2, -100, 1])
    assert all_levels_classification_loss(logits, None, labels) == classification_loss(logits, labels)


@pytest.mark.parametrize("wrong", [5, -1])
def test_symbol_that_there_is_not_is_named(wrong):
    with pytest.raises(
        ValueError, match=rf"class_labels must be in 0..4, as num_labels or -100 \(unknown\), got {wrong}"
    ):
        classification_loss(torch.zeros(3, 5), torch.tensor([0, -100, wrong]))
