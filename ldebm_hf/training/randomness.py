"""Random numbers that depend only on the place in a run where they are drawn, so that a run can be resumed exactly."""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What random numbers are used for. Each purpose has its own stream of numbers."""

    EPOCH_ORDER = 0
    TRAINING_STEP = 1
    VALIDATION_BATCH = 2
    VALIDATION_ORDER = 3
    PRIOR_SAMPLES = 4
    LABELLED_EXAMPLES = 5


def seed_noise(seed: int, purpose: Purpose, *place: int) -> None:
    """Seed torch's global generators on all devices for a place in the run, for instance (step, process)."""
    number = int(_sequence(seed, purpose, place).generate_state(1, np.uint64)[0] >> 1)
    if torch.accelerator.is_available():
        torch.manual_seed(number)
    else:  # without a GPU, `torch.manual_seed` would format and keep a stack trace at every call
        torch.default_generator.manual_seed(number)


def generator(seed: int, purpose: Purpose, *place: int) -> np.random.Generator:
    """A numpy generator for a place in the run, for instance (epoch,)."""
    return np.random.default_rng(_sequence(seed, purpose, place))


def _sequence(seed: int, purpose: Purpose, place: tuple[int, ...]) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, purpose, *place])
