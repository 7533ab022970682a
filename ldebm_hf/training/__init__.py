"""The training loop on Accelerate: settings, epochs, checkpoints, evaluation and tracking."""

from .assembly import assemble
from .command_line import load_settings
from .loop import Trainer
from .processes import LostProcessError
from .settings import Settings
from .tracking import DivergenceError

__all__ = ["DivergenceError", "LostProcessError", "Settings", "Trainer", "assemble", "load_settings"]
