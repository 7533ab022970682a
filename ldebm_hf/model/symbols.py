"""The symbols of a model: ids from names, and new names."""

from collections.abc import Iterable, Mapping, Sequence

import torch

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


def symbol_ids(model, class_labels: int | str | Sequence[int | str] | torch.Tensor) -> torch.Tensor:
    """
    The ids of symbols, as a `torch.LongTensor` of shape `(n,)` on the model's device.

    Args:
        class_labels (`int`, `str`, a sequence of them or `torch.Tensor`): Symbols by id or by a name of
            `config.label2id`. `"6"` is taken for the id 6 unless a symbol has that name.

    Raises:
        ValueError: For a name or an id that the model does not have, and if the prior has no symbols.
    """
    model.require_symbols()
    if hasattr(class_labels, "flatten"):  # a tensor, an array or an array's scalar
        class_labels = class_labels.flatten().tolist()
    elif isinstance(class_labels, str) or not isinstance(class_labels, Iterable):
        class_labels = [class_labels]
    ids_by_name = model.config.label2id
    ids_by_number = {str(symbol): symbol for symbol in model.config.id2label}
    ids = [ids_by_name.get(label, ids_by_number.get(label, label)) for label in class_labels]
    for label in ids:
        if label not in model.config.id2label:
            names = ", ".join(repr(name) for name in sorted(ids_by_name, key=ids_by_name.get)[:MAX_NAMES])
            more = ", …" if len(ids_by_name) > MAX_NAMES else ""
            allowed = f"in 0..{len(ids_by_name) - 1} or one of {names}{more}"
            raise ValueError(f"class_labels must be {allowed}; got {label!r}")
    return torch.tensor(ids, dtype=torch.long, device=model.device)


def name_symbols(model, names: Mapping[int | str, str] | Sequence[str]) -> None:
    """
    Rename symbols in the configuration: `class_labels` accepts the new names, and `save_pretrained` stores them.

    White space around a name is removed. If any name is refused, all names stay as they were.

    Args:
        names (`Mapping[int | str, str]` or `Sequence[str]`): New names by id or by current name, where symbols that
            are not mentioned keep their names; or a list with a name for every symbol.

    Raises:
        ValueError: If the prior has no symbols; for a symbol that does not exist or is named twice; for a name that is
            empty, not unique, or the number of another symbol.
    """
    model.require_symbols()
    current = dict(model.config.id2label)
    if not isinstance(names, Mapping):
        if isinstance(names, str) or len(names) != len(current):
            raise ValueError(f"names must be a mapping or a list of {len(current)} strings, got {names!r:.80}")
        names = dict(enumerate(names))
    renamed: dict[int, str] = {}
    for key, name in names.items():
        symbol = model.config.label2id.get(key, key)
        if symbol not in current:
            known = ", ".join(map(repr, model.config.label2id))
            raise ValueError(f"names must be for symbols in 0..{len(current) - 1} or {known}, got {key!r}")
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
