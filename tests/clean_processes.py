"""Python in a process of its own, with or without the package."""

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
NOT_INSTALLED = """
import sys

class NotInstalled:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "ldebm_hf":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotInstalled)
"""


def run_clean(
    script: str, home: Path, *arguments: object, package: bool = True, fresh: bool = False, **variables: str
) -> str:
    """Run a script whose `HF_HOME` is in `home`, without network unless a variable says otherwise; what it printed.

    PyTorch and other packages that take long to import are imported already, unless `fresh` says that the script is
    about imports.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(home / "home"), "HF_HUB_OFFLINE": "1"} | variables
    environment |= {"PYTHONPATH": str(REPOSITORY)} if package else {}
    command = ["-c", ("" if package else NOT_INSTALLED) + script, *map(str, arguments)]
    if fresh:
        run = subprocess.run([sys.executable, *command], cwd=home, env=environment, capture_output=True, text=True)
    else:
        run = run_python(command, home, environment)
    assert run.returncode == 0, run.stderr
    return run.stdout


def run_python(
    arguments: Sequence[object],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 250,
    encoding: str = "utf-8",
) -> subprocess.CompletedProcess:
    """Run [`StartedPython`] to its end; its exit code and what it printed, as text."""
    printed = []
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = StartedPython(arguments, folder, environment, output.fileno(), errors.fileno())
        try:
            process.wait(timeout)
        finally:
            process.kill()
        for file in (output, errors):
            file.seek(0)
            printed.append(file.read().decode(encoding))
    return subprocess.CompletedProcess(list(map(str, arguments)), process.returncode, *printed)


class StartedPython:
    """What `python ARGUMENTS` starts, with PyTorch and other packages imported already: it is forked from a server
    that has imported them. The methods are those of `subprocess.Popen`.

    Args:
        arguments (sequence): `-c` with a script, `-m` with a module, or a file; then its arguments.
        folder (`Path`, *optional*): The folder to run in. Defaults to the current one.
        environment (mapping, *optional*): All variables. Defaults to those of this process, and where the package is.
        output (`int`, *optional*, defaults to 1), errors (`int`, *optional*, defaults to 2): Descriptors of files.
    """

    def __init__(
        self,
        arguments: Sequence[object],
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        output: int = 1,
        errors: int = 2,
    ):
        if environment is None:
            environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        request = {
            "arguments": list(map(str, arguments)),
            "folder": str(folder or Path.cwd()),
            "environment": dict(environment),
        }
        self.report, theirs = socket.socketpair()
        with theirs, open(os.devnull) as nothing:
            descriptors = [theirs.fileno(), nothing.fileno(), output, errors]
            socket.send_fds(_server(), [f"{json.dumps(request)}\n".encode()], descriptors)
        self.reported = b""
        self.pid = self._next_number(timeout=120)  # the first takes until the server has imported everything
        self.returncode: int | None = None

    def _next_number(self, timeout: float | None) -> int:
        self.report.settimeout(timeout)
        while b"\n" not in self.reported:
            received = self.report.recv(100)
            assert received, "the server has ended"
            self.reported += received
        number, _, self.reported = self.reported.partition(b"\n")
        return int(number)

    def poll(self) -> int | None:
        try:
            return self.wait(timeout=0.001)
        except TimeoutError:
            return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.returncode = self._next_number(timeout)
            self.report.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def _server() -> socket.socket:
    """Start the server; the channel to it. When this process ends, the channel is closed, and the server ends too."""
    channel, theirs = socket.socketpair()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with theirs:
        subprocess.Popen(
            [sys.executable, Path(__file__).with_name("forking_server.py"), str(theirs.fileno())],
            env=environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    return channel
