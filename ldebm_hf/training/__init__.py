"""The training loop on Accelerate: settings, epochs, checkpoints, evaluation and tracking."""

from typing import TYPE_CHECKING

from ..files.lazy_names import names_on_first_use

if TYPE_CHECKING:
    from .assembly import assemble
    from .command_line import load_settings
    from .errors import DivergenceError, LostProcessError
    from .loop import Trainer
    from .settings import Settings

__all__ = ["DivergenceError", "LostProcessError", "Settings", "Trainer", "assemble", "load_settings"]

__getattr__, __dir__ = names_on_first_use(
    __name__,
    {
        "DivergenceError": ".errors",
        "LostProcessError": ".errors",
        "Settings": ".settings",
        "Trainer": ".loop",
        "assemble": ".assembly",
        "load_settings": ".command_line",
    },
)
