"""The model card of a run, completed from what the run recorded, so that nothing is left to fill in by hand."""

from __future__ import annotations

import hashlib
import json
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from safetensors import safe_open

from ..pseudo_labels.geometric_clustering import SOURCES, ClusteringSettings
from .data_origin import Origin, public_name
from .limitations import limitations
from .model_card_scores import CardScores, generation_rows, short_number
from .run_record import CURVES, RunRecord
from .templates import load_template

SYMBOLS_SHOWN = 50
FEW_SYMBOLS, EXAMPLES_OF_FEW = 12, 3
FLOATING_TYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
"""Names of safetensors' types."""
SEAL = re.compile(r"\n<!-- made by ldebm_hf, ([0-9a-f]{16}) -->\n$")
BASE_MODELS = ("encoder_name_or_path", "decoder_name_or_path")
MACHINE_SETTINGS = {
    "data_dir",
    "disable_tqdm",
    "features_dir",
    "output_dir",
    "overwrite_output_dir",
    "resume",
    "push_to_hub",
    "hub_model_id",
    "hub_private_repo",
    "hub_revision",
}
"""Settings that are about the machine or the account of whoever ran the training."""


def model_card(record: RunRecord, place: str | None = None, pictures: str = "") -> ModelCard:
    """
    The card of a model.

    Args:
        record ([`RunRecord`]): The record of its training run.
        place (`str`, *optional*): Hub id or folder from which the code in the card loads the model; defaults to the
            run's folder.
        pictures (`str`, *optional*): Path from the card to the folder with the pictures; by default it is the same.

    Returns:
        `huggingface_hub.ModelCard`: The card, with the scores in its metadata as `model-index`.
    """
    place = place or record.folder.as_posix()
    origin, facts, config = Origin.from_record(record), record.facts, record.config
    corpus = facts.get("corpus", {})
    scores = CardScores.sort(record.evaluation)
    named = [name for symbol, name in config.id2label.items() if name != f"LABEL_{symbol}"]
    symbols = _symbols(record) if config.has_symbols else []
    body = _template().render(
        title=place.rstrip("/").rpartition("/")[2],
        summary=_summary(record, origin),
        place=place,
        has_code=record.has_code,
        has_symbols=config.has_symbols,
        first_symbol=config.id2label[0],
        has_latent=config.has_latent,
        has_context=config.context_size > 0,
        data=origin,
        unit=config.modality,
        modality=config.modality_class,
        splits=corpus.get("splits", {}),
        supervision=_supervision(record),
        notes=corpus.get("notes", []),
        best=record.best,
        best_by=record.setting("training.metric_for_best_model", "reconstruction_loss"),
        agreement=scores.agreement_rows,
        writing=generation_rows(record.evaluation),
        evaluation=scores.shown,
        likelihood=record.likelihood,
        curves=f"{pictures}{CURVES}" if (record.folder / CURVES).is_file() else "",
        symbols=symbols[:SYMBOLS_SHOWN],
        explained=bool(record.symbols),
        explained_by=record.explained_by,
        named=named,
        num_unnamed=config.num_labels - len(named),
        num_symbols=config.num_labels,
        num_left_out=max(0, len(symbols) - SYMBOLS_SHOWN) if record.symbols or named else 0,
        risks=limitations(record, origin),
        num_steps=record.num_steps,
        settings=public_settings(record).rstrip(),
        environment=facts.get("environment", {}),
        transformers_version=config.transformers_version,
        cost=_cost(record),
    )
    return ModelCard(f"---\n{_metadata(record, origin, scores, place).to_yaml()}\n---\n\n{body}")


def sealed(card: ModelCard) -> str:
    """The text of a card's file, with a checksum by which [`is_untouched`] recognises later edits."""
    text = str(card).rstrip() + "\n"
    return f"{text}\n<!-- made by ldebm_hf, {_digest(text)} -->\n"


def is_untouched(text: str) -> bool:
    """Whether a card is as [`sealed`] wrote it and can be replaced without losing what a person added."""
    seal = SEAL.search(text)
    return seal is not None and seal[1] == _digest(text[: seal.start()])


def public_settings(record: RunRecord) -> str:
    """`settings.yaml` without what concerns only the machine of the run, such as folders; empty if there is none."""
    hub_id = record.facts.get("corpus", {}).get("hub_id")
    shown: dict[str, dict[str, Any]] = {}
    for section, entries in record.settings.items():
        shown[section] = {}
        for name, value in entries.items():
            if name in MACHINE_SETTINGS:
                continue
            is_place = name in ("source", "validation_file") and value
            if name in BASE_MODELS and value:
                value = _without_folders(value)
            shown[section][name] = public_name(value, hub_id) if is_place else value
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True) if shown else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _metadata(record: RunRecord, origin: Origin, scores: CardScores, place: str) -> ModelCardData:
    task, task_name = record.config.modality_class.hub_task
    values = dict(record.best["values"]) if record.best else {}
    values |= scores.other | scores.agreement
    if record.likelihood:
        values["log_likelihood_lower_bound"] = record.likelihood["lower"]
    results = [
        EvalResult(
            task,
            dataset_type=origin.hub_id or origin.source,
            dataset_name=origin.title,
            dataset_split="validation",
            task_name=task_name,
            metric_type=name,
            metric_name=_words(name),
            metric_value=value,
        )
        for name, value in values.items()
        if math.isfinite(value)
    ]
    return ModelCardData(
        language=origin.language,
        library_name="transformers",
        tags=["ldebm", "energy-based-model", "latent-diffusion", record.config.modality],
        base_model=[name for name in _base_models(record) if not Path(name).is_absolute()] or None,
        datasets=[origin.hub_id] if origin.hub_id else None,
        model_name=place.rstrip("/").rpartition("/")[2] if results else None,
        eval_results=results or None,
        **origin.license_fields,
    )


