"""Settings from a YAML recipe and the command line, and the text of `--help`."""

import difflib
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import yaml

from ..files.packaged import RECIPES, find_file, packaged_names
from .settings import REMOVED_SETTINGS, SECTIONS, KnownSetting, Settings, check_name, known_settings
from .typed_values import allowed_words, describe, show

ALIASES = {"data": "data.source", "seed": "training.seed", "num_labels": "model.num_symbols"}
SECTION_TITLES = {
    "data": "Data: where the texts or points come from, and how texts become tokens",
    "model": "Model: the fields of LDEBMConfig (defaults are those of the default preset)",
    "clustering": "Clustering",
    "training": "Training",
}
WIDTH, HELP_COLUMN = 119, 44


def load_settings(arguments: Sequence[str] | None = None) -> Settings:
    """The settings of a command line: those of `--config RECIPE`, changed by `--section.name value`.

    The section may be left out where only one section has a setting of that name. `--data` stands for `--data.source`,
    `--seed` for `--training.seed`, and a dash in a name for an underscore. A recipe is the
    name of one that comes with the package (`demo`), or the path of a file.

    Args:
        arguments (`Sequence[str]`, *optional*): defaults to the program's own. `--help` and `--help-all` print all
            settings and exit.

    Raises:
        ValueError: as [`Settings`]; an ambiguous short name; a recipe that is not a YAML mapping of sections.
        FileNotFoundError: there is no such recipe.
    """
    if arguments is None:
        arguments = sys.argv[1:]
    if {"-h", "--help", "--help-all"} & set(arguments):
        print(describe_settings())
        raise SystemExit(0)
    options = _split_options(arguments)
    values: dict[str, dict[str, Any]] = {}
    for name, text in options:
        if name == "config":
            for section, entries in _read_recipe(text).items():
                values.setdefault(section, {}).update(entries)
    for name, text in options:
        if name != "config":
            full_name = resolve_name(name)
            section, _, short_name = full_name.partition(".")
            is_yaml = text.startswith(("[", "{"))
            values.setdefault(section, {})[short_name] = _read_yaml(text, full_name) if is_yaml else text
    return Settings.from_dict(values)


def describe_settings() -> str:
    """The text of `--help`: every setting with its default value and what it does, by section and topic."""
    lines = [
        "--config RECIPE reads settings from a recipe, one of those that come with the package or a file:",
        *textwrap.wrap(", ".join(packaged_names(RECIPES)), WIDTH, initial_indent="  ", subsequent_indent="  "),
        "Each of the options below changes one setting. An option may be written with its section, for instance",
        "--training.learning_rate 0.01. --data stands for --data.source and --seed for --training.seed. Options are",
        "shown with their default values.",
    ]
    for section in SECTIONS:
        lines += ["", "", SECTION_TITLES[section], "=" * len(SECTION_TITLES[section])]
        for full_name, item in known_settings().items():
            if not full_name.startswith(f"{section}."):
                continue
            if item.heading is not None:
                lines += ["", item.heading] if item.heading else [""]
            lines += _describe_option(option_name(full_name), item)
    return "\n".join(lines)


def describe_settings_named(names: Sequence[str]) -> list[str]:
    """The lines of `--help` about some settings, named as on the command line."""
    known = known_settings()
    return [line for name in names for line in _describe_option(name, known[resolve_name(name)])]


def option_name(full_name: str) -> str:
    """The shortest name of a setting on the command line: without its section, if only one section has that name."""
    name = full_name.partition(".")[2]
    return name if [known.partition(".")[2] for known in known_settings()].count(name) == 1 else full_name


def _describe_option(name: str, item: KnownSetting) -> list[str]:
    """The lines of `--help` about one option."""
    option = f"  --{name} {show(item.default)}"
    help_text = item.help
    if any(str(word) not in help_text for word in allowed_words(item.type)):
        help_text = f"{help_text.removesuffix('.')}. Allowed: {describe(item.type)}."
    text = textwrap.wrap(help_text, WIDTH - HELP_COLUMN)
    if len(option) >= HELP_COLUMN:
        lines = [option]
    else:
        lines = [option.ljust(HELP_COLUMN) + text.pop(0)]
    return lines + [" " * HELP_COLUMN + line for line in text]


def resolve_name(name: str) -> str:
    """The full name of a setting, from its name on the command line."""
    name = ALIASES.get(name, name)
    known = [*known_settings(), *REMOVED_SETTINGS]
    if "." in name:
        if name not in known:
            check_name(name)
        return name
    matches = [full_name for full_name in known if full_name.partition(".")[2] == name]
    if len(matches) > 1:
        raise ValueError(f"several sections have a setting {name!r}: say {' or '.join(matches)}")
    if matches:
        return matches[0]
    short_names = [full_name.partition(".")[2] for full_name in known_settings()]
    close = difflib.get_close_matches(name, [*short_names, *ALIASES], n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else "--help lists all settings"
    raise ValueError(f"unknown setting {name!r}: {hint}")


def _split_options(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Names and values of `--name value` and `--name=value`."""
    options = []
    remaining = iter(arguments)
    for argument in remaining:
        if not argument.startswith("--"):
            raise ValueError(f"expected --name VALUE, got {argument!r}")
        name, equals, text = argument[2:].partition("=")
        if not equals:
            text = next(remaining, "--")
            if text.startswith("--"):
                raise ValueError(f"--{name} needs a value")
        options.append((name.replace("-", "_"), text))
    return options


def _read_recipe(path: str) -> dict[str, dict[str, Any]]:
    """The settings of a recipe by section, with all values as text."""
    file = find_file(path, RECIPES, "recipe")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"recipe {path!r} must be a text file in UTF-8 ({error})") from error
    recipe = _read_yaml(text, path) or {}
    if not isinstance(recipe, dict):
        raise ValueError(f"recipe {path!r} must map sections to settings, got {recipe!r}")
    for section, entries in recipe.items():
        if not isinstance(entries, dict) and entries != "":
            raise ValueError(f"section {section!r} of recipe {path!r} must map names to values, got {entries!r}")
    return {section: entries or {} for section, entries in recipe.items()}


def _read_yaml(text: str, place: str) -> Any:
    """YAML whose scalars all stay text, to be read by the declared type of the setting."""
    try:
        return yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{place} is not valid YAML: {error}") from error
