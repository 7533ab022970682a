"""Runs a part of the tests with the lowest and with the newest packages that pyproject.toml admits.

    python tests/version_ranges.py lowest newest            # `make test-floors`

Each run installs the package into a new virtual environment, build/versions/lowest or build/versions/newest, and tells
pip nothing about versions but what pyproject.toml says: for `lowest` that each package which it names has the lowest
version it admits; packages that those need are the newest that fit.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
EXTRAS = ("cpu", "test")
TESTS = (
    "tests/test_imports.py",
    "tests/data/test_load_corpus.py",
    "tests/hub/test_push.py",
    "tests/metrics",
    "tests/model/test_base_models.py",
    "tests/model/test_generation.py",
    "tests/model/test_hub_form.py",
    "tests/model/test_modeling.py",
    "tests/model/test_objective.py",
    "tests/model/test_peft.py",
    "tests/model/test_pickling.py",
    "tests/model/test_pretrained_decoder.py",
    "tests/model/test_pretrained_encoder.py",
    "tests/model/test_text_classifier.py",
    "tests/pseudo_labels",
    "tests/text",
    "tests/training/test_loop.py",
    "tests/transformers/test_pipelines.py",
    "tests/transformers/test_trainer.py",
)
"""What depends on other packages most: loading, saving, generation, training, metrics, the Hub, and base models."""


def requirements(extras: tuple[str, ...]) -> list[str]:
    """What pyproject.toml requires for the package with some of its extras, each with a lowest version."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    own = re.compile(rf"{project['name']}\[(.*)\]")
    found = list(project["dependencies"])
    waiting = list(extras)
    while waiting:
        for requirement in project["optional-dependencies"][waiting.pop()]:
            others = own.fullmatch(requirement)
            if others:
                waiting += others[1].split(",")
            else:
                found.append(requirement)
    return found


def lowest(requirement: str) -> str:
    """The requirement of the lowest version that a requirement admits."""
    name, version = re.match(r"([\w.-]+)>=([\w.]+)", requirement).groups()
    return f"{name}=={version}"


def install(which: str, folder: Path, index: list[str]) -> Path:
    """Make a virtual environment with the package and its tests' requirements. Returns its Python."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(map(lowest, requirements(EXTRAS))) + "\n" if which == "lowest" else "")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--retries", "1", "-c", str(constraints)]
    subprocess.run([*pip, *index, "torch"], check=True)  # first and alone, as `make install` does
    subprocess.run([*pip, "-e", f".[{','.join(EXTRAS)}]"], cwd=REPOSITORY, check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="+", choices=("lowest", "newest"))
    parser.add_argument("--torch_index", default="", help="options for pip that say where torch is")
    options = parser.parse_args()
    failed = []
    for which in options.versions:
        python = install(which, REPOSITORY / "build" / "versions" / which, options.torch_index.split())
        subprocess.run([str(python), "-m", "pip", "list"], check=True)
        tests = [str(python), "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *TESTS]
        if subprocess.run(tests, cwd=REPOSITORY).returncode != 0:
            failed.append(which)
    if failed:
        sys.exit(f"failed with the {' and the '.join(failed)} versions")


if __name__ == "__main__":
    main()
