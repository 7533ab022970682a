"""Names of a package whose modules are imported when a name is first asked for."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def names_on_first_use(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """
    The functions `__getattr__` and `__dir__` of a package that imports some of its names late (PEP 562).

    Args:
        package (`str`): The package, which calls this as its `__name__`.
        modules (`Mapping[str, str]`): The module of each name, such as `".model.outputs"`, relative to the package.
    """
    own = vars(sys.modules[package])

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        own[name] = getattr(import_module(modules[name], package), name)
        return own[name]

    def names() -> list[str]:
        return sorted({*own, *modules})

    return get, names
