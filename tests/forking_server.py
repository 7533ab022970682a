"""A server that has imported the heavy packages and forks a process for every script it is asked to run.

None of what it has imported is of this repository or reads the variables of the Hugging Face libraries: where the
Hub's cache is and whether there is a network can differ from script to script.
"""

import atexit
import contextlib
import gc
import importlib
import json
import multiprocessing.process
import os
import runpy
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from types import ModuleType

PACKAGES = ("torch", "torch._dynamo", "torch.distributed.tensor", "scipy.optimize", "sklearn.metrics", "tokenizers",
            "safetensors.torch", "yaml", "jinja2", "regex", "httpx", "pandas", "pyarrow.parquet",
            "matplotlib.figure", "matplotlib.backends.backend_agg")  # fmt: skip


def wait_for_request(channel: socket.socket) -> tuple[dict, list[int]]:
    """
    Wait for requests until the channel is closed, which ends this process. For each there is a process that returns
    what is asked for, with the descriptors of its standard input, output and error; and one that waits for it, and
    reports its number and how it ended.
    """
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, 2**20, 4)
        if not message:
            sys.exit()
        while not message.endswith(b"\n"):
            message += channel.recv(2**20)
        report, *standard = descriptors
        if os.fork() == 0:
            break
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(ChildProcessError):  # there is none
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    channel.close()
    process = os.fork()
    if process == 0:
        os.close(report)
        return json.loads(message), standard
    for descriptor in standard:
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.write(report, f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def run(arguments: list[str], folder: str, environment: dict[str, str], standard: list[int]) -> None:
    """What `python ARGUMENTS` does, of `-c`, `-m` and a file."""
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    encoding = environment.get("PYTHONIOENCODING")
    unbuffered = bool(environment.get("PYTHONUNBUFFERED"))
    sys.stdout = open(1, "w", encoding=encoding, buffering=1 if unbuffered else -1, closefd=False)
    sys.stderr = open(2, "w", encoding=encoding, errors="backslashreplace", buffering=1, closefd=False)
    os.chdir(folder)
    multiprocessing.process.ORIGINAL_DIR = folder  # where processes that are spawned look for modules, too
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # which the variables name
    first, *rest = arguments
    path = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if first == "-m":
        sys.argv, sys.path[:1] = rest, ["", *path]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        return
    main = ModuleType("__main__")
    if first == "-c":
        sys.argv, sys.path[:1] = ["-c", *rest[1:]], ["", *path]
        code = compile(rest[0], "<string>", "exec", dont_inherit=True)
    else:
        sys.argv, sys.path[:1], main.__file__ = arguments, [os.path.dirname(first), *path], first
        with open(first, "rb") as file:
            code = compile(file.read(), first, "exec", dont_inherit=True)
    sys.modules["__main__"] = main
    exec(code, main.__dict__)


def exit_code(action: Callable[[], None]) -> int:
    """Call a function; the exit code of a script that does so, whose error is printed."""
    try:
        action()
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def end(code: int) -> None:
    """End this process without freeing every object first: the memory of each would have to be copied for that."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    for name in PACKAGES:
        with contextlib.suppress(ImportError):  # some are optional
            importlib.import_module(name)
    os.fsync = lambda descriptor: None  # as in the tests' own process
    gc.freeze()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which processes in the background ignore
    request, descriptors = wait_for_request(socket.socket(fileno=int(sys.argv[1])))
    end(exit_code(lambda: run(**request, standard=descriptors)))
