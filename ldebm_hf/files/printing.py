"""Printing to a terminal or file that cannot encode every character."""

import io
import sys


def print_with_replacement() -> None:
    """
    From now on print a question mark for each character that standard output or standard error cannot encode, as with
    `PYTHONIOENCODING=ascii` or a code page of Windows, instead of ending with an error.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
