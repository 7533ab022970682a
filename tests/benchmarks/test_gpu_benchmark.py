"""The script for a GPU at small sizes on the CPU: every section runs, and what cannot is named with the reason."""

import json
import math
from pathlib import Path

import gpu
import pytest
import torch
from clean_processes import run_clean
from sizes import SMALL

NOT_ON_THE_GPU_MACHINE = ("datasets", "faiss", "evaluate", "gradio")
RUN = f"""
import sys
sys.modules.update(dict.fromkeys({NOT_ON_THE_GPU_MACHINE}))  # importing one of them fails
sys.path.insert(0, sys.argv[1])
import gpu
gpu.main(["--small", "--rounds", "2", "--output", sys.argv[2]])
"""


@pytest.mark.slow
def test_every_section_runs_without_optional_packages(tmp_path):
    output = tmp_path / "folder" / "gpu.json"
    printed = run_clean(RUN, tmp_path, Path(gpu.__file__).parent, output)
    report = json.loads(output.read_text("utf-8"))
    assert list(report["results"]) == ["training", "sampling", "writing"]
    assert report["skipped"] == {"clustering": "faiss is not installed"}
    assert "### clustering: skipped, faiss is not installed" in printed
    for rows in report["results"].values():
        for row in rows:
            assert 0 < row["low"] <= row["ratio"] <= row["high"] < math.inf
            assert row["our_seconds"] > 0 and f"| {row['name']}" in printed
    notes = {row["note"] for rows in report["results"].values() for row in rows}
    assert {*gpu.SAMPLERS, "sampler through torch.compile", "bfloat16 by autocast"} <= notes
    assert report["environment"]["small"] and report["seconds"] > 0
    if report["environment"]["device"] == "cpu":
        assert report["differences"]["relative error of energy gradients"] == 0
    assert 0 < report["differences"]["relative error of energy gradients in bfloat16"] < 0.05


def test_clustering():
    (row, *_) = gpu.clustering(1, "cpu", SMALL)
    assert row.name.startswith("K-means") and "1,000 × 40" in row.note


def test_no_section_starts_when_the_time_is_up(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "differences", lambda *_: {"none": 0.0})
    gpu.main(["--small", "--minutes", "0", "--output", str(tmp_path / "gpu.json")])
    assert json.loads((tmp_path / "gpu.json").read_text())["skipped"] == dict.fromkeys(gpu.SECTIONS, "the time is up")
    assert "### training: skipped, the time is up" in capsys.readouterr().out


def test_warnings_are_reported(tmp_path, monkeypatch, capsys):
    def section(rounds, device, sizes):
        gpu.logging.getLogger("ldebm_hf.model.energy").warning("torch.compile failed; %s", "no compiler")
        return gpu.compare("nothing", lambda: None, lambda: None, rounds=rounds)

    monkeypatch.setattr(gpu, "differences", lambda *_: {"none": 0.0})
    monkeypatch.setattr(gpu, "SECTIONS", {"one": section})
    gpu.main(["--small", "--output", str(tmp_path / "gpu.json")])
    assert json.loads((tmp_path / "gpu.json").read_text())["warnings"] == ["torch.compile failed; no compiler"]
    assert "warning: torch.compile failed; no compiler" in capsys.readouterr().out


def test_a_section_that_fails_leaves_the_others(tmp_path, monkeypatch, capsys):
    def fails(rounds, device, sizes):
        raise RuntimeError("no kernel")

    works = {"two": lambda rounds, device, sizes: gpu.compare("nothing", lambda: None, lambda: None, rounds=rounds)}
    monkeypatch.setattr(gpu, "differences", lambda *_: {"none": 0.0})
    monkeypatch.setattr(gpu, "SECTIONS", {"one": fails} | works)
    with pytest.raises(SystemExit, match="error: one failed"):
        gpu.main(["--small", "--output", str(tmp_path / "gpu.json")])
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report["failed"] == {"one": "RuntimeError: no kernel"} and list(report["results"]) == ["two"]
    assert "### one: failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "there is no GPU that PyTorch can use: --small runs tiny sizes on the CPU"),
        (["--small", "--rounds", "0"], "--rounds must be at least 1, got 0"),
        (["--small", "--sections", "three"], "invalid choice: 'three'"),
    ],
)
def test_bad_options_are_refused(arguments, expected, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu.main(arguments)
    assert expected in capsys.readouterr().err


def test_autocast_changes_the_precision_of_a_step_and_keeps_its_parameters():
    model = gpu.training_step.build_model("cpu", "consistent", SMALL)
    texts, _ = gpu.training_step.read_texts()
    batch = gpu.training_step.make_batch(texts, gpu.training_step.random_indices(texts, SMALL.batch_size))
    batch = gpu.training_step.to_device(batch, model.device)
    found = []
    for wrapped in (model.eval(), gpu.InBfloat16(model).eval()):
        torch.manual_seed(0)
        found.append(wrapped(**batch).loss.item())
    assert found[0] != found[1] and found[1] == pytest.approx(found[0], rel=0.02)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
