"""The sampler against the published style: the energy's part of a training step, prior sampling, bare matrix products.

python benchmarks/sampler.py
"""

import torch
from pairs import Comparison, compare, markdown_table
from published_style import PublishedStyle
from torch.nn.utils import parametrize

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.energy import TiltedEnergy

BATCH_SIZE = 128
NUM_SAMPLES = 1024
PUBLISHED_SAMPLE_BATCH = 100


def comparisons(rounds: int = 3, device: str = "cpu") -> list[Comparison]:
    """Published sizes throughout: d 40, 12 blocks of 200, 50 steps, batch 128, chains of two levels."""
    torch.manual_seed(0)
    model = LDEBMModel(LDEBMConfig.from_preset("published", num_symbols=20)).to(device).train()
    published = PublishedStyle(model).to(device).train()
    on_gpu = device != "cpu"
    rows = []
    for note, options in [("", {}), ("torch.compile", {"compile": True})]:
        model.prior.optimize_sampler(**options)
        rows += [
            _training_part(model, published, rounds, note, target=10 if on_gpu else 4),
            _matrix_products(model, rounds, note),
            _prior_samples(model, published, rounds, note, target=10 if on_gpu else 5),
        ]
    return rows


def _training_part(model, published, rounds: int, note: str, target: float) -> Comparison:
    latents = torch.randn(BATCH_SIZE, model.config.latent_size, device=model.device, requires_grad=True)
    labels = torch.randint(0, model.config.num_labels, (BATCH_SIZE,), device=model.device)

    def ours():
        config = model.config
        with parametrize.cached():
            prior = model.prior.loss(latents).loss
            logits = model.prior.symbol_logits(latents, base_noise=True)
            classification = torch.nn.functional.cross_entropy(logits, labels)
            (config.kl_weight * prior + config.classification_weight * classification).backward()

    return compare(
        "energy's part of a training step, 2 x 128 chains of 50 steps",
        lambda: published.prior_terms(latents, labels).backward(),
        ours,
        rounds=rounds,
        target=target,
        note=note,
    )


@torch.no_grad()
def _matrix_products(model, rounds: int, note: str) -> Comparison:
    """The matrix products that an energy gradient consists of, alone, against the whole gradient."""
    num_rows = 2 * BATCH_SIZE
    level = torch.randint(0, model.config.num_levels, (num_rows,), device=model.device)
    weight = torch.ones(num_rows, 1, device=model.device)
    energy: TiltedEnergy = model.prior.energy.tilted(level, weight, **model.prior.sampler_options)
    states = torch.randn(num_rows, model.config.latent_size, device=model.device)
    layers = [energy.latent_hidden, energy.latent_output, energy.merge, *energy.blocks, energy.head]
    weights = [layer[0] for layer in layers]
    inputs = [torch.randn(num_rows, weight.shape[1], device=model.device) for weight in weights]
    gradients = [torch.randn(num_rows, weight.shape[0], device=model.device) for weight in weights]

    def products():
        for _ in range(50):
            for weight, features, gradient in zip(weights, inputs, gradients, strict=True):
                features @ weight.T
                gradient @ weight

    def chain():
        for _ in range(50):
            energy.gradient(states)

    return compare(
        "its matrix products alone, against 50 energy gradients",
        products,
        chain,
        rounds=rounds,
        target=0.8,
        note=note,
    )


def _prior_samples(model, published, rounds: int, note: str, target: float) -> Comparison:
    return compare(
        f"a latent from the prior, 300 energy gradients (in batches of {PUBLISHED_SAMPLE_BATCH}; of {NUM_SAMPLES})",
        lambda: published.sample_latents(PUBLISHED_SAMPLE_BATCH),
        lambda: model.sample_latents(NUM_SAMPLES),
        rounds=rounds,
        target=target,
        note=note,
        items=(PUBLISHED_SAMPLE_BATCH, NUM_SAMPLES),
    )


if __name__ == "__main__":
    print(markdown_table(comparisons(rounds=5, device="cuda" if torch.cuda.is_available() else "cpu")))
