"""A trained model to give away: of half the size, with the record of its run, and with no text of its data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoTokenizer

from ..files.atomic import replace_folder, write_text
from ..model.modeling_ldebm import LDEBMModel
from ..reports.model_card import public_settings
from ..reports.run_record import CURVES, FACTS, METRICS, SETTINGS, RunRecord, read_metrics
from .explorer import EXAMPLES, NUM_MAP_TEXTS, WRITTEN_TEXTS, written_texts

HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}
SPLITS_KEPT = ("validation", "clock")
"""Of `metrics.jsonl`: what a card says of a run. The lines of single training steps are many times as long."""


def write_small_copy(
    run: str | Path, folder: str | Path, *, dtype: str = "bfloat16", examples: Sequence[str] = ()
) -> None:
    """
    Write a copy of a run's model into a folder, which appears whole or not at all and replaces an earlier one.

    Weights are stored in half precision, those of the prior in float32, and computed with in float32 again: the
    configuration says so to `from_pretrained`. Settings come without folders of this machine, metrics without those of
    single steps. Scores are left out, as they are of the weights before they were rounded. A model of texts gets
    `written.txt` with sentences of its own, the texts of a page's map.

    Args:
        run (`str` or `Path`): As examples/train.py leaves it, or any folder with a model.
        folder (`str` or `Path`): New, or with an earlier copy.
        dtype (`str`, *optional*, defaults to `"bfloat16"`): `"bfloat16"` or `"float16"`.
        examples (`Sequence[str]`, *optional*): Texts that a page offers to try first.

    Raises:
        ValueError: Another dtype; no model in `run`; a `folder` that holds something other than a model, or is `run`.
    """
    run, folder = Path(run), Path(folder)
    if dtype not in HALF:
        raise ValueError(f"dtype must be {' or '.join(HALF)}, got {dtype!r}")
    if run.resolve() == folder.resolve():
        raise ValueError(f"folder must be another one than the run's, got {str(folder)!r}")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").is_file():
        raise ValueError(f"folder must be new or hold an earlier copy, and {str(folder)!r} holds something else")
    record = RunRecord.read(run)

    def write(copy: Path) -> None:
        _write_model(run, copy, HALF[dtype])
        if settings := public_settings(record):
            (copy / SETTINGS).write_text(settings, encoding="utf-8")
        for name in (FACTS, CURVES):
            if (run / name).is_file():
                shutil.copyfile(run / name, copy / name)
        lines = [line for split in SPLITS_KEPT for line in read_metrics(run, split)]
        if lines:
            (copy / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        config = record.config
        if config.modality_class.is_autoregressive and not config.context_size and config.has_latent:
            model, tokenizer = LDEBMModel.from_pretrained(copy), AutoTokenizer.from_pretrained(copy)
            _write_lines(copy / WRITTEN_TEXTS, written_texts(model, tokenizer, NUM_MAP_TEXTS))
        if examples:
            _write_lines(copy / EXAMPLES, examples)

    replace_folder(folder, write)


def _write_model(run: Path, copy: Path, dtype: torch.dtype) -> None:
    """The model and its tokenizer, without the code for `trust_remote_code`."""
    LDEBMModel.from_pretrained(run, dtype=dtype).save_pretrained(copy)
    for code in copy.glob("*.py"):
        code.unlink()
    config = json.loads((copy / "config.json").read_text("utf-8")) | {"dtype": "float32"}
    write_text(copy / "config.json", json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    for file in run.glob("tokenizer*.json"):
        shutil.copyfile(file, copy / file.name)


def _write_lines(file: Path, texts: Sequence[str]) -> None:
    file.write_text("".join(" ".join(text.split()) + "\n" for text in texts), encoding="utf-8")
