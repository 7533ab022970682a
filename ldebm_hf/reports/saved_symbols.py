"""Names of symbols, and symbols to merge, as people give them; and what they change in the folder of a model."""

from __future__ import annotations

import filecmp
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers.dynamic_module_utils import custom_object_save

from ..files.atomic import copy_file, write_text
from ..model.modeling_ldebm import LDEBMModel
from ..model.symbols import read_symbols

KEYS = {"names", "merge"}
"""Keys of a file with names and symbols to merge."""
EVALUATIONS = "evaluation*.json"
"""Pattern of the files with scores of symbols."""


@dataclass(frozen=True)
class SymbolChanges:
    """
    New names of symbols, and symbols to merge.

    Args:
        names (`dict[str, str]` or `list[str]`): Names as [`~LDEBMModel.name_symbols`] takes them.
        merge (`list[list[int | str]]`): Groups as [`~LDEBMModel.merge_symbols`] takes them; integers are ids. Ids and
            names in both are those that the symbols have before.
    """

    names: dict[str, str] | list[str] = field(default_factory=dict)
    merge: list[list[int | str]] = field(default_factory=list)

    @classmethod
    def read(cls, names: list[str] | None = None, merge: list[list[str]] | None = None) -> SymbolChanges:
        """
        Read what is given on a command line.

        Args:
            names (`list[str]`, *optional*): The path of a JSON file, or texts `SYMBOL=NAME`, where SYMBOL is an id or
                the present name, read as in [`~LDEBMModel.symbol_ids`]. The file holds an object or a list of names;
                or, as reports save it, an object with `names` and with groups of ids to `merge`.
            merge (`list[list[str]]`, *optional*): Groups of symbols to merge, besides those of the file.

        Raises:
            ValueError: If the texts or the file have another form.
        """
        groups = list(merge or [])
        if not names:
            return cls(merge=groups)
        if len(names) == 1 and names[0].endswith(".json"):
            found = cls._of_file(names[0])
            return cls(found.names, [*found.merge, *groups])
        unreadable = [text for text in names if "=" not in text]
        if unreadable:
            raise ValueError(f"--names must be one .json file or SYMBOL=NAME, got {unreadable[0]!r}")
        pairs = [text.split("=", 1) for text in names]
        by_symbol = dict(pairs)
        if len(by_symbol) < len(pairs):
            raise ValueError(f"--names must name each symbol once, got {' '.join(names)}")
        return cls(by_symbol, groups)

    @classmethod
    def _of_file(cls, path: str) -> SymbolChanges:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        if isinstance(found, list):
            return cls(found)
        if not isinstance(found, dict):
            raise ValueError(f"{path} must hold an object or a list of names, got {type(found).__name__}")
        if found.keys() != KEYS or isinstance(found["merge"], str):
            return cls(found)
        groups = found["merge"]
        are_ids = isinstance(groups, list) and all(
            isinstance(group, list) and all(isinstance(symbol, int) for symbol in group) for group in groups
        )
        if not are_ids or not isinstance(found["names"], list):
            raise ValueError(f"{path} must hold a list of names and a list of groups of ids to merge, as reports do")
        return cls(found["names"], groups)

    def __bool__(self) -> bool:
        return bool(self.names or self.merge)

    def apply(self, model: LDEBMModel) -> None:
        """
        Change the symbols of a model. If anything is refused, they stay as they were.

        Raises:
            ValueError: As of [`~LDEBMModel.name_symbols`] and [`~LDEBMModel.merge_symbols`].
        """
        groups = [_ids(model, group) for group in self.merge]
        with symbols_restored_on_error(model):
            if self.names:
                model.name_symbols(self.names)
            if groups:
                names = model.config.id2label
                model.merge_symbols([[names[symbol] for symbol in group] for group in groups])


def _ids(model: LDEBMModel, group: list[int | str]) -> list[int]:
    """The ids of a group, in which integers are ids whatever the symbols are called."""
    symbols = [torch.tensor(symbol) if isinstance(symbol, int) else symbol for symbol in group]
    return read_symbols(model, symbols, "groups").tolist()


@contextmanager
def symbols_restored_on_error(model: LDEBMModel) -> Iterator[None]:
    """If what is done inside fails, names and groups of the model's symbols are as they were."""
    names, groups = model.config.id2label, model.config.symbol_groups
    try:
        yield
    except BaseException:
        if model.config.symbol_groups != groups:
            model.prior.group_symbols(groups)
            model.config.symbol_groups = groups
        model.config.id2label = names
        raise


def save_symbols(folder: Path, model: LDEBMModel) -> list[str]:
    """
    Put the names and groups of a model's symbols into its folder, and leave all else in `config.json` as it is.

    If symbols were merged, code in the folder that differs from that of this package is replaced first, as it may not
    know merged symbols, and `evaluation.json` is removed, because its scores are of the symbols before.

    Args:
        folder (`Path`): The folder that the model was loaded from.
        model ([`LDEBMModel`]): The model.

    Returns:
        `list[str]`: The names of files that were removed.
    """
    config, file = model.config, folder / "config.json"
    is_merged = config.symbol_groups != json.loads(file.read_text(encoding="utf-8")).get("symbol_groups")
    if is_merged:
        _renew_code(folder, model)
    save_names(file, config.id2label, config.symbol_groups)
    outdated = sorted(folder.glob(EVALUATIONS)) if is_merged else []
    for scores in outdated:
        scores.unlink()
    return [scores.name for scores in outdated]


def save_names(file: Path, names: dict[int, str], symbol_groups: list[int] | None = None) -> None:
    """
    Put names of symbols, and groups if there are any, into a `config.json`; the rest stays as it is.

    Args:
        file (`Path`): The file.
        names (`dict[int, str]`): The names by id.
        symbol_groups (`list[int]`, *optional*): As in [`LDEBMConfig`].
    """
    values = json.loads(file.read_text(encoding="utf-8"))
    values["id2label"] = {str(symbol): name for symbol, name in names.items()}
    values["label2id"] = {name: symbol for symbol, name in names.items()}
    if symbol_groups is not None and values.get("symbol_groups") != symbol_groups:
        values["symbol_groups"] = symbol_groups
        if "distilled_sampler" in values:
            values["distilled_sampler"] = None  # it was fitted to the symbols as they were
    write_text(file, json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def _renew_code(folder: Path, model: LDEBMModel) -> None:
    """Replace the files of code in a folder, if there are any, by those of this package where they differ."""
    if not (folder / "modeling_ldebm.py").is_file():
        return
    with TemporaryDirectory() as current:
        custom_object_save(model, current)
        for file in sorted(Path(current).iterdir()):
            saved = folder / file.name
            if not saved.is_file() or not filecmp.cmp(file, saved, shallow=False):
                copy_file(file, saved)
