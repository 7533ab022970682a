"""Copies of trained models for publication: half the size, with the record of the run, without texts of the data."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from ..files.atomic import replace_folder, write_text
from ..model import modeling_ldebm
from ..model.modeling_ldebm import LDEBMModel
from ..model.pipeline_ldebm import LDEBMPipeline
from ..reports.model_card import public_settings
from ..reports.run_record import CURVES, FACTS, METRICS, SETTINGS, RunRecord, read_metrics
from .map_texts import EXAMPLES, NUM_MAP_TEXTS, WRITTEN_TEXTS

CODE = Path(modeling_ldebm.__file__).parent
HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}
SPLITS_KEPT = ("validation", "clock")
"""The lines of `metrics.jsonl` that a model card needs. Those of single training steps are left out for size."""


def write_small_copy(
    run: str | Path,
    folder: str | Path,
    *,
    dtype: str = "bfloat16",
    examples: Sequence[str] = (),
    link_code: bool = False,
) -> None:
    """
    Write a copy of a run's model into a folder. The folder is written atomically and replaces an earlier copy.

    Weights are stored in half precision, except for the prior's, which stay in float32; `from_pretrained` loads all of
    them in float32. The settings are copied without paths of this machine, the metrics without those of single steps.
    Scores are not copied, because they were measured before the weights were rounded. A model of texts gets a file
    `written.txt` of sentences that it wrote, the texts of the page's map.

    Args:
        run (`str` or `Path`): Output folder of `examples/train.py`, or any folder with a model.
        folder (`str` or `Path`): A new folder, or one with an earlier copy.
        dtype (`str`, *optional*, defaults to `"bfloat16"`): `"bfloat16"` or `"float16"`.
        examples (`Sequence[str]`, *optional*): Texts that the page offers as examples.
        link_code (`bool`, *optional*, defaults to `False`): Whether the code that the copy brings, as every saved
            model does, consists of links to the files of this package. They stay right when these files change, but
            the copy must stay where it is.

    Raises:
        ValueError: For another dtype; if there is no model in `run`; if `folder` contains something other than a model
            or is the folder of the run.
    """
    run, folder = Path(run), Path(folder)
    if dtype not in HALF:
        raise ValueError(f"dtype must be {' or '.join(HALF)}, got {dtype!r}")
    if run.resolve() == folder.resolve():
        raise ValueError(f"folder must not be the run's own folder, got {str(folder)!r}")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").is_file():
        raise ValueError(f"folder must be new or contain an earlier copy, but {str(folder)!r} contains something else")
    record = RunRecord.read(run)

    def write(copy: Path) -> None:
        _write_model(run, copy, HALF[dtype])
        for file in copy.glob("*.py") if link_code else ():
            file.unlink()
            file.symlink_to(os.path.relpath(CODE / file.name, folder.resolve()))
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
            pipe = LDEBMPipeline.from_pretrained(copy)
            _write_lines(copy / WRITTEN_TEXTS, pipe.write(num_texts=NUM_MAP_TEXTS, generator=0))
        if examples:
            _write_lines(copy / EXAMPLES, examples)

    replace_folder(folder, write)


def _write_model(run: Path, copy: Path, dtype: torch.dtype) -> None:
    """Write the model with its code, and its tokenizer."""
    LDEBMModel.from_pretrained(run, dtype=dtype).save_pretrained(copy)
    config = json.loads((copy / "config.json").read_text("utf-8")) | {"dtype": "float32"}
    write_text(copy / "config.json", json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    for file in run.glob("*tokenizer*.json"):
        shutil.copyfile(file, copy / file.name)


def _write_lines(file: Path, texts: Sequence[str]) -> None:
    file.write_text("".join(" ".join(text.split()) + "\n" for text in texts), encoding="utf-8")
