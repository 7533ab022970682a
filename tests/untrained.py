"""Untrained tiny models of texts, and the scripts of examples/ that are tried on them."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch

from ldebm_hf import LDEBMModel, build_tokenizer
from ldebm_hf.model.dialogue_turns import MARKERS
from ldebm_hf.training import Settings
from ldebm_hf.training.settings import DataSettings

SCRIPTS = Path(__file__).parents[1] / "examples"
SIZES = {
    "embedding_size": 8,
    "encoder_hidden_size": 8,
    "decoder_hidden_size": 8,
    "latent_size": 4,
    "energy_hidden_size": 8,
    "energy_num_blocks": 1,
    "langevin_steps": 2,
}


def load_script(name: str) -> ModuleType:
    """examples/NAME.py as a module, under a name that hides none of the package's test modules."""
    spec = importlib.util.spec_from_file_location(f"{name}_script", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def save_untrained(
    folder: Path,
    corpus,
    texts: list[str] | None = None,
    data: DataSettings | None = None,
    names: list[str] | None = None,
    change: Callable[[LDEBMModel], None] = lambda model: None,
    **model,
) -> str:
    """A checkpoint as training leaves it, whose words are those of `texts` and symbols those of `names`."""
    settings = Settings(data=data or DataSettings(), model=SIZES | model)
    markers = MARKERS if settings.data.context_turns else ()
    tokenizer = build_tokenizer(texts or corpus.train.texts, markers=markers)
    torch.manual_seed(0)
    untrained = LDEBMModel(settings.model_config(tokenizer, corpus.label_names if names is None else names))
    change(untrained)
    untrained.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings.save(folder / "settings.yaml")
    return str(folder)
