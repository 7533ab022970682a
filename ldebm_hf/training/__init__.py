"""The training loop on Accelerate: settings, epochs, checkpoints, evaluation and tracking."""

from .command_line import load_settings
from .loop import Trainer
from .settings import Settings
from .tracking import DivergenceError

__all__ = ["DivergenceError", "Settings", "Trainer", "load_settings"]
