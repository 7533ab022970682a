"""Trained models on disk or the Hub, and the settings they were trained with."""

import logging
from dataclasses import replace
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from ..data import known_source
from ..data.hub import is_hub_id
from ..model.weight_files import refuse_unreadable_files
from .command_line import load_settings
from .data_settings import DataSettings
from .output_folder import BEST, CHECKPOINTS
from .settings import Settings

logger = logging.getLogger(__name__)


def find_checkpoint(checkpoint: str) -> None:
    """
    Find out before a checkpoint is loaded whether it is there and whole; loading one that is not there would query the
    Hub many times first.

    Raises:
        FileNotFoundError: There is no such folder, and no such repository on the Hub; or the folder has no model.
        OSError: A file in the folder is a Git LFS pointer, empty or truncated.
    """
    path = Path(checkpoint)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise FileNotFoundError(f"{checkpoint!r} (checkpoint) holds no model: {_where_the_model_is(path)}")
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


def find_beside_model(checkpoint: str, name: str) -> Path | None:
    """
    A file in the folder of a checkpoint, or in its repository on the Hub; `None` if there is none.

    Args:
        checkpoint (`str`): Folder or Hub id, as [`find_checkpoint`] has found it.
        name (`str`): Name of the file.
    """
    if Path(checkpoint).is_dir():
        file = Path(checkpoint, name)
        return file if file.is_file() else None
    try:
        return Path(hf_hub_download(checkpoint, name))
    except LocalEntryNotFoundError as error:
        logger.warning("%s of %s is neither in the cache nor to be had, and is left out: %s", name, checkpoint, error)
    except EntryNotFoundError:
        pass
    return None


def _where_the_model_is(path: Path) -> str:
    """What to give instead of a folder that holds no model."""
    run = path.resolve().parent.parent if path.resolve().parent.name == CHECKPOINTS else path
    for folder in (run, run / BEST):
        if (folder / "config.json").is_file():
            return f"give {folder}"
    if run != path:
        return f"it is for --resume; the model will be in {run} when the training ends"
    return "a folder of a model has a config.json"


def shipped_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints that are shipped with a page: the sub-folders of its folder that hold a model, by name."""
    return [file.parent for file in sorted(folder.glob("*/model.safetensors"))]


def shipped_checkpoint(folder: Path) -> Path:
    """The first of the checkpoints that are shipped with a page."""
    shipped = shipped_checkpoints(folder)
    if not shipped:
        raise FileNotFoundError(f"no checkpoint is shipped with {folder}: name one")
    return shipped[0]


def settings_of(checkpoint: str) -> Settings | None:
    """The settings that a local checkpoint was trained with; `None` if its folder has no `settings.yaml`."""
    recipe = Path(checkpoint, "settings.yaml")
    return load_settings(["--config", str(recipe)]) if recipe.is_file() else None


def settings_to_show(
    checkpoint: str, data: str | None = None, validation_file: str | None = None
) -> Settings | None:
    """
    The settings that a local checkpoint was trained with, to read its corpus again and show texts of it.

    Settings come with a model, perhaps from somebody else, and can name any file of this machine. Such a file is read
    only if the user has given its path as well.

    Args:
        checkpoint (`str`): Folder or Hub id.
        data (`str`, *optional*): The path that the user gives for the source of the corpus.
        validation_file (`str`, *optional*): The path that the user gives for the file of validation examples.

    Returns:
        [`Settings`], with the paths that the user gives; `None` if the folder has no `settings.yaml`.

    Raises:
        ValueError: The settings name a file or folder that the user does not give.
    """
    settings = settings_of(checkpoint)
    if settings is None:
        return None
    return replace(settings, data=with_given_paths(checkpoint, settings.data, data, validation_file))


def with_given_paths(
    checkpoint: str, named: DataSettings, data: str | None, validation_file: str | None
) -> DataSettings:
    """The data settings `named` by a checkpoint, as [`settings_to_show`] describes."""
    if data is None and is_local(named.source):
        raise ValueError(_not_given(checkpoint, path_of_source(named), "data"))
    if named.validation_file is not None and validation_file is None:
        raise ValueError(_not_given(checkpoint, named.validation_file, "validation_file"))
    if data is not None:
        named = replace(named, source=data, data_dir=None if is_local(data) else named.data_dir)
    return replace(named, validation_file=validation_file)


def is_local(source: str) -> bool:
    """Whether a source is a path of this machine, neither a known corpus nor a data set of the Hub."""
    return known_source(source) is None and not is_hub_id(source)


def path_of_source(data: DataSettings) -> str:
    """The path of a local source."""
    return str(Path(data.data_dir or "", data.source))


def _not_given(checkpoint: str, path: str, option: str) -> str:
    return (
        f"the settings of {checkpoint} name {path!r}, and a file that is named by a model is read only if you name it "
        f"too: add --{option} {path}"
    )
