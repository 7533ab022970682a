"""The package's Jinja templates, files beside this one."""

from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2


def load_template(name: str, filters: Mapping[str, Callable], *, autoescape: bool) -> jinja2.Template:
    """
    A template, in which a name that is not given is an error, and lines of blocks leave no empty ones.

    Args:
        name (`str`): Its file.
        filters (`Mapping[str, Callable]`): What it may call besides Jinja's own filters.
        autoescape (`bool`): Whether values are escaped, as HTML wants it.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name)
