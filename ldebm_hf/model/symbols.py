"""The symbols of a model: ids from names, new names, and symbols merged into one."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch

from .arguments import as_ids, require_memory
from .objective import IGNORE_INDEX
from .validation import shown

MAX_NAMES = 20
"""The most symbols that an error message lists."""


def require_symbols(model) -> None:
    """Raise ValueError if the model's prior has no symbols."""
    config = model.config
    if config.has_symbols:
        return
    reason = "class_labels cannot be given or inferred"
    if config.has_codes:
        reason = f"its {config.num_joint_codes} joint codes do not match the {config.num_labels} names"
    raise ValueError(f"prior={config.prior!r} has no symbols: {reason}")


def symbol_ids(
    model, class_labels: int | str | Sequence[int | str] | np.ndarray | torch.Tensor, *, allow_unknown: bool = False
) -> torch.Tensor:
    """
    The ids of symbols, as a `torch.LongTensor` of shape `(n,)` on the model's device.

    A string is a name of `config.label2id` or, unless a symbol has that name, the number of an id, such as `"6"`. An
    integer is an id. If a symbol has the number of another one as its name (ratings `"1"` to `"5"` have the ids 0 to
    4), a number could mean either: strings are then names only, and integers are refused. In a `torch.Tensor` integers
    are ids, whatever the names.

    Args:
        class_labels (`int`, `str`, a sequence or array of them, or `torch.Tensor`): Symbols by id or name.
        allow_unknown (`bool`, *optional*, defaults to `False`): Whether -100 stands for an unknown symbol, and stays.

    Raises:
        ValueError: For a name or an id that the model does not have, for a number that may be both, for anything but
            integers and strings, and if the prior has no symbols.
    """
    return read_symbols(model, class_labels, "class_labels", allow_unknown)


def read_symbols(model, labels: Any, argument: str, allow_unknown: bool = False) -> torch.Tensor:
    """The same for an argument of any name, `argument`, which errors mention."""
    model.require_symbols()
    is_tensor = isinstance(labels, torch.Tensor)
    if is_tensor:
        require_memory(argument, labels)
        labels = as_ids(argument, labels).flatten().tolist()
    elif isinstance(labels, np.ndarray):
        labels = labels.flatten().tolist()
    elif isinstance(labels, (str, bytes, Mapping, set)) or not isinstance(labels, Iterable):
        labels = [labels]
    ids = []
    for label in labels:
        if allow_unknown and isinstance(label, Integral) and label == IGNORE_INDEX:
            ids.append(IGNORE_INDEX)
        else:
            ids.append(_symbol_of(model.config, label, argument, is_id=is_tensor))
    if not ids:
        raise ValueError(f"{argument} must name at least one symbol, got none")
    return torch.tensor(ids, dtype=torch.long, device=model.device)


def _symbol_of(config, label: object, argument: str, is_id: bool = False) -> int:
    """
    The id of the symbol that an entry of `argument` stands for; errors as in [`symbol_ids`].

    Args:
        config ([`LDEBMConfig`]): The model's settings, with the names of its symbols.
        label (`int`, `str` or `torch.Tensor` of one number): The entry.
        argument (`str`): Name of the argument.
        is_id (`bool`, *optional*, defaults to `False`): Whether a number cannot be meant as a name.
    """
    if isinstance(label, torch.Tensor) and label.numel() == 1:
        require_memory(argument, label)
        label, is_id = as_ids(argument, label).item(), True
    if isinstance(label, str) and label in config.label2id:
        return config.label2id[label]
    number = None
    if isinstance(label, Integral) and not isinstance(label, bool):
        number = label = int(label)
    elif isinstance(label, str):
        number = next((symbol for symbol in config.id2label if str(symbol) == label), None)
    if number is not None and not is_id and _names_are_numbers(config):
        readings = []
        if str(number) in config.label2id:
            readings.append(f"{str(number)!r} for the symbol of that name")
        if number in config.id2label:
            readings.append(f"{config.id2label[number]!r} for the symbol with the id {number}")
        advice = f": write {' or '.join(readings)}" if readings else ""
        raise ValueError(
            f"{argument} must be names as strings, because names of this model's symbols are numbers; got "
            f"{label!r}{advice} (a torch.Tensor is always read as ids)"
        )
    if number not in config.id2label:
        names = [repr(config.id2label[symbol]) for symbol in range(min(len(config.id2label), MAX_NAMES))]
        more = ", …" if len(config.id2label) > MAX_NAMES else ""
        allowed = f"in 0..{len(config.id2label) - 1} or one of {', '.join(names)}{more}"
        raise ValueError(f"{argument} must be {allowed}; got {shown(label)}")
    return number


def _names_are_numbers(config) -> bool:
    """Whether a symbol is called by the number of another one."""
    ids_by_number = {str(symbol): symbol for symbol in config.id2label}
    return any(ids_by_number.get(name, symbol) != symbol for symbol, name in config.id2label.items())


