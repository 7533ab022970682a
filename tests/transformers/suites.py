"""transformers' own common suites, which are part of its source distribution and of nothing that is installed.

The source distribution of the installed version is downloaded once into a cache folder, `LDEBM_TRANSFORMERS_TESTS` or
`~/.cache/ldebm_hf/transformers_tests`. Where it cannot be had, the tests of this folder are skipped, and say so. The
suites are imported under the name `transformers_suites`; two of their siblings, which the distribution lacks, are
replaced by empty mixins.
"""

import importlib
import os
import subprocess
import sys
import tarfile
import types
from pathlib import Path

import pytest
import transformers

PACKAGE = "transformers_suites"
CACHE = Path(os.environ.get("LDEBM_TRANSFORMERS_TESTS", Path.home() / ".cache" / "ldebm_hf" / "transformers_tests"))
MISSING_MIXINS = {"exporters.test_export": "ExportTesterMixin", "generation.test_utils": "GenerationTesterMixin"}
MISSING_VALUES = {
    "utils.test_configuration_utils": {"config_common_kwargs": {"return_dict": False, "dtype": "float16"}}
}


def suites_folder() -> Path:
    """The folder `tests` of the source distribution; skips the tests that ask for it if it cannot be had."""
    name = f"transformers-{transformers.__version__}"
    folder = CACHE / name / "tests"
    if (folder / "test_modeling_common.py").exists():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    archive = CACHE / f"{name}.tar.gz"
    if not archive.exists():
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        requirement = f"transformers=={transformers.__version__}"
        run = subprocess.run(
            [*download, "--dest", str(CACHE), requirement], capture_output=True, text=True, timeout=240
        )
        if run.returncode != 0 or not archive.exists():
            reason = f"the source distribution of {requirement}, with its tests, cannot be downloaded here"
            pytest.skip(reason, allow_module_level=True)
    with tarfile.open(archive) as opened:
        members = [member for member in opened.getmembers() if member.name.startswith(f"{name}/tests/")]
        opened.extractall(CACHE, members=members, filter="data")
    (folder / "__init__.py").touch()  # which one suite imports, and the distribution lacks
    return folder


def import_suite(module: str) -> types.ModuleType:
    """A module of the suites, such as `test_modeling_common`; skips the tests that ask for it if it cannot be had."""
    if PACKAGE not in sys.modules:
        package = types.ModuleType(PACKAGE)
        package.__path__ = [str(suites_folder())]
        sys.modules[PACKAGE] = package
        for name, mixin in MISSING_MIXINS.items():
            _add_module(name, {mixin: type(mixin, (), {})})
        for name, values in MISSING_VALUES.items():
            _add_module(name, values)
    return importlib.import_module(f"{PACKAGE}.{module}")


def _add_module(name: str, values: dict) -> None:
    parent, _, child = name.partition(".")
    for path in (parent, f"{parent}.{child}"):
        module = sys.modules.setdefault(f"{PACKAGE}.{path}", types.ModuleType(f"{PACKAGE}.{path}"))
        module.__path__ = []
    vars(sys.modules[f"{PACKAGE}.{name}"]).update(values)
