"""What is beside a trained model: whether it is there at all, and the settings of its run."""

from pathlib import Path

from huggingface_hub import HfApi, try_to_load_from_cache

from .command_line import load_settings
from .settings import Settings


def find_checkpoint(checkpoint: str) -> None:
    """Raise FileNotFoundError at once where there is none; loading it would ask the Hub again and again."""
    path = Path(checkpoint)
    if path.is_dir():
        return
    if path.is_absolute() or path.parent.is_dir() or checkpoint.startswith((".", "~")) or len(path.parts) > 2:
        raise FileNotFoundError(f"no folder {checkpoint!r} (checkpoint)")
    if isinstance(try_to_load_from_cache(checkpoint, "config.json"), str):
        return
    try:
        HfApi().model_info(checkpoint, timeout=10)
    except Exception as error:  # whatever the network has in store
        raise FileNotFoundError(f"no folder {checkpoint!r} (checkpoint), and none from the Hub: {error}") from None


def shipped_checkpoint(folder: Path) -> Path:
    """The checkpoint that comes with a page: the folder in the page's own that holds a model."""
    models = sorted(folder.glob("*/model.safetensors"))
    if not models:
        raise FileNotFoundError(f"no checkpoint comes with {folder}: name one")
    return models[0].parent


def settings_of(checkpoint: str) -> Settings | None:
    """The settings that a local checkpoint was trained with, if they are beside it."""
    recipe = Path(checkpoint, "settings.yaml")
    return load_settings(["--config", str(recipe)]) if recipe.is_file() else None
