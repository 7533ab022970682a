"""Errors that end a training."""

from pathlib import Path


class DivergenceError(RuntimeError):
    """A quantity is no longer finite, or an energy is far too large.

    Args:
        term (`str`): the quantity.
        step (`int`): the optimiser step at which it happened.
        value (`float`): its value.
        checkpoint (`Path`, *optional*): the last checkpoint before that step.
    """

    def __init__(self, term: str, step: int, value: float, checkpoint: Path | None):
        self.term, self.step, self.value, self.checkpoint = term, step, value, checkpoint
        place = f"the last good checkpoint is {checkpoint}" if checkpoint else "no checkpoint had been written yet"
        super().__init__(
            f"training diverged at step {step}: {term} is {value:g}; {place}. "
            "A lower learning rate, gradient norm or weight of that term may help."
        )


class LostProcessError(RuntimeError):
    """Another process of the run has died, or its machine can no longer be reached.

    Args:
        checkpoint (`Path`, *optional*): the last checkpoint, from which the run can be resumed.
    """

    def __init__(self, checkpoint: Path | None):
        self.checkpoint = checkpoint
        remedy = "no checkpoint had been written yet, so start all processes again"
        if checkpoint:
            remedy = f"the last checkpoint is {checkpoint}: start all processes again with --resume latest"
        super().__init__(
            f"another process of this run has ended or cannot be reached (its own output says why); {remedy}"
        )
