"""Whether pretrained models can be had, found out in a moment and before anything slow starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from huggingface_hub import model_info, try_to_load_from_cache

if TYPE_CHECKING:
    from .settings import Settings

TIMEOUT = 10
"""Seconds that the Hub has for an answer."""
ALTERNATIVE = "--config texts"
"""What chooses the recipe for texts that needs no pretrained model."""


def require_base_models(settings: Settings) -> None:
    """
    Raise an OSError if a pretrained encoder or decoder of a run is neither a folder, nor in the cache, nor on the Hub.

    Loading would find that out as well, after a minute of attempts and with a warning for each.
    """
    for part in ("encoder", "decoder"):
        if settings.model_value(part) == "pretrained":
            setting = f"{part}_name_or_path"
            _require(setting, settings.model_value(setting), settings.model_value(f"{part}_revision"))


def _require(setting: str, name: str | None, revision: str | None) -> None:
    if name is None or os.path.isdir(name):  # what is missing there is said where it is loaded
        return
    for file in ("config.json", "modules.json"):  # the second where the transformer is in a folder of its own
        if isinstance(try_to_load_from_cache(name, file, revision=revision), str):
            return
    try:
        model_info(name, revision=revision, timeout=TIMEOUT)
    except Exception as error:  # many kinds, from several libraries, with one remedy
        raise OSError(
            f"{setting}={name!r} is neither a folder nor in the cache of Hugging Face, and cannot be downloaded "
            f"({type(error).__name__}): check the name and the network, give the folder of a model, or train without "
            f"pretrained models: {ALTERNATIVE}"
        ) from error
