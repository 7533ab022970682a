"""The folder of a fit of [`LDEBM`]: texts, training and names of symbols, and what is read of them."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..experiments.checkpoint_explanation import ExplanationSettings, explain_checkpoint
from ..files.atomic import copy_file
from ..files.json_objects import read_object
from ..model.configuration_ldebm import LDEBMConfig
from ..model.pipeline_ldebm import LDEBMPipeline
from ..reports.estimator_file import EstimatorFile, estimator_file_of
from ..reports.run_record import CURVES, ESTIMATOR, FACTS, METRICS, SETTINGS
from ..reports.saved_symbols import save_names
from ..training.output_folder import OutputFolder
from ..training.publishing import write_card
from ..training.saved_runs import find_beside_model
from ..training.settings import Settings
from .estimator_data import TEXT
from .fitted_sizes import FitPlan
from .train import train

TEXTS_FILE = "texts.jsonl"
"""The file of the texts in the folder of a fit."""
TITLE = "Symbols of the texts"
"""Of reports; the folder of a fit may be a temporary one, whose name says nothing."""
DEFAULT_NAME = re.compile(r"LABEL_\d+")
RECORD = (SETTINGS, FACTS, METRICS, CURVES)
"""What is copied beside a model that is saved elsewhere."""


def train_in_folder(
    folder: Path,
    plan: FitPlan,
    content: str,
    by_name: dict[str, Any],
    params: dict[str, Any],
    report: ExplanationSettings,
) -> EstimatorFile:
    """
    Train in a folder, keeping the names that the user has given to symbols there, and name symbols that have no label
    by their words. If the fit has ended there already, nothing is done.

    Args:
        folder (`Path`): The folder, in which the texts are.
        plan ([`FitPlan`]): What to train.
        content (`str`): What is in the file of the texts.
        by_name (`dict`): Labels as they were given, by the names of their classes.
        params (`dict`): Arguments of the estimator.
        report ([`ExplanationSettings`]): The report that names the symbols.
    """
    run, is_resumed = digest_of(plan.settings, content), bool(plan.settings.training.resume)
    earlier = estimator_file_of(folder) or EstimatorFile()
    if is_resumed and earlier.run == run:
        print(f"this fit has ended already: {folder} is loaded")
        return earlier
    names = names_given(folder, earlier) if is_resumed else {}
    train(plan.settings, plan.corpus)
    config = folder / "config.json"
    trained = LDEBMConfig.from_pretrained(folder)
    of_classes = trained.id2label
    labels = {output: by_name[name] for output, name in names_of_outputs(trained).items() if name in by_name}
    if names:
        save_names(config, of_classes | names)
        write_card(folder)
    suggested = {}
    if not labels and trained.has_symbols:
        explained = explain_checkpoint(str(folder), replace(report, auto_names=True), TITLE)
        print(f"{explained.describe()}\n\nWrote {explained.files[0]}")
        before = of_classes | names
        suggested = {symbol: name for symbol, name in names_in(config).items() if name != before[symbol]}
    fitted = EstimatorFile(params, labels, suggested, run)
    fitted.write(folder / ESTIMATOR)
    return fitted


def save_fit(pipeline: LDEBMPipeline, source: Path | None, folder: Path, fitted: EstimatorFile) -> None:
    """
    Save a fitted model in another folder than its own, with the record of its training and its card, without texts.

    Args:
        pipeline ([`LDEBMPipeline`]): The model.
        source (`Path`, *optional*): The folder in which it was fitted.
        folder (`Path`): The other one.
        fitted ([`EstimatorFile`]): What is written into `estimator.json`.
    """
    pipeline.save_pretrained(folder)
    for name in RECORD:
        if source is not None and (source / name).is_file():
            copy_file(source / name, folder / name)
    fitted.write(folder / ESTIMATOR)
    write_card(folder)


def texts_of_fit(folder: Path | None) -> list[str]:
    """
    The texts of a fit, from its folder.

    Raises:
        ValueError: They are not there.
    """
    file = None if folder is None else folder / TEXTS_FILE
    if file is None or not file.is_file():
        raise ValueError("texts must be given: those of the fit are not with the model")
    return [json.loads(line)[TEXT] for line in file.read_text("utf-8").splitlines()]


def was_begun(folder: Path) -> bool:
    """Whether a training has left something in a folder that it can go on from."""
    run = OutputFolder(folder)
    return run.best.exists() or any(run.checkpoints.glob("step-*"))


def names_in(config: Path) -> dict[int, str]:
    """The names of symbols in a model's configuration."""
    found = read_object(config) or {}
    return {int(symbol): name for symbol, name in found.get("id2label", {}).items()}


def names_given(folder: Path, earlier: EstimatorFile) -> dict[int, str]:
    """The names that the user has given to symbols of a finished model, which are neither trained nor suggested."""
    published, trained = folder / "config.json", OutputFolder(folder).best / "config.json"
    if not published.is_file() or not trained.is_file():
        return {}
    of_training = names_in(trained)
    return {
        symbol: name
        for symbol, name in names_in(published).items()
        if symbol in of_training and name not in (of_training[symbol], earlier.suggested.get(symbol))
    }


def labels_of_training(checkpoint: str, pipeline: LDEBMPipeline) -> dict[int, Any]:
    """
    The labels of the outputs of a model whose training has no `estimator.json`: the names of their symbols, if any
    text had a label.
    """
    file = find_beside_model(checkpoint, FACTS)
    facts = None if file is None else read_object(file)
    train_split = ((facts or {}).get("corpus", {}).get("splits") or {}).get("train", {})
    if not pipeline.model.has_symbols or not train_split.get("labelled"):
        return {}
    names = names_of_outputs(pipeline.model.config)
    return {output: name for output, name in names.items() if not DEFAULT_NAME.fullmatch(name)}


def names_of_outputs(config: LDEBMConfig) -> dict[int, str]:
    """The name of the symbol of each output of a model."""
    return {output: config.id2label[symbol] for output, symbol in enumerate(config.symbols_of_outputs)}


def digest_of(settings: Settings, content: str) -> str:
    """A short text by which a fit of the same settings and texts is recognised, whether it goes on or begins."""
    values = settings.to_dict()
    values["training"] |= {"resume": None, "overwrite_output_dir": False}
    del values["training"]["disable_tqdm"]
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(f"{text}\n{content}".encode()).hexdigest()
