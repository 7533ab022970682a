"""The memory of a run, where the system tells it (Linux)."""

import re
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What `clear_refs` takes to set the peak to the memory in use now (proc(5))."""


def reset_peak_memory() -> bool:
    """Count this process's peak memory anew from now on; return whether the system can do so."""
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def peak_gigabytes() -> float:
    """Return this process's peak resident memory in GB, on Linux only.

    That of `getrusage` would be at least the memory of the process that started this one.
    """
    return _gigabytes("VmHWM")


def resident_gigabytes() -> float:
    """Return this process's resident memory in GB, with the files that are mapped, on Linux only."""
    return _gigabytes("VmRSS")


def _gigabytes(entry: str) -> float:
    return int(re.search(rf"{entry}:\s+(\d+)", STATUS.read_text())[1]) * 1024 / 1e9
