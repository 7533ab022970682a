"""Files that come with the package and are found by name: recipes (settings of a run) and tables of the paper."""

from __future__ import annotations

import difflib
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
RECIPES = PACKAGE / "recipes"
"""Folder of the recipes, settings for a data set."""
TABLES = PACKAGE / "tables"
"""Folder of the tables of the paper."""
SUFFIX = ".yaml"


def packaged_names(folder: Path) -> list[str]:
    """The names of the files of a folder of the package, in alphabetical order."""
    return sorted(path.stem for path in folder.glob(f"*{SUFFIX}"))


def find_file(name: str, folder: Path, kind: str) -> Path:
    """
    The file that a user names.

    Args:
        name (`str`): The name of a file that comes with the package, such as `"demo"`, or the path of any file. A
            packaged name always means the packaged file; a file of the same name is `./demo`.
        folder (`Path`): [`RECIPES`] or [`TABLES`].
        kind (`str`): What the file is, for messages.

    Raises:
        FileNotFoundError: There is no such file. The message has the packaged one of the same name, or similar names.
    """
    names = packaged_names(folder)
    if name in names:
        return folder / f"{name}{SUFFIX}"
    path = Path(name)
    if path.is_file():
        return path
    missing = f"there is no {kind} {name!r} (--config)"
    if path.stem in names:
        raise FileNotFoundError(f"{missing}; one of that name comes with the package: --config {path.stem}")
    beside = [str(file) for file in path.parent.glob(f"*{SUFFIX}")]
    close = difflib.get_close_matches(name, [*names, *beside], n=3, cutoff=0.7)
    if close:
        raise FileNotFoundError(f"{missing}: did you mean {' or '.join(close)}?")
    raise FileNotFoundError(f"{missing}: give the path of a file, or one of {', '.join(names)}")
