"""The labelled stream of semi-supervised training: labelled examples drawn for every step, beside the others."""

from collections.abc import Iterable

import numpy as np

from ..data import NO_LABEL
from ..model.configuration_ldebm import LDEBMConfig
from .batches import Batch, Examples
from .randomness import Purpose, generator


class LabelledStream:
    """
    Batches of `batch_size` labelled examples, drawn with replacement, one for every step of a process.

    A step's draw follows from (seed, step, process), so that a resumed run draws what an uninterrupted one does.

    Args:
        labels (`np.ndarray` of shape `(n,)`): Class ids of all examples, negative where unknown.
        batch_size (`int`): Examples for a step; with 0, or without any label, there is no such stream.
        config (`LDEBMConfig`): The model's.
        seed (`int`), process (`int`): Of the run, and which of its processes this is.

    Raises:
        ValueError: The model's prior has no symbols.
    """

    def __init__(self, labels: np.ndarray, batch_size: int, config: LDEBMConfig, *, seed: int, process: int):
        self.labelled = np.flatnonzero(labels >= 0)
        self.batch_size = batch_size if len(self.labelled) else 0
        self.seed, self.process = seed, process
        if batch_size and not config.has_symbols:
            raise ValueError(
                f"training.labelled_batch_size={batch_size} teaches symbols, and prior={config.prior!r} has none"
            )

    def batches(self, split: Examples, first_step: int, num_steps: int) -> Iterable[Batch]:
        """The batches of `num_steps` steps from `first_step` on; none where there is no such stream."""
        if not self.batch_size:
            return []
        steps = range(first_step, first_step + num_steps)
        places = [(Purpose.LABELLED_EXAMPLES, step, self.process) for step in steps]
        return split.batches([generator(self.seed, *place).choice(self.labelled, self.batch_size) for place in places])

    def others(self, labels: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """What the batches of all examples teach, `(n,)`: `symbols`, but no label where there is a labelled stream."""
        return np.where(labels >= 0, NO_LABEL, symbols) if self.batch_size else symbols