def _summary(record: RunRecord, origin: Origin) -> str:
    config, parameters = record.config, record.facts.get("parameters")
    parts = [f"{parameters:,} parameters"] if parameters else []
    parts += [f"{config.num_labels} symbols"] if config.has_symbols else []
    parts += [f"a latent of {config.total_latent_size} numbers"] if config.has_latent else []
    kind = f"{config.prior_class.card_description} of {config.modality}s"
    text = f"A {kind}: {', '.join(parts)}. Trained on: {origin.title}."
    if config.encoder_name_or_path is not None:
        text += f" Texts are read by the pretrained encoder {_without_folders(config.encoder_name_or_path)}."
    if config.decoder_name_or_path is not None:
        text += f" Texts are written by the language model {_without_folders(config.decoder_name_or_path)}."
    return f"{text} {stored}" if (stored := _stored(record)) else text


def _base_models(record: RunRecord) -> list[str]:
    """The pretrained models that a model is built on, by id or folder."""
    return [name for setting in BASE_MODELS if (name := getattr(record.config, setting)) is not None]


def _without_folders(base_model: str) -> str:
    """The id of a base model, or the name of its folder without the folders of this machine."""
    return Path(base_model).name if Path(base_model).is_absolute() else base_model


def _stored(record: RunRecord) -> str:
    """The precision and size of the stored weights, unless all of them are in float32."""
    file = record.folder / "model.safetensors"
    if not file.is_file():
        return ""
    with safe_open(file, "numpy") as weights:
        codes = {weights.get_slice(name).get_dtype() for name in weights.keys()}
    types = sorted(name for code, name in FLOATING_TYPES.items() if code in codes)
    size = file.stat().st_size / 1e6
    return "" if types == ["float32"] else f"Weights are stored in {' and '.join(types)}: {size:.1f} MB."


def _supervision(record: RunRecord) -> str:
    """How the symbols of the training examples were determined."""
    train = record.facts.get("corpus", {}).get("splits", {}).get("train")
    if train is None or not record.config.has_symbols:
        return ""
    labelled, unit = train["labelled"], record.config.modality
    source = SOURCES[record.setting("clustering.features", ClusteringSettings.features)]
    rest = source if record.setting("clustering.enabled") else "without supervision"
    if labelled == 0:
        return f"No {unit} had a label: the symbols were found {rest}, and mean what they turn out to mean."
    if labelled == train["size"]:
        return f"Every training {unit} had a label, which its symbol was learned from."
    return f"{labelled:,} training {unit}s had a label, which their symbol was learned from; the others' {rest}."


def _symbols(record: RunRecord) -> list[dict[str, Any]]:
    """What is known of every symbol, in descending order of frequency if that is known."""
    names, writes_words = record.config.id2label, record.config.modality_class.is_bag_of_words
    if not record.symbols:
        return [{"id": symbol, "name": name} for symbol, name in names.items()]
    num_examples = EXAMPLES_OF_FEW if len(record.symbols) <= FEW_SYMBOLS else 1
    symbols = [
        {
            "id": symbol["id"],
            "name": _shown_name(symbol["id"], names[symbol["id"]], symbol["suggested_name"]),
            "share": symbol["share"],
            "words": [word["word"] for word in symbol["words"][:8]],
            "examples": [", ".join(symbol["generated"])] if writes_words else symbol["generated"][:num_examples],
        }
        for symbol in record.symbols
    ]
    return sorted(symbols, key=lambda symbol: -symbol["share"])


def _shown_name(symbol: int, name: str, suggested: str) -> str:
    return f"*{suggested}*" if name == f"LABEL_{symbol}" else name


def _cost(record: RunRecord) -> str:
    cost, hardware = record.cost, record.facts.get("hardware", {})
    if cost is None:
        return "Not recorded."
    processes, device = hardware.get("processes", 1), hardware.get("device", "")
    text = f"{cost.wall_seconds:,.0f} seconds of training"
    if cost.cpu_seconds is not None:
        of = "" if processes == 1 else f" in the first of {processes} processes"
        text += f", and {cost.cpu_seconds:,.0f} CPU seconds{of}"
    else:
        text += ", without clustering and validation"
    if device and device != "cpu":
        text += f"; {cost.wall_seconds * processes:,.0f} GPU seconds ({processes} × {device})"
    return text + ". Runs that led to these settings are not counted."


@cache
def _template() -> jinja2.Template:
    filters = {
        "words": _words,
        "cell": _cell,
        "capitalized": _capitalized,
        "number": short_number,
        "literal": _literal,
    }
    return load_template("model_card.md", filters, autoescape=False)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cell(text: object) -> str:
    """Text in a cell of a Markdown table, where a pipe must not end the cell and nothing is taken for markup."""
    return re.sub(r"([\\|`<>\[\]])", r"\\\1", " ".join(str(text).split()))


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
