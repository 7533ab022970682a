"""The sentences of a model card that depend on what the model is and what it was trained on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..data import known_source
from ..data.hub import is_hub_id
from .hub_licenses import HUB_LICENSES
from .run_record import RunRecord


def is_on_hub(source: str) -> bool:
    """Whether a source of data that the package does not know is a Hub id, and no file or folder, where it is read."""
    return is_hub_id(source)


def public_name(source: str, hub_id: str | None) -> str:
    """A source without the folders of the machine that it is on; `hub_id` is what the run read from the Hub."""
    return source if known_source(source) or source == hub_id else Path(source).name


@dataclass(frozen=True)
class Origin:
    """
    What a card says of the data.

    Args:
        source (`str`): The name or Hub id of the data set, or the name of the file, without its folder.
        title, description (`str`): What it is called, and what it consists of (may be empty).
        license (`str`): Its terms, or that they are unknown.
        bias (`str`, *optional*): What is known to be one-sided about it.
        language, hub_id (`str`, *optional*): Its language; where it is on the Hub.
        is_known (`bool`): Whether the package knows the data set, not just how to read it.
    """

    source: str
    title: str
    description: str
    license: str
    bias: str | None
    language: str | None
    hub_id: str | None
    is_known: bool

    @classmethod
    def of(cls, record: RunRecord) -> Origin:
        """What the settings and the run's facts say."""
        source = record.setting("data.source", "")
        corpus = record.facts.get("corpus", {})
        said, hub_id = corpus.get("license", "unknown"), corpus.get("hub_id")
        if kind := known_source(source):
            known = kind.origin
            fields = (known.title, known.description, known.license, known.bias, known.language, known.hub_id)
            return cls(source, *fields, is_known=True)
        if not source:
            return cls("unknown", "data that were not recorded", "", said, None, None, None, is_known=False)
        license = said if said in HUB_LICENSES or said == "unknown" else f"unknown ({said})"
        name = public_name(source, hub_id)
        description = ("a data set of the Hub, " if hub_id else "") + "chosen by the user of the package"
        return cls(name, name, description, license, None, None, hub_id, is_known=False)

    @property
    def license_fields(self) -> dict[str, str]:
        """As the front matter of a card has it: an id that the Hub knows, or `other` with the terms' name."""
        if self.license in HUB_LICENSES:
            return {"license": self.license}
        if not self.is_known:
            return {"license": "unknown"}
        slug = re.sub(r"[^a-z0-9]+", "-", self.license.lower()).strip("-")
        return {"license": "other", "license_name": slug}


def risks_of(record: RunRecord, origin: Origin) -> list[str]:
    """What the model cannot do, what it takes over from its data, and what it must not be used for."""
    config = record.config
    if config.modality == "point":
        risks = ["The model is a density of points of the plane, for comparing priors; it is of no other use."]
        return risks + ([origin.bias] if origin.bias else [])
    unit, risks = config.modality, []
    if origin.bias:
        risks.append(origin.bias)
    else:
        risks.append(
            "Nobody has examined the training texts for this card. What they hold of prejudice, of untruth and of "
            "personal matters may come back in what the model writes, and in which symbol it gives to a text."
        )
    risks.append(
        f"The model's vocabulary has {config.vocab_size:,} entries; any other word is unknown to it"
        + (f", and {unit}s are cut to {length} tokens." if (length := record.setting("data.max_length")) else ".")
    )
    if unit == "text":
        risks.append(
            "What it writes is made up: sentences can be ungrammatical, untrue or offensive, and can repeat training "
            "texts word for word. Nothing filters them. They must not be passed off as somebody's words or as "
            "information, nor be sent out unread."
        )
    if config.has_symbols:
        taught = record.facts.get("corpus", {}).get("splits", {}).get("train", {}).get("labelled")
        meaning = (
            "Symbols were found, not taught, and a name says only what is frequent among their texts. "
            if taught == 0
            else ""
        )
        risks.append(
            f"{meaning}Which symbol a text gets is an estimate, whose probability can be near 1 and wrong, the more "
            "so on texts unlike the training texts. It must not decide anything about a person."
        )
    risks.append(
        "It is an object of research, not an assistant: it must not be used for advice (medical, legal, financial), "
        "for judging, profiling or imitating persons, or where an error does harm."
    )
    return risks
