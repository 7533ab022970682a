"""JSON files that hold an object, and may be damaged."""

import json
from pathlib import Path
from typing import Any


def read_object(file: Path) -> dict[str, Any] | None:
    """The object in a JSON file; `None` if the file holds something else or is damaged.

    Raises:
        FileNotFoundError: There is no such file.
    """
    try:
        found = json.loads(file.read_bytes())
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
