"""How often the exact log-likelihood is farther from its estimate than two of the reported errors.

    python benchmarks/likelihood_errors.py

Models of points x = A z + b + ε with as many latents as coordinates have log p(x) in closed form. The encoder says
N(0, I) for every point, so that the fitted proposal is all that the estimate has.
"""

import argparse

import torch

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.commands.options import run_script
from ldebm_hf.likelihood.bounds import LikelihoodSettings, estimate_log_likelihood
from ldebm_hf.likelihood.importance_weights import TRUSTED_K
from ldebm_hf.reports.tables import markdown_table

MODELS = [(2, 1.5, 500), (10, 0.25, 500), (10, 0.5, 500), (40, 0.03, 300), (40, 0.05, 300), (40, 0.11, 120)]
"""Number of dimensions, standard deviation of A's entries, number of points."""


def linear_model(size: int, spread: float) -> LDEBMModel:
    """p(x|z) = N(A z + b, I) in float64."""
    torch.manual_seed(0)
    config = LDEBMConfig.from_preset(
        "vae", modality="point", latent_size=size, point_size=size, point_hidden_size=8, num_symbols=2
    )
    model = LDEBMModel(config).double().eval()
    model.decoder.network = torch.nn.Sequential(torch.nn.Linear(size, size)).double()
    torch.nn.init.normal_(model.decoder.network[0].weight, std=spread)
    for head in (model.encoder.heads.mean, model.encoder.heads.log_variance):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    return model


@torch.no_grad()
def measure(size: int, spread: float, num_points: int, num_samples: int) -> dict[str, str]:
    """A row of the table."""
    model = linear_model(size, spread)
    weight, bias = model.decoder.network.parameters()
    covariance = weight @ weight.T + torch.eye(size, dtype=torch.float64)
    density = torch.distributions.MultivariateNormal(bias, covariance)
    points = density.sample((num_points,))
    settings = LikelihoodSettings(num_posterior_samples=num_samples)
    estimate = estimate_log_likelihood(model, settings, points=points, generator=1)
    distance = (estimate.lower - density.log_prob(points)).abs()
    size_error = (1 / estimate.effective_samples - 1 / num_samples) * num_samples / (num_samples - 1)
    by_delta_method = size_error.clamp(min=0).sqrt()
    is_trusted = estimate.effective_samples >= 10
    is_trusted &= estimate.pareto_k <= TRUSTED_K

    def share(mask: torch.Tensor) -> str:
        return f"{100 * mask.double().mean():.1f}"

    return {
        "dimensions": str(size),
        "spread of A": f"{spread:g}",
        "samples": str(num_samples),
        "effective": f"{estimate.effective_samples.median():.0f}",
        "Pareto k": f"{estimate.pareto_k.median():.2f}",
        "delta method, % beyond 2 errors": share(distance > 2 * by_delta_method),
        "% beyond 2 errors": share(distance > 2 * estimate.lower_error),
        "trusted, %": share(is_trusted),
        "trusted and beyond 2 errors, %": share(is_trusted & (distance > 2 * estimate.lower_error)),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    rows = [measure(*model, num_samples) for model in MODELS for num_samples in (100, 500)]
    print(markdown_table({name: [row[name] for row in rows] for name in rows[0]}))


if __name__ == "__main__":
    run_script(main)
