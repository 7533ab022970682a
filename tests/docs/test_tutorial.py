"""The tutorials' files and commands, as they stand there, with smaller models and two steps of training."""

import os
import re
import shlex
from pathlib import Path

import pytest
from clean_processes import run_python

REPOSITORY = Path(__file__).resolve().parents[2]
TUTORIALS = REPOSITORY / "docs/tutorial"
TWO_STEPS = ["--max_steps", "2", "--energy_hidden_size", "16", "--langevin_steps", "2", "--latent_size", "4"]
SMALLER = {
    "texts": ["--embedding_size", "16", "--encoder_hidden_size", "16", "--decoder_hidden_size", "16"],
    "documents": ["--document_hidden_size", "16"],
}
FENCED = re.compile(r"(?ms)^```(\w*)\n(.*?)^```")


def smaller(command: list[str]) -> list[str]:
    """A command of the page; one that trains gets a smaller model."""
    if command[:2] != ["ldebm", "train"]:
        return command
    return command + TWO_STEPS + SMALLER[command[command.index("--config") + 1]]


def run_page(name: str, folder: Path) -> list[tuple[list[str], str, str]]:
    """Write the scripts of a tutorial and run its commands, in its order.

    A command whose printed output on the page begins with `error:` must fail with that message; others must succeed.

    Returns:
        Each command, what it printed, and what the page shows after it.
    """
    text = (TUTORIALS / name).read_text("utf-8")
    names = iter(re.findall(r"(?i)save\w*\s+(?:this\s+script\s+)?as\s+`(\w+\.py)`", text))
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1"}
    blocks = FENCED.findall(text)
    ran = []
    for i, (language, content) in enumerate(blocks):
        if language == "python":
            (folder / next(names)).write_text(content, "utf-8")
        if language != "bash":
            continue
        shown = blocks[i + 1][1] if i + 1 < len(blocks) and not blocks[i + 1][0] else ""
        commands = [shlex.split(line, comments=True) for line in content.replace("\\\n", " ").splitlines()]
        commands = [command for command in commands if command]
        for command in commands:
            assert command[0] in ("python", "ldebm")
            program = [] if command[0] == "python" else ["-m", "ldebm_command"]
            must_fail = shown.startswith("error: ") and command is commands[-1]
            done = run_python([*program, *smaller(command)[1:]], folder, environment)
            assert (done.returncode != 0) == must_fail, f"{shlex.join(command)}\n{done.stderr[-2000:]}"
            if must_fail:
                assert shown in done.stderr
            ran.append((command, done.stdout + done.stderr, shown))
    return ran


@pytest.mark.slow
def test_first_model(tmp_path):
    outputs = {command[1]: printed for command, printed, _ in run_page("first_model.md", tmp_path)}

    assert (tmp_path / "messages.csv").read_text("utf-8").startswith("message,topic\n")
    assert (tmp_path / "outputs/texts/report.html").is_file()
    assert "bills and refunds" in outputs["explain"]
    assert "bills and refunds" in outputs["write"]
    assert outputs["read_texts.py"].count("'score'") == 2


@pytest.mark.slow
def test_messy_export(tmp_path):
    ran = run_page("messy_export.md", tmp_path)

    page = (TUTORIALS / "messy_export.md").read_text("utf-8")
    head = (tmp_path / "feedback.csv").read_bytes().decode("cp1252").replace("\r\n", "\n")[:300]
    assert head in page
    [(printed, shown)] = [(printed, shown) for command, printed, shown in ran if "--validation_fraction" in command]
    notes = [line for line in shown.splitlines() if "note: " in line]
    assert len(notes) > 4 and [line for line in notes if line not in printed] == []
    assert "Besançon" in (tmp_path / "outputs/documents/report.html").read_text("utf-8")
    [_, printed, shown] = ran[-1]
    assert [line for line in shown.splitlines() if line not in printed] == [], "what naming new comments prints"
    table = (tmp_path / "new_regions.csv").read_text("utf-8").splitlines()
    assert table[0] == "Comment,predicted_label,predicted_score" and table[-1].startswith("👍👍👍,")
