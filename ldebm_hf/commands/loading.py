"""The model that a command uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model.pipeline_ldebm import LDEBMPipeline


def load_pipeline(checkpoint: str, trust_remote_code: bool = False) -> LDEBMPipeline:
    """[`LDEBMPipeline.from_pretrained`], imported here because `--help` need not wait for the models' import."""
    from ..model.pipeline_ldebm import LDEBMPipeline

    return LDEBMPipeline.from_pretrained(checkpoint, trust_remote_code=trust_remote_code)
