"""Text models that run in milliseconds, and what they are tested with."""

from pathlib import Path

import torch
from torch import nn
from transformers import LogitsProcessor, StoppingCriteria

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer

VOCABULARY, START, END = 12, 2, 3
DIFFUSION_PRESETS = ("published", "consistent")  # that decide every setting of the diffusion prior
LATENT = 4
TINY_SIZES = {
    "vocab_size": VOCABULARY,
    "id2label": {0: "good", 1: "bad", 2: "neutral"},
    "embedding_size": 8,
    "encoder_hidden_size": 8,
    "decoder_hidden_size": 8,
    "latent_size": LATENT,
    "energy_hidden_size": 16,
    "energy_num_blocks": 2,
    "langevin_steps": 3,
}


def tiny_model(preset="consistent", **settings) -> LDEBMModel:
    """A model that varies its words and ends some texts: by its seed, long vectors of words, a strong recurrence."""
    torch.manual_seed(2)
    settings = {**TINY_SIZES, "uniform_init_range": None, **settings}
    model = LDEBMModel(LDEBMConfig.from_preset(preset, **settings)).eval()
    with torch.no_grad():
        for parameter in model.decoder.rnn.parameters():
            parameter.mul_(4)
        if settings["uniform_init_range"] is None:
            for embedding in (module for module in model.modules() if isinstance(module, nn.Embedding)):
                embedding.weight.mul_(embedding.embedding_dim**0.5 / 2)
    return model


def seeded(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class StopAtLength(StoppingCriteria):
    def __call__(self, input_ids, scores, **kwargs):
        return torch.full((len(input_ids),), input_ids.shape[1] >= 4)


class OnlyWord(LogitsProcessor):
    def __call__(self, input_ids, scores):
        return scores.masked_fill(torch.arange(VOCABULARY) != 9, -torch.inf)


def write_tiny_checkpoint(folder: Path, texts: list[str], names: dict[int, str]) -> str:
    """Write an untrained model with symbols of these names, and the texts of its map, into a folder; its path."""
    tokenizer = build_tokenizer(texts)
    torch.manual_seed(1)
    sizes = {"embedding_size": 8, "encoder_hidden_size": 8, "decoder_hidden_size": 8, "latent_size": 4}
    energy = {"energy_hidden_size": 8, "energy_num_blocks": 1, "langevin_steps": 2}
    config = LDEBMConfig.from_preset("consistent", vocab_size=len(tokenizer), id2label=names, **sizes, **energy)
    LDEBMModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    return str(folder)
