"""Settings from a YAML recipe and the command line."""

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from .settings import SECTIONS, Settings, check_name, known_settings
from .typed_values import describe, show

ALIASES = {"data": "data.source", "seed": "training.seed", "num_labels": "model.num_symbols"}


def load_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Settings of a command line: those of `--config recipe.yaml`, and over them `--section.name value`.

    The section may be left out where only one has the name. `--data` stands for `--data.source` and `--seed` for
    `--training.seed`.

    Args:
        arguments (`Sequence[str]`, *optional*): defaults to the program's own. `--help` prints all settings and exits.

    Raises:
        ValueError: as `Settings`; an ambiguous short name; a recipe that is no YAML mapping of sections.
        FileNotFoundError: no such recipe.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if "--help" in arguments or "-h" in arguments:
        print(describe_settings())
        raise SystemExit(0)
    pairs = _pairs(arguments)
    values: dict[str, dict[str, Any]] = {}
    for path in (text for name, text in pairs if name == "config"):
        for section, entries in _read_recipe(path).items():
            values.setdefault(section, {}).update(entries)
    for full_name, text in ((_full_name(name), text) for name, text in pairs if name != "config"):
        section, _, name = full_name.partition(".")
        values.setdefault(section, {})[name] = _read_yaml(text, full_name) if text[:1] in ("[", "{") else text
    return Settings.from_dict(values)


def describe_settings() -> str:
    """The text of `--help`: every section with its names, defaults and meanings."""
    known = known_settings()
    short_names = [full_name.partition(".")[2] for full_name in known]
    lines = [
        "--config RECIPE.yaml, then over it any of these, with its section (--data.source VALUE) or without.",
        "--data stands for --data.source, --seed for --training.seed.",
    ]
    for section in SECTIONS:
        lines += [
            "",
            section + (": the fields of LDEBMConfig, with the default preset's values" if section == "model" else ""),
        ]
        for full_name, item in known.items():
            if full_name.startswith(f"{section}."):
                short = full_name.partition(".")[2]
                name = short if short_names.count(short) == 1 else full_name
                lines.append(f"  --{name} {show(item.default)}".ljust(43) + f" {item.help or describe(item.type)}")
    return "\n".join(lines)


def _full_name(name: str) -> str:
    """A setting's full name from the one on the command line."""
    name = ALIASES.get(name, name)
    if "." in name:
        check_name(name)
        return name
    known = [full_name.split(".") for full_name in known_settings()]
    sections = [section for section, short in known if short == name]
    if len(sections) > 1:
        raise ValueError(
            f"several sections have a setting {name!r}: say {' or '.join(f'{s}.{name}' for s in sections)}"
        )
    if not sections:
        close = difflib.get_close_matches(name, [*(short for _, short in known), *ALIASES], n=3, cutoff=0.6)
        raise ValueError(
            f"unknown setting {name!r}: " + (f"did you mean {' or '.join(close)}?" if close else "see --help")
        )
    return f"{sections[0]}.{name}"


def _pairs(arguments: list[str]) -> list[tuple[str, str]]:
    """Names and values of `--name value` and `--name=value`."""
    pairs, rest = [], iter(arguments)
    for argument in rest:
        if not argument.startswith("--"):
            raise ValueError(f"expected --name VALUE, got {argument!r}")
        name, equals, text = argument[2:].partition("=")
        if not equals:
            text = next(rest, None)
            if text is None or text.startswith("--"):
                raise ValueError(f"--{name} needs a value")
        pairs.append((name.replace("-", "_"), text))
    return pairs


def _read_recipe(path: str) -> dict[str, dict[str, Any]]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no recipe {path!r} (--config)")
    recipe = _read_yaml(Path(path).read_text(encoding="utf-8"), path) or {}
    if not isinstance(recipe, dict):
        raise ValueError(f"recipe {path!r} must map sections to settings, got {recipe!r}")
    for section, entries in recipe.items():
        if not isinstance(entries, dict) and entries != "":
            raise ValueError(f"section {section!r} of recipe {path!r} must map names to values, got {entries!r}")
    return {section: entries or {} for section, entries in recipe.items()}


def _read_yaml(text: str, place: str) -> Any:
    """YAML with all scalars as text, which the declared types will read."""
    try:
        return yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{place}: no YAML: {error}") from error
