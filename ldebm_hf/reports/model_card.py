"""The model card of a run, filled from its own record: nothing in it is left for a person to complete."""

from __future__ import annotations

import hashlib
import json
import math
import re
from functools import cache
from typing import Any

import jinja2
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from safetensors import safe_open

from ..pseudo_labels.geometric_clustering import SOURCES, ClusteringSettings
from .card_texts import Origin, public_name, risks_of
from .page_templates import load_template
from .run_record import CURVES, RunRecord

SYMBOLS_SHOWN = 50
FEW_SYMBOLS, EXAMPLES_OF_FEW = 12, 3
AGREEMENT = ("homogeneity", "completeness", "v_measure", "adjusted_rand")
OF_WRITING = {"distinct_2": ("distinct-2 %", 100), "self_bleu": ("self-BLEU", 1), "perplexity": ("perplexity", 1),
              "copied": ("copied %", 100)}  # fmt: skip
"""What is shown of sentences written for classes, besides how many have theirs: titles and units."""
ASIDE = ("_chance", "_std_error", "@")
"""In names of scores that stand beside others, or are of other ways of writing."""
SAME_AGAIN = "normalized_mutual_information"  # the V-measure under another name
FLOATING_TYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
SEAL = re.compile(r"\n<!-- made by ldebm_hf, ([0-9a-f]{16}) -->\n$")


def model_card(record: RunRecord, place: str | None = None, pictures: str = "") -> ModelCard:
    """The card of a model.

    Args:
        record ([`RunRecord`]): What is known of it.
        place (`str`, *optional*): A Hub id or folder from which the card's code loads the model; default the folder.
        pictures (`str`, *optional*): Where the folder's pictures are, seen from the card's file; default beside it.

    Returns:
        `huggingface_hub.ModelCard`, whose data have the scores as `model-index`.
    """
    place = place or record.folder.as_posix()
    origin, facts, config = Origin.of(record), record.facts, record.config
    corpus = facts.get("corpus", {})
    agreement, other = _evaluation(record.evaluation)
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
        teaching=_teaching(record),
        notes=corpus.get("notes", []),
        best=record.best,
        best_by=record.setting("training.metric_for_best_model", "reconstruction_loss"),
        agreement=agreement,
        writing=_writing(record.evaluation),
        evaluation=other,
        likelihood=record.likelihood,
        curves=f"{pictures}{CURVES}" if (record.folder / CURVES).is_file() else "",
        symbols=symbols[:SYMBOLS_SHOWN],
        explained=bool(record.symbols),
        explained_by=record.explained_by,
        named=named,
        num_unnamed=config.num_labels - len(named),
        num_symbols=config.num_labels,
        num_left_out=max(0, len(symbols) - SYMBOLS_SHOWN) if record.symbols or named else 0,
        risks=risks_of(record, origin),
        num_steps=record.num_steps,
        settings=public_settings(record).rstrip(),
        environment=facts.get("environment", {}),
        transformers_version=config.transformers_version,
        cost=_cost(record),
    )
    return ModelCard(f"---\n{_data(record, origin, place).to_yaml()}\n---\n\n{body}")


def sealed(card: ModelCard) -> str:
    """The text of a card's file, with a seal by which [`is_untouched`] knows whether it was edited."""
    text = str(card).rstrip() + "\n"
    return f"{text}\n<!-- made by ldebm_hf, {_digest(text)} -->\n"


