import pytest
import torch
from tiny_runs import tiny_trainer

from ldebm_hf.training import float32_products as module
from ldebm_hf.training.float32_products import LARGEST_ERROR, float32_products, medium_is_exact, relative_error

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def precision_before():
    before = torch.get_float32_matmul_precision()
    yield before
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(("is_exact", "device", "expected"), [
    (True, CPU, "medium"),
    (False, CPU, "high"),
    (True, GPU, "high"),
])  # fmt: skip
def test_auto_is_medium_only_on_a_cpu_where_that_is_exact(monkeypatch, is_exact, device, expected):
    monkeypatch.setattr(module, "medium_is_exact", lambda: is_exact)
    torch.set_float32_matmul_precision("high")
    with float32_products("auto", device):
        assert torch.get_float32_matmul_precision() == expected
    assert torch.get_float32_matmul_precision() == "high"


def test_a_precision_that_is_asked_for_is_set_and_taken_back_after_an_error(precision_before):
    other = "highest" if precision_before == "medium" else "medium"
    with pytest.raises(KeyError), float32_products(other, CPU):
        assert torch.get_float32_matmul_precision() == other
        raise KeyError
    assert torch.get_float32_matmul_precision() == precision_before


def test_products_in_bfloat16_do_not_count_as_exact():
    left, right = torch.randn(2, 256, 256, generator=torch.Generator().manual_seed(1)).unbind()
    assert relative_error(left @ right, left, right) < LARGEST_ERROR
    assert relative_error((left.bfloat16() @ right.bfloat16()).float(), left, right) > 100 * LARGEST_ERROR
    summed_in_float32 = left.bfloat16().float() @ right.bfloat16().float()
    assert relative_error(summed_in_float32, left, right) > 10 * LARGEST_ERROR


def test_where_medium_counts_as_exact_large_products_are(precision_before):
    """Of the shapes of a training step: the vocabulary's logits and both of its gradients."""
    if not medium_is_exact():
        pytest.skip("this CPU multiplies in less than float32 with medium")
    states, words = torch.randn(300, 128), torch.randn(2_000, 128)
    errors = torch.randn(300, 2_000)
    with float32_products("medium", CPU):
        assert relative_error(states @ words.T, states, words.T) < LARGEST_ERROR
        assert relative_error(errors @ words, errors, words) < LARGEST_ERROR
        assert relative_error(errors.T @ states, errors.T, states) < LARGEST_ERROR


@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_a_run_trains_with_its_precision(tmp_path, monkeypatch, precision_before, precision):
    trainer, seen = tiny_trainer(tmp_path, float32_matmul_precision=precision, max_steps=1), []
    step = trainer._train_step
    monkeypatch.setattr(
        trainer, "_train_step", lambda batches: seen.append(torch.get_float32_matmul_precision()) or step(batches)
    )
    trainer.train()
    assert seen == [precision]
    assert torch.get_float32_matmul_precision() == precision_before
