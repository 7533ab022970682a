"""The sampler against the published style: the energy's part of a training step, prior sampling, bare matrix products.

    python benchmarks/sampler.py
"""

from collections.abc import Callable

import torch
from pairs import Comparison, compare, comparison_table
from published_style import PublishedStyle
from sizes import PUBLISHED, Sizes
from torch.nn.utils import parametrize

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.model.energy import FrozenNetwork


def comparisons(rounds: int = 3, device: str = "cpu", sizes: Sizes = PUBLISHED) -> list[Comparison]:
    """The published sizes are: d 40, 12 blocks of 200, 50 steps, batch 128, chains of two levels."""
    torch.manual_seed(0)
    model = LDEBMModel(LDEBMConfig.from_preset("published", num_symbols=20, **sizes.settings)).to(device).train()
    default = LDEBMModel(LDEBMConfig(num_symbols=20, **sizes.settings)).to(device).train()
    published = PublishedStyle(model).to(device).train()
    on_gpu = device != "cpu"
    return [
        *_training_part(model, default, published, rounds, sizes, target=10 if on_gpu else 4),
        *_matrix_products(model, rounds, sizes),
        *_prior_samples(model, default, published, rounds, sizes, target=10 if on_gpu else 5),
    ]


def _training_part(model, default, published, rounds: int, sizes: Sizes, target: float) -> list[Comparison]:
    latents = torch.randn(sizes.batch_size, model.config.latent_size, device=model.device, requires_grad=True)
    labels = torch.randint(0, model.config.num_labels, (sizes.batch_size,), device=model.device)

    def ours(model: LDEBMModel, **options) -> Callable[[], None]:
        def step() -> None:
            config = model.config
            model.prior.optimize_sampler(**options)
            with parametrize.cached():
                prior = model.prior.loss(latents).loss
                logits = model.prior.symbol_logits(latents, base_noise=True)
                classification = torch.nn.functional.cross_entropy(logits, labels)
                (config.kl_weight * prior + config.classification_weight * classification).backward()

        return step

    return compare(
        f"energy's part of a training step, 2 x {sizes.batch_size} chains",
        lambda: published.prior_terms(latents, labels).backward(),
        {
            "50 steps": ours(model),
            "50 steps, torch.compile": ours(model, compile=True),
            "the default sampler's 10 steps": ours(default),
        },
        rounds=rounds,
        target=target,
        as_commands_do=True,
    )


@torch.no_grad()
def _matrix_products(model, rounds: int, sizes: Sizes) -> list[Comparison]:
    """The matrix products that an energy gradient consists of, alone, against the whole gradient."""
    num_rows = 2 * sizes.batch_size
    level = torch.randint(0, model.config.num_levels, (num_rows,), device=model.device)
    weight = torch.ones(num_rows, 1, device=model.device)
    states = torch.randn(num_rows, model.config.latent_size, device=model.device)
    plain: FrozenNetwork = model.prior.energy.frozen_copy(level, weight)
    compiled = model.prior.energy.frozen_copy(level, weight, compile=True)
    layers = [plain.latent_hidden, plain.latent_output, plain.merge, *plain.blocks, plain.head]
    weights = [layer[0] for layer in layers]
    inputs = [torch.randn(num_rows, weight.shape[1], device=model.device) for weight in weights]
    gradients = [torch.randn(num_rows, weight.shape[0], device=model.device) for weight in weights]

    def products() -> None:
        for _ in range(50):
            for weight, features, gradient in zip(weights, inputs, gradients, strict=True):
                features @ weight.T
                gradient @ weight

    def chain(energy: FrozenNetwork) -> None:
        for _ in range(50):
            energy.gradient(states)

    return compare(
        "50 energy gradients' matrix products alone, and all of them",
        products,
        {"eager": lambda: chain(plain), "torch.compile": lambda: chain(compiled)},
        rounds=rounds,
        target=0.8,
    )


def _prior_samples(model, default, published, rounds: int, sizes: Sizes, target: float) -> list[Comparison]:
    model.prior.optimize_sampler()
    return compare(
        f"a latent from the prior, in batches of {sizes.published_batch} and of {sizes.num_samples}",
        lambda: published.sample_latents(sizes.published_batch),
        {
            "50 steps a level": lambda: model.sample_latents(sizes.num_samples),
            "the default sampler's 10 steps": lambda: default.sample_latents(sizes.num_samples),
        },
        rounds=rounds,
        target=target,
        items=(sizes.published_batch, sizes.num_samples),
        as_commands_do=True,
    )


if __name__ == "__main__":
    print(comparison_table(comparisons(rounds=5, device="cuda" if torch.cuda.is_available() else "cpu")))
