"""How, when and with what a run of an experiment is made."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import torch
import transformers

CHECKOUT = Path(__file__).resolve().parents[2]


def circumstances() -> dict[str, Any]:
    """
    How, when and with what this process makes a run.

    Returns:
        `dict` of `command` (of absolute paths the last part alone), `commit` (as [`commit_of_checkout`]), `date` (ISO
        8601), `machine`, `threads`, `torch` and `transformers` (versions).
    """
    return {
        "command": shlex.join(map(name_of_path, sys.argv)),
        "commit": commit_of_checkout(),
        "date": date.today().isoformat(),
        "machine": f"{platform.system()}, {platform.machine()}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def commit_of_checkout(folder: Path = CHECKOUT) -> str | None:
    """
    The short name of the commit that the package runs from, with `-dirty` if its files have changed since; `None` if
    it was not installed from a checkout, or there is no git.
    """
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    if not (folder / ".git").exists():
        return None
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def name_of_path(value: Any) -> Any:
    """The last part of an absolute path; any other value as it is."""
    if isinstance(value, str) and Path(value).is_absolute():
        return Path(value).name
    return value
