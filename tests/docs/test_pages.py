"""Every page: its links lead somewhere, its commands exist, and it is of the kind that its folder says."""

import contextlib
import io
import re
import runpy
import shlex
import sys
from functools import cache
from pathlib import Path

import pytest

import ldebm_command
from ldebm_hf.files.packaged import RECIPES, TABLES, packaged_names

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
PAGES = sorted(
    [REPOSITORY / "README.md", REPOSITORY / "MODEL_CARD.md", REPOSITORY / "spaces_app/README.md", *DOCS.rglob("*.md")]
)
HOW_TO = sorted(path for path in (DOCS / "how-to").glob("*.md") if path.name != "README.md")
MEASURED = re.compile(r"±|\d ?%|\d (?:nats|seconds?|minutes?|hours?|points|MB|GB|ms|times)\b|\d\.\d{2,}")
TAKES_SETTINGS_TOO = {"ldebm classify", "examples/classify.py"}
"""What takes the settings of a training besides its own options."""


def page_name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def anchors_of(page: Path) -> list[str]:
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text("utf-8"))
    titles = re.findall(r"(?m)^#+ (.*)$", text)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


def prose_of(page: Path) -> str:
    return re.sub(r"(?ms)^```.*?^```", "", page.read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if link.startswith("http"):
            continue
        path, _, place = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if place:
            assert place in anchors_of(target), link


def test_every_page_and_picture_is_linked():
    linked = set()
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s#]+)", page.read_text("utf-8")):
            linked.add((page.parent / link).resolve())
    for path in (*DOCS.rglob("*.md"), *DOCS.rglob("*.png")):
        assert path in linked, f"no page links {path.relative_to(REPOSITORY)}"


def commands_of(page: Path) -> list[list[str]]:
    """The words of every command line in the page's bash blocks."""
    commands = []
    for block in re.findall(r"(?ms)^```bash\n(.*?)^```", page.read_text("utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                commands.append(words)
    return commands


@cache
def options_of(program: str) -> frozenset[str]:
    """The options that a script, or `ldebm` with the name of a command, prints with `--help`."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", [program, "--help"])
        with contextlib.suppress(SystemExit):
            if program.startswith("ldebm "):
                name = program.removeprefix("ldebm ")
                ldebm_command.main([name, "--help-all" if name == "train" else "--help"])
            else:
                script = REPOSITORY / program
                patch.syspath_prepend(str(script.parent))  # as Python does
                runpy.run_path(str(script), run_name="__main__")
    assert printed.getvalue(), program
    return frozenset(re.findall(r"--([\w.]+)", printed.getvalue()))


def program_of(words: list[str]) -> tuple[str, list[str]] | None:
    """The script or command of a line that is one of ours, and its arguments."""
    for place, word in enumerate(words):
        if re.fullmatch(r"(examples|benchmarks|spaces_app)/\w+\.py", word):
            return word, words[place + 1 :]
        if word.startswith("ldebm_hf.commands."):
            return f"ldebm {word.rpartition('.')[2]}", words[place + 1 :]
    if words[0] == "ldebm" and not words[1].startswith("-"):
        return " ".join(words[:2]), words[2:]
    return None


@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=page_name)
def test_commands_name_scripts_files_and_options_that_exist(page):
    for words in commands_of(page):
        for word in words:
            if word.startswith(("examples/", "benchmarks/")):
                assert (REPOSITORY / word).is_file(), f"{word} in: {' '.join(words)}"
        found = program_of(words)
        if found is None:
            continue
        program, arguments = found
        known = options_of(program)
        if program in TAKES_SETTINGS_TOO:
            known |= options_of("ldebm train")
        for word in arguments:
            if word.startswith("--") and word not in ("--help", "--help-all"):
                name = word[2:].partition("=")[0]
                assert name in known or name.rpartition(".")[2] in known, f"{program} has no {word}"
        if "--config" in arguments:
            name = arguments[arguments.index("--config") + 1]
            packaged = packaged_names(TABLES if program.endswith(("evaluate", "evaluate.py")) else RECIPES)
            assert name in packaged or name.endswith((".yaml", "FILE")), f"{name} is not packaged"


@pytest.mark.parametrize("page", HOW_TO, ids=page_name)
def test_how_to_pages_begin_with_commands(page):
    assert re.match(r"# [^\n]+\n\n```bash\n", page.read_text("utf-8"))


@pytest.mark.parametrize("page", HOW_TO, ids=page_name)
def test_how_to_pages_have_no_measured_figures(page):
    found = MEASURED.search(prose_of(page))
    assert found is None, prose_of(page)[max(0, found.start() - 60) : found.end() + 20]


def test_layout_has_every_folder_and_the_import_rule():
    page = (DOCS / "reference/layout.md").read_text("utf-8")
    folders = {path.name for path in (REPOSITORY / "ldebm_hf").iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == set(re.findall(r"(?m)^  (\w+)/ ", page))
    rule = re.search(r"above its own:\n\n```\n(.*?)```", page, re.DOTALL).group(1).splitlines()
    layers = runpy.run_path(str(REPOSITORY / "tests/test_imports.py"))["LAYERS"]
    assert [set(line.split(", ")) for line in rule[:-1]] == [set(layer) for layer in layers]


def test_layout_names_files_that_exist():
    page = (DOCS / "reference/layout.md").read_text("utf-8")
    inside = page.partition("## Inside `model/`")[2]
    for name in re.findall(r"`(\w+\.py)`", inside):
        assert (REPOSITORY / "ldebm_hf/model" / name).is_file(), name


def test_every_recipe_is_in_the_reference():
    page = (DOCS / "reference/sources.md").read_text("utf-8")
    assert [name for name in packaged_names(RECIPES) if f"`{name}.yaml`" not in page] == []


def test_every_preset_is_in_the_reference():
    from ldebm_hf.model.presets import PRESETS

    page = (DOCS / "reference/presets.md").read_text("utf-8")
    assert [name for name in PRESETS if f"`{name}`" not in page] == []
