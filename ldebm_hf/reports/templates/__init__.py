"""The Jinja templates of the model card and of the symbol report, which lie in this folder."""

from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2


def load_template(name: str, filters: Mapping[str, Callable], *, autoescape: bool) -> jinja2.Template:
    """
    Load a template. A variable that is not given is an error, and lines that hold only a block tag are dropped.

    Args:
        name (`str`): File name of the template.
        filters (`Mapping[str, Callable]`): Filters that the template uses besides Jinja's own.
        autoescape (`bool`): Whether to escape values, as in HTML.
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