def name_symbols(model, names: Mapping[int | str, str] | Sequence[str]) -> None:
    """
    Rename symbols in the configuration: `class_labels` accepts the new names, and `save_pretrained` stores them.

    White space around a name is removed. If any name is refused, all names stay as they were.

    Args:
        names (`Mapping[int | str, str]` or `Sequence[str]`): New names by id or by current name, read as in
            [`symbol_ids`], where symbols that are not mentioned keep their names; or a list with a name for every
            symbol. A mapping of all ids is read as such a list.

    Raises:
        ValueError: If the prior has no symbols; for a symbol that does not exist, may be two or is named twice; for a
            name that is empty, not unique, or the number of another symbol.
    """
    model.require_symbols()
    current = dict(model.config.id2label)
    if not isinstance(names, Mapping):
        if not isinstance(names, (list, tuple)) or len(names) != len(current):
            raise ValueError(f"names must be a mapping or a list of {len(current)} strings, got {names!r:.80}")
        names = dict(enumerate(names))
    names_all_ids = names.keys() == current.keys()  # which leaves no doubt that numbers are ids
    renamed: dict[int, str] = {}
    for key, name in names.items():
        symbol = _symbol_of(model.config, key, "names", is_id=names_all_ids)
        if symbol in renamed:
            raise ValueError(f"names must name each symbol once, got two names for symbol {symbol}: {dict(names)!r}")
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"names must be non-empty strings, got {name!r} for symbol {symbol}")
        renamed[int(symbol)] = name.strip()
    taken: dict[str, int] = {}
    for symbol, name in (current | renamed).items():
        if name in taken:
            raise ValueError(f"names must be unique, got {name!r} for the symbols {taken[name]} and {symbol}")
        if symbol in renamed and name in map(str, current) and name != str(symbol):
            raise ValueError(f"names must not be the number of another symbol, got {name!r} for symbol {symbol}")
        taken[name] = symbol
    model.config.id2label = current | renamed
    model.config.label2id = taken


def merge_symbols(model, groups: Sequence[Sequence[int | str]]) -> list[int]:
    """
    Make one symbol of several, in place. Its probability p(y|z) is the sum of theirs. The prior p(z), and with it all
    that is written without a symbol, stays as it is. With a guidance scale of 1 the density of the latents of the
    merged symbol is the mixture of theirs, at each level.

    A merged symbol has the place of the one with the smallest id, and later symbols move up. It is called like the
    first of its group that has a name of its own; names `LABEL_…` follow the new ids. `save_pretrained` stores all
    this. A model that is trained further learns the merged symbols.

    ```python
    >>> model.merge_symbols([[0, 3], ["weather", "forecast"]])
    ```

    Args:
        groups (`Sequence[Sequence[int | str]]`): The symbols to merge, at least two in each group, by id or name as in
            [`symbol_ids`]. Symbols that are not mentioned stay by themselves.

    Returns:
        `list[int]`: The new id of each former symbol.

    Raises:
        ValueError: If the prior has no symbols or its symbols cannot be merged; for a symbol that does not exist or is
            mentioned twice; for a group of fewer than two, or if fewer than two symbols would be left.
    """
    model.require_symbols()
    config = model.config
    found = [_group_of(config, group) for group in _lists(groups)]
    mentioned = [symbol for group in found for symbol in group]
    repeated = next((symbol for symbol in mentioned if mentioned.count(symbol) > 1), None)
    if repeated is not None:
        raise ValueError(f"groups must mention each symbol once, got symbol {repeated} more than once")
    found += [[symbol] for symbol in config.id2label if symbol not in mentioned]
    if len(found) < 2:
        raise ValueError(f"groups must leave at least two symbols, got one of all {config.num_labels}")
    found.sort(key=min)
    new_ids = [0] * config.num_labels
    for new_id, group in enumerate(found):
        for symbol in group:
            new_ids[symbol] = new_id
    names = {new_id: _merged_name(config.id2label, group, new_id) for new_id, group in enumerate(found)}
    if len(set(names.values())) < len(names):
        raise ValueError(f"names of the merged symbols must be unique, got {list(names.values())!r:.200}")
    symbol_groups = [new_ids[symbol] for symbol in config.symbols_of_outputs]
    model.prior.group_symbols(symbol_groups)
    config.id2label, config.symbol_groups = names, symbol_groups
    return new_ids


def _lists(groups: Any) -> list[Any]:
    is_list = isinstance(groups, (list, tuple)) and len(groups) > 0
    if not is_list or not all(isinstance(group, (list, tuple)) and len(group) > 1 for group in groups):
        raise ValueError(f"groups must be a list of lists of two or more symbols, got {shown(groups)}")
    return list(groups)


def _group_of(config, group: Sequence[int | str]) -> list[int]:
    return [_symbol_of(config, symbol, "groups") for symbol in group]


def _merged_name(names: Mapping[int, str], group: Sequence[int], new_id: int) -> str:
    """The first name of a group that is not the default one of its symbol; else the default one of the new symbol."""
    given = (names[symbol] for symbol in group if names[symbol] != f"LABEL_{symbol}")
    return next(given, f"LABEL_{new_id}")
