"""The reference page of all settings, in Markdown, made from the code:

    python -m ldebm_hf.training.settings_reference docs/reference/settings.md
"""

import inspect
import re
import sys
import textwrap
from pathlib import Path

from ..files.atomic import write_text
from .settings import SECTIONS, KnownSetting, known_settings
from .typed_values import describe, show

LINE_WIDTH = 119
INTRODUCTION = """\
A training run is described by a YAML recipe with the sections below, by options on the command line, or by both:
`ldebm train --config demo --training.learning_rate 0.002`. The section of an option may be left out where only one
section has a setting of that name. `none` stands for Python's `None`.

`make docs` writes this page from the code; edits to it are lost."""
MODEL_SECTION = """\
Fields of `LDEBMConfig`. The defaults are those of the preset `consistent`; another `preset` changes them, and a value
that is given explicitly takes precedence over the preset's."""


def settings_reference() -> str:
    """All settings by section, each with its type, default, limits and meaning, as a page of Markdown."""
    known = known_settings()
    paragraphs = ["# Settings", INTRODUCTION]
    for section, declared in SECTIONS.items():
        if section == "model":
            introduction = MODEL_SECTION
        else:
            introduction = inspect.getdoc(declared)
        paragraphs += [f"## {section}", introduction]
        names = [name for name in known if name.startswith(f"{section}.")]
        entries = []
        for full_name in names:
            entries.append(_entry(full_name.partition(".")[2], known[full_name]))
        paragraphs.append("\n".join(entries))
    return "\n\n".join(paragraphs) + "\n"


def _entry(name: str, setting: KnownSetting) -> str:
    """One setting as an item of a list, wrapped to the width of a line."""
    facts = [describe(setting.type), f"default `{show(setting.default)}`"]
    if "at_least" in setting.limits:
        facts.append(f"at least {setting.limits['at_least']}")
    if "above" in setting.limits:
        facts.append(f"above {setting.limits['above']}")
    sentence = re.sub(r"\[(`[^`]+`)\]", r"\1", setting.details or setting.help)
    if re.match("[a-z]+[' ,-]", sentence):  # a word, and no symbol of a formula
        sentence = sentence[:1].upper() + sentence[1:]
    if not sentence.endswith((".", ")")):
        sentence += "."
    return textwrap.fill(
        f"- **`{name}`** ({', '.join(facts)}): {sentence}",
        LINE_WIDTH,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m ldebm_hf.training.settings_reference PAGE.md")
    write_text(Path(sys.argv[1]), settings_reference())
