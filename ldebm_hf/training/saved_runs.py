"""Trained models on disk or the Hub, and the settings they were trained with."""

from pathlib import Path

from huggingface_hub import HfApi, try_to_load_from_cache

from ..model.weight_files import refuse_unreadable_files
from .command_line import load_settings
from .settings import Settings


def find_checkpoint(checkpoint: str) -> None:
    """
    Find out before a checkpoint is loaded whether it is there and whole; loading one that is not there would query the
    Hub many times first.

    Raises:
        FileNotFoundError: There is no such folder, and no such repository on the Hub.
        OSError: A file in the folder is a Git LFS pointer, empty or truncated.
    """
    path = Path(checkpoint)
    if path.is_dir():
        refuse_unreadable_files(path)
        return
    if path.is_absolute() or path.parent.is_dir() or checkpoint.startswith((".", "~")) or len(path.parts) > 2:
        raise FileNotFoundError(f"no folder {checkpoint!r} (checkpoint)")
    if isinstance(try_to_load_from_cache(checkpoint, "config.json"), str):
        return
    try:
        HfApi().model_info(checkpoint, timeout=10)
    except Exception as error:  # a network can fail in many ways
        raise FileNotFoundError(f"no folder {checkpoint!r} (checkpoint), and none from the Hub: {error}") from None


def shipped_checkpoint(folder: Path) -> Path:
    """The checkpoint that is shipped with a page: the first sub-folder of the page's folder that holds a model."""
    models = sorted(folder.glob("*/model.safetensors"))
    if not models:
        raise FileNotFoundError(f"no checkpoint is shipped with {folder}: name one")
    return models[0].parent


def settings_of(checkpoint: str) -> Settings | None:
    """The settings that a local checkpoint was trained with; `None` if its folder has no `settings.yaml`."""
    recipe = Path(checkpoint, "settings.yaml")
    return load_settings(["--config", str(recipe)]) if recipe.is_file() else None
