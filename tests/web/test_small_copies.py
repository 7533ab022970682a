"""Small copies: what they keep of a run, what they leave out, and that rounding is all that changes in the model."""

import json

import pytest
import torch
from safetensors import safe_open
from tiny_models import TINY_SIZES
from transformers import AutoTokenizer

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer
from ldebm_hf.reports.run_record import RunRecord
from ldebm_hf.web.small_copies import write_small_copy

TEXTS = ["good bread and fruit", "bad weather and rain", "neither bread nor rain"]
LINES = [
    {"step": step, "epoch": 1, "split": split, "values": values}
    for step, split, values in (
        (1, "train", {"seconds_per_step": 0.5}),
        (2, "validation", {"reconstruction_loss": 3.5}),
        (2, "clock", {"wall_seconds": 7.0, "cpu_seconds": 6.0}),
    )
]


@pytest.fixture
def run(tmp_path):
    """What training and its scripts leave, of an untrained model."""
    folder = tmp_path / "run"
    tokenizer = build_tokenizer(TEXTS)
    torch.manual_seed(0)
    config = LDEBMConfig.from_preset("consistent", **TINY_SIZES | {"vocab_size": len(tokenizer)})
    LDEBMModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "settings.yaml").write_text("data: {source: yelp, data_dir: /home/me}\ntraining: {seed: 7}\n")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    (folder / "run.json").write_text('{"parameters": 5}')
    for name in ("curves.png", "evaluation.json", "report.json", "report.html", "private.csv"):
        (folder / name).write_text("{}")
    (folder / "checkpoints").mkdir()
    return folder


def test_record_is_kept_and_nothing_else(run, tmp_path):
    write_small_copy(run, tmp_path / "copy", examples=["bread  and\nrain", "rain"])
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    code = {path.name for path in run.glob("*.py")}
    assert {"modeling_ldebm.py", "pipeline_ldebm.py"} <= code
    model = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert names == code | model | {
        "settings.yaml", "metrics.jsonl", "run.json", "curves.png", "written.txt", "examples.txt"
    }  # fmt: skip
    record = RunRecord.read(tmp_path / "copy")
    assert record.best["values"] == {"reconstruction_loss": 3.5} and record.cost.cpu_seconds == 6.0
    assert record.setting("training.seed") == 7 and record.setting("data.data_dir") is None
    assert "seconds_per_step" not in (tmp_path / "copy" / "metrics.jsonl").read_text()
    assert (tmp_path / "copy" / "examples.txt").read_text() == "bread and rain\nrain\n"
    assert len((tmp_path / "copy" / "written.txt").read_text().splitlines()) == 1500


@pytest.mark.parametrize(("dtype", "digits"), [("bfloat16", 8), ("float16", 11)])
def test_model_is_the_same_but_for_rounding(run, tmp_path, dtype, digits):
    write_small_copy(run, tmp_path / "copy", dtype=dtype)
    with safe_open(tmp_path / "copy" / "model.safetensors", "pt") as weights:
        stored = {name: weights.get_tensor(name).dtype for name in weights.keys()}
    assert all((kind == torch.float32) == name.startswith("prior.") for name, kind in stored.items())
    assert set(stored.values()) - {torch.int64} == {torch.float32, getattr(torch, dtype)}, "counts stay whole"
    whole, copy = LDEBMModel.from_pretrained(run), LDEBMModel.from_pretrained(tmp_path / "copy")
    assert copy.dtype == torch.float32
    for (name, one), other in zip(whole.named_parameters(), copy.parameters(), strict=True):
        torch.testing.assert_close(other, one, rtol=2**-digits, atol=1e-7, msg=name)
    batch = AutoTokenizer.from_pretrained(tmp_path / "copy")(TEXTS, return_tensors="pt", padding=True)
    torch.testing.assert_close(copy.infer_symbols(**batch), whole.infer_symbols(**batch), rtol=0.02, atol=1e-3)


def test_earlier_copy_is_replaced_and_nothing_else_is(run, tmp_path):
    write_small_copy(run, tmp_path / "copy", examples=["rain"])
    (tmp_path / "copy" / "evaluation.json").write_text("{}")
    write_small_copy(run, tmp_path / "copy")
    assert not (tmp_path / "copy" / "evaluation.json").exists(), "that was of other weights"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(ValueError, match="contains something else"):
        write_small_copy(run, tmp_path / "mine")


def test_code_is_a_copy_or_links(run, tmp_path):
    write_small_copy(run, tmp_path / "copy")
    write_small_copy(run, tmp_path / "linked", link_code=True)
    for file in run.glob("*.py"):
        assert not (tmp_path / "copy" / file.name).is_symlink()
        link = tmp_path / "linked" / file.name
        assert link.is_symlink() and not link.readlink().is_absolute()
        assert link.read_text() == (tmp_path / "copy" / file.name).read_text() == file.read_text()


def test_refusals(run, tmp_path):
    with pytest.raises(ValueError, match="dtype must be bfloat16 or float16, got 'int8'"):
        write_small_copy(run, tmp_path / "copy", dtype="int8")
    with pytest.raises(ValueError, match="folder must not be the run's own folder"):
        write_small_copy(run, run)
    with pytest.raises(ValueError, match="no config.json"):
        write_small_copy(tmp_path, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
