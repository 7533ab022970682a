"""Python in a process of its own, with or without the package."""

import os
import subprocess
import sys
from pathlib import Path

NOT_INSTALLED = """
import sys

class NotInstalled:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "ldebm_hf":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotInstalled)
"""


def run_clean(script: str, home: Path, *arguments: object, package: bool = True, **variables: str) -> str:
    """Run a script whose `HF_HOME` is in `home`, without network unless a variable says otherwise; what it printed."""
    repository = str(Path(__file__).resolve().parents[1])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(home / "home"), "HF_HUB_OFFLINE": "1"} | variables
    environment |= {"PYTHONPATH": repository} if package else {}
    run = subprocess.run(
        [sys.executable, "-c", ("" if package else NOT_INSTALLED) + script, *map(str, arguments)],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout
