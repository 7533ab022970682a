"""Measurements in a process of their own: its peak memory is that of the work, and it has the threads it is given."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def call_in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a module in a new process, and return what it returns."""
    (result,) = call_in_fresh_processes(function, [arguments])
    return result


def call_in_fresh_processes(
    function: Callable[..., Any], arguments: Sequence[tuple], num_threads: int | None = None
) -> list[Any]:
    """
    Call a function of a module in several new processes at the same time.

    Args:
        function (callable): The function.
        arguments (`Sequence[tuple]`): Its arguments in each process.
        num_threads (`int`, *optional*): Threads of each process; default: as in this one.

    Returns:
        `list`: What the calls return.
    """
    before = os.environ.get("OMP_NUM_THREADS")
    if num_threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(num_threads)  # read by the new processes when they load PyTorch
    try:
        with ProcessPoolExecutor(len(arguments), multiprocessing.get_context("spawn")) as pool:
            return [call.result() for call in [pool.submit(function, *of_call) for of_call in arguments]]
    finally:
        if before is None:
            os.environ.pop("OMP_NUM_THREADS", None)
        else:
            os.environ["OMP_NUM_THREADS"] = before