def is_untouched(text: str) -> bool:
    """Whether a card is as [`sealed`] made it, so that nothing a person wrote is lost with it."""
    seal = SEAL.search(text)
    return seal is not None and seal[1] == _digest(text[: seal.start()])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _data(record: RunRecord, origin: Origin, place: str) -> ModelCardData:
    task, task_name = record.config.modality_class.hub_task
    agreement, other = _evaluation(record.evaluation, shown=False)
    scores = dict(record.best["values"]) if record.best else {}
    scores |= other | agreement
    if record.likelihood:
        scores["log_likelihood_lower_bound"] = record.likelihood["lower"]
    dataset = {"dataset_type": origin.hub_id or origin.source, "dataset_name": origin.title}
    split = {"dataset_split": "validation"}
    results = [
        EvalResult(task, **dataset, **split, task_name=task_name, metric_type=name, metric_name=_words(name),
                   metric_value=value)
        for name, value in scores.items()
        if math.isfinite(value)
    ]  # fmt: skip
    return ModelCardData(
        language=origin.language,
        library_name="transformers",
        tags=["ldebm", "energy-based-model", "latent-diffusion", record.config.modality],
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
    return f"{text} {stored}" if (stored := _stored(record)) else text


def _stored(record: RunRecord) -> str:
    """How large the file of weights is, unless all of them are in float32."""
    file = record.folder / "model.safetensors"
    if not file.is_file():
        return ""
    with safe_open(file, "numpy") as weights:
        codes = {weights.get_slice(name).get_dtype() for name in weights.keys()}
    types = sorted(name for code, name in FLOATING_TYPES.items() if code in codes)
    size = file.stat().st_size / 1e6
    return "" if types == ["float32"] else f"Weights are stored in {' and '.join(types)}: {size:.1f} MB."


def _teaching(record: RunRecord) -> str:
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


def _evaluation(scores: dict[str, float], shown: bool = True) -> tuple[Any, dict[str, float]]:
    """Agreement with classes, as rows to be shown (with chance levels) or by name, and the other scores."""
    finite = {name: value for name, value in scores.items() if value is not None and math.isfinite(value)}
    suffix = "_batched_homogeneity"
    attributes = [
        name.removesuffix("_homogeneity")
        for name in finite
        if name.endswith("_homogeneity") and not name.endswith(suffix) and not name.startswith("kmeans_")
    ]
    names = [f"{attribute}_{score}" for attribute in attributes for score in (*AGREEMENT, "batched_homogeneity")]
    aside, again = ("kmeans_", "real_"), tuple(f"{attribute}_{SAME_AGAIN}" for attribute in attributes)
    other = {
        name: value
        for name, value in finite.items()
        if name not in names and not any(part in name for part in ASIDE) and not name.startswith((*aside, *again))
    }
    if shown and "accuracy" in finite:
        other = {name: value for name, value in other.items() if f"real_{name}" not in finite}  # in a table of its own
    if not shown:
        return {name: finite[name] for name in names if name in finite}, other

    def with_chance(name: str) -> str:
        chance = finite.get(f"{name}_chance")
        return "" if name not in finite else f"{finite[name]:.3f}" + ("" if chance is None else f" ({chance:.3f})")

    rows = [
        {
            "attribute": attribute,
            "score": score,
            "whole": with_chance(f"{attribute}_{score}"),
            "batched": with_chance(f"{attribute}{suffix}") if score == "homogeneity" else "",
        }
        for attribute in attributes
        for score in AGREEMENT
    ]
    return rows, other


def _writing(scores: dict[str, float]) -> dict[str, list[str]]:
    """Rows of what was scored of sentences written for classes, by way of writing, below a row `""` of titles."""
    if scores.get("accuracy") is None:
        return {}
    classes = [name for name in scores if name.startswith("accuracy_") and f"{name}_std_error" in scores]
    columns = {"accuracy": ("as asked %", 100)}
    columns |= {name: (f"{_words(name.removeprefix('accuracy_'))} %", 100) for name in classes}
    columns |= {name: column for name, column in OF_WRITING.items() if name in scores}
    suffixes = dict.fromkeys(name.partition("@")[2] for name in scores if name.startswith("accuracy@"))
    ways = {"real held-out texts": ("real_", ""), "likeliest words": ("", "")}
    ways |= {_way(suffix): ("", f"@{suffix}") for suffix in suffixes}
    rows = {"": [title for title, _ in columns.values()]}
    for way, (before, after) in ways.items():
        values = [(scores.get(f"{before}{name}{after}"), unit) for name, (_, unit) in columns.items()]
        rows[way] = ["" if value is None else _number(unit * value) for value, unit in values]
    return rows


def _way(suffix: str) -> str:
    return f"guidance {suffix}" if suffix.replace(".", "", 1).isdigit() else suffix


def _symbols(record: RunRecord) -> list[dict[str, Any]]:
    """What is known of every symbol; the most frequent first, where that is known."""
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


def public_settings(record: RunRecord) -> str:
    """`settings.yaml` without what is only about the machine of the run, such as folders; empty without one."""
    hidden = {"data_dir", "output_dir", "overwrite_output_dir", "resume", "push_to_hub", "hub_model_id",
              "hub_private_repo", "hub_revision"}  # fmt: skip
    places, hub_id = {"source", "validation_file"}, record.facts.get("corpus", {}).get("hub_id")
    shown = {
        section: {
            name: public_name(value, hub_id) if name in places and value else value
            for name, value in entries.items()
            if name not in hidden
        }
        for section, entries in record.settings.items()
    }
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True) if shown else ""


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
    filters = {"words": _words, "cell": _cell, "capitalized": _capitalized, "number": _number, "literal": _literal}
    return load_template("model_card_template.md", filters, autoescape=False)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cell(text: object) -> str:
    """Text in a table of Markdown, as it stands: no pipe ends its cell, no tag or mark is taken for one."""
    return re.sub(r"([\\|`<>\[\]])", r"\\\1", " ".join(str(text).split()))


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _number(value: float) -> str:
    return f"{value:.4g}"
