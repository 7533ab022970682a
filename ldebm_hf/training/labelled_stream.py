"""The labelled stream of semi-supervised training: labelled examples that are drawn for each step in addition."""

from collections.abc import Iterable

import numpy as np

from ..data import NO_LABEL
from ..model.configuration_ldebm import LDEBMConfig
from .batches import Batch, Examples
from .randomness import Purpose, generator


class LabelledStream:
    """
    Batches of `batch_size` labelled examples, drawn with replacement, one for each step of a process.

    The draw of a step depends only on (seed, step, process), so that a resumed run draws the same examples.

    Args:
        labels (`np.ndarray` of shape `(n,)`): Class ids of all examples, negative where unknown.
        batch_size (`int`): Number of examples per step. With 0, or without any label, there is no such stream.
        config (`LDEBMConfig`): The model's.
        seed (`int`): The run's.
        process (`int`): The number of this process.

    Raises:
        ValueError: The model's prior has no symbols.
    """

    def __init__(self, labels: np.ndarray, batch_size: int, config: LDEBMConfig, *, seed: int, process: int):
        self.labelled = np.flatnonzero(labels >= 0)
        self.batch_size = batch_size if len(self.labelled) else 0
        self.seed, self.process = seed, process
        if batch_size and not config.has_symbols:
            raise ValueError(
                f"training.labelled_batch_size={batch_size} needs a prior with symbols, "
                f"and model.prior={config.prior} has none"
            )

    def batches(self, split: Examples, first_step: int, num_steps: int) -> Iterable[Batch]:
        """The batches of `num_steps` steps from `first_step` on; none if there is no such stream."""
        if not self.batch_size:
            return []
        steps = range(first_step, first_step + num_steps)
        places = [(Purpose.LABELLED_EXAMPLES, step, self.process) for step in steps]
        return split.batches([generator(self.seed, *place).choice(self.labelled, self.batch_size) for place in places])

    def symbols_of_other_batches(self, labels: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """The symbols that the ordinary batches train on, `(n,)`: no labels if this stream has them."""
        if not self.batch_size:
            return symbols
        return np.where(labels >= 0, NO_LABEL, symbols)
