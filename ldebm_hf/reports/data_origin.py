"""What a model card says about the data: name, description, licence and known bias."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..data import known_source
from .hub_licenses import HUB_LICENSES
from .run_record import RunRecord


def public_name(source: str, hub_id: str | None) -> str:
    """The name of a data source without the folders of the machine; `hub_id` is the data set read from the Hub."""
    return source if known_source(source) or source == hub_id else Path(source).name


@dataclass(frozen=True)
class Origin:
    """
    Where the data are from.

    Args:
        source (`str`): Name or Hub id of the data set, or name of the file without its folder.
        title (`str`): Title of the data set.
        description (`str`): What it consists of; may be empty.
        license (`str`): Its licence or terms, or that they are unknown.
        bias (`str`, *optional*): Known biases.
        language (`str`, *optional*): Its language.
        hub_id (`str`, *optional*): Its id on the Hub.
        is_known (`bool`): Whether the package knows this data set, and not only how to read it.
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
    def from_record(cls, record: RunRecord) -> Origin:
        """The origin according to the settings and the recorded facts of a run."""
        source = record.setting("data.source", "")
        corpus = record.facts.get("corpus", {})
        stated, hub_id = corpus.get("license", "unknown"), corpus.get("hub_id")
        if kind := known_source(source):
            known = kind.origin
            fields = (known.title, known.description, known.license, known.bias, known.language, known.hub_id)
            return cls(source, *fields, is_known=True)
        if not source:
            return cls("unknown", "data that were not recorded", "", stated, None, None, None, is_known=False)
        license = stated if stated in HUB_LICENSES or stated == "unknown" else f"unknown ({stated})"
        name = public_name(source, hub_id)
        description = ("a data set of the Hub, " if hub_id else "") + "chosen by the user of the package"
        return cls(name, name, description, license, None, None, hub_id, is_known=False)

    @property
    def license_fields(self) -> dict[str, str]:
        """The front matter of a card: a licence id that the Hub knows, or `other` with the name of the terms."""
        if self.license in HUB_LICENSES:
            return {"license": self.license}
        if not self.is_known:
            return {"license": "unknown"}
        slug = re.sub(r"[^a-z0-9]+", "-", self.license.lower()).strip("-")
        return {"license": "other", "license_name": slug}
