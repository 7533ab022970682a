"""A training step asks the device nothing: neither values nor how many there are."""

from collections.abc import Callable

import pytest
import torch
from tiny_runs import tiny_corpus, tiny_trainer
from torch.utils._python_dispatch import TorchDispatchMode

from ldebm_hf.model import arguments, modeling_ldebm
from ldebm_hf.model.configuration_ldebm import PRESETS
from ldebm_hf.training.step_batches import StepBatches

# What makes the host wait for the device: to read a number, or to know the size of a result. `unique` is left out: it
# has its place on the CPU, where host and device are one, and the test on a GPU would see it there.
READS = {
    "aten::_local_scalar_dense", "aten::item", "aten::is_nonzero", "aten::equal", "aten::nonzero",
    "aten::masked_select", "aten::repeat_interleave.Tensor",
}  # fmt: skip


class Reads(TorchDispatchMode):
    """Lists the operations that read from the device."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = function.name()
        by_mask = name.startswith("aten::index.") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in arguments[1]
        )
        if name in READS or name.removesuffix(".default") in READS or by_mask:
            self.found.append(name)
        return function(*arguments, **(keywords or {}))


def step_of(trainer, batches) -> Callable[[], None]:
    """One optimiser step and its recording, from a batch that is there."""
    targets = torch.from_numpy(trainer.train_set.labels).to(trainer.accelerator.device)
    (batch,) = batches
    trainer.wrapped_model.train()

    def step():
        trainer.recorder.add(1, trainer._train_step(StepBatches([dict(batch)], [1.0], targets)))

    step()  # the optimiser makes its state, kernels their plans
    return step


@pytest.mark.parametrize("preset", PRESETS)
def test_step_reads_nothing(tmp_path, preset, monkeypatch):
    # The values of arguments are checked where host and device are one, and not for tensors on an accelerator.
    for module in (arguments, modeling_ldebm):
        monkeypatch.setattr(module, "may_be_read", lambda tensor, model: not model.training)
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels="some"), {"preset": preset}, clustering={"enabled": False})
    step = step_of(trainer, trainer.train_set.batches([range(8)]))
    with Reads() as reads:
        step()
    assert reads.found == []


@pytest.mark.parametrize("read", [lambda x: x.item(), lambda x: x[x > 0], lambda x: x.nonzero(), lambda x: bool(x)])
def test_reads_are_seen(read):
    with Reads() as reads:
        read(torch.ones(1))
    assert reads.found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("mixed_precision", ["no", "bf16"])
@pytest.mark.parametrize("preset", PRESETS)
def test_step_does_not_wait_for_the_gpu(tmp_path, preset, mixed_precision):
    trainer = tiny_trainer(tmp_path, model={"preset": preset}, mixed_precision=mixed_precision)
    step = step_of(trainer, trainer.train_set.batches([range(8)]))
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
