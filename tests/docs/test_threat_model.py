"""The threat model: every line of it has a test, and no code of the package runs what a file contains."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs/reference/threat_model.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "| test |" not in line]
CALLS_THAT_RUN_CODE = {
    "eval", "exec", "compile", "os.system", "os.popen", "pickle.load", "pickle.loads", "torch.load", "joblib.load",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load",
}  # fmt: skip
HARMLESS = {"yaml.load(text, Loader=yaml.BaseLoader)"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:50])
def test_every_line_has_its_tests(row):
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row.split("|")[-2])
    assert named, "a line names at least one test"
    for file, name in named:
        assert f"\ndef {name}(" in (REPOSITORY / file).read_text("utf-8"), f"{file} has no {name}"


def test_there_are_lines():
    assert len(ROWS) > 15


def sources() -> list[Path]:
    folders = ("ldebm_hf", "examples", "spaces_app", "benchmarks")
    return [path for folder in folders for path in sorted((REPOSITORY / folder).rglob("*.py"))]


def dangers(source: str) -> list[str]:
    """The calls of a source that can run what a file contains."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or ast.unparse(node) in HARMLESS:
            continue
        options = {option.arg: ast.unparse(option.value) for option in node.keywords}
        trusts = {"trust_remote_code": "True", "weights_only": "False", "allow_pickle": "True", "shell": "True"}
        trusts["use_safetensors"] = "False"
        if ast.unparse(node.func) in CALLS_THAT_RUN_CODE or any(options.get(k) == v for k, v in trusts.items()):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    "source",
    ["torch.load(f)", "yaml.load(f, Loader=yaml.Loader)", "a.from_pretrained(b, trust_remote_code=True)", "eval(x)"],
)
def test_dangers_are_found(source):
    assert dangers(source)


def test_package_runs_nothing_that_a_file_contains():
    assert {str(path): found for path in sources() if (found := dangers(path.read_text("utf-8")))} == {}
