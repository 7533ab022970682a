"""The distilled sampler against Langevin chains: energy gradients, processor time, and the distance to the prior.

    python benchmarks/distilled_sampler.py outputs/demo spaces_app/priors/gaussians/ldebm

Each model is distilled, and its samplers are compared in turns within one process. The energy distance is that of
latents to a reference: long chains with Metropolis correction, or, with two latent dimensions, exact draws from a
grid (benchmarks/guidance.py). Further reference sets show its noise. Latents that symbols steer are compared with
their own reference, symbol by symbol, and their distance is the mean over symbols. Processor time is the least of
several rounds.
"""

import argparse
import logging
import time
from collections.abc import Callable

import numpy as np
import torch
from fewer_steps import LONG_CHAINS, set_sampler
from guidance import ExactPrior

from ldebm_hf import LDEBMModel
from ldebm_hf.commands.options import run_script
from ldebm_hf.reports.tables import markdown_table
from ldebm_hf.scores import energy_distance

PROPOSALS = (1, 2, 4, 8)
NUM_REFERENCES = 2
"""Sets of reference latents: one to compare with, and others for the noise of the distance."""


def gradients_of_chains(model: LDEBMModel, steered: bool) -> int:
    """Energy gradients of a latent by the default sampler."""
    config = model.config
    if not steered or not config.adapts_guided_steps:
        return config.num_levels * (config.langevin_steps + config.langevin_metropolis)
    return (config.num_levels - 1) * (2 * config.langevin_steps + 1) + 4 * config.langevin_steps + 1


def reference_sets(model: LDEBMModel, num_samples: int, labels: torch.Tensor, num_steps: int) -> Callable:
    """A function from a seed to reference latents, without symbols and of `labels`."""
    scale = model.config.label_guidance
    if model.config.latent_size == 2:
        exact = ExactPrior(model.prior)

        def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
            generator = torch.Generator().manual_seed(seed)
            free = exact.sample(num_samples, 0, 0.0, generator)
            counts = torch.bincount(labels).tolist()
            steered = [exact.sample(count, symbol, scale, generator) for symbol, count in enumerate(counts)]
            return free, torch.cat(steered)

    else:

        def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
            settings = {name: getattr(model.config, name) for name in LONG_CHAINS}
            set_sampler(model, LONG_CHAINS)
            free = model.sample_latents(num_samples, num_langevin_steps=num_steps, generator=seed)
            steered = model.sample_latents(class_labels=labels, num_langevin_steps=num_steps, generator=seed)
            set_sampler(model, settings)
            return free, steered

    return draw


def distance_by_symbol(latents: torch.Tensor, reference: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean over symbols of the energy distance of their latents."""
    symbols = labels.unique().tolist()
    return float(np.mean([energy_distance(latents[labels == one], reference[labels == one]) for one in symbols]))


def processor_milliseconds(call: Callable[[], object], rounds: int, items: int) -> float:
    """The least processor time of a call, for each of `items`."""
    seconds = []
    for _ in range(rounds):
        begin = time.process_time()
        call()
        seconds.append(time.process_time() - begin)
    return 1000 * min(seconds) / items


@torch.no_grad()
def measure(model: LDEBMModel, options: argparse.Namespace) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Rows of the table of samplers, and of the table of levels."""
    config = model.config
    per_symbol = options.num_samples // config.num_labels
    labels = torch.arange(config.num_labels).repeat_interleave(per_symbol)
    draw = reference_sets(model, options.num_samples, labels, options.long_steps)
    (free, steered), *others = [draw(seed) for seed in range(NUM_REFERENCES)]
    rows = [
        {
            "sampler": "reference, other noise",
            "distance": f"{energy_distance(other_free, free):.4f}",
            "distance, steered": f"{distance_by_symbol(other_steered, steered, labels):.4f}",
        }
        for other_free, other_steered in others
    ]

    begin = time.process_time()
    fit = model.distil_sampler(num_steps=options.num_steps, generator=0)
    fit_seconds = time.process_time() - begin
    print(f"distilled in {fit_seconds:.0f} s of processor time", flush=True)

    num_levels = config.num_levels
    samplers = {f"Langevin, {config.langevin_steps} steps a level (default)": {}}
    samplers |= {f"Langevin, {steps} steps a level": {"num_langevin_steps": steps} for steps in options.fewer_steps}
    samplers |= {
        f"distilled, {number} proposals": {"sampler": "distilled", "num_proposals": number} for number in PROPOSALS
    }
    default: list[float] = []
    for name, arguments in samplers.items():
        latents = model.sample_latents(options.num_samples, generator=20, **arguments)
        with_symbols = model.sample_latents(class_labels=labels, generator=21, **arguments)
        times = [
            processor_milliseconds(call, options.rounds, options.timed)
            for call in (
                lambda arguments=arguments: model.sample_latents(options.timed, generator=0, **arguments),
                lambda arguments=arguments: model.sample_latents(
                    class_labels=labels[torch.arange(options.timed) % len(labels)], generator=0, **arguments
                ),
            )
        ]
        default = default or times
        if "sampler" in arguments:
            number = arguments["num_proposals"]
            gradients, evaluations = ["0", "0"], 0 if number == 1 else num_levels * number
        elif "num_langevin_steps" in arguments:
            steps = arguments["num_langevin_steps"]
            adapted = num_levels * (steps + 1) if config.adapts_guided_steps else num_levels * steps
            gradients, evaluations = [str(num_levels * steps), str(adapted)], 0
        else:
            gradients, evaluations = [str(gradients_of_chains(model, steered)) for steered in (False, True)], 0
        rows.append(
            {
                "sampler": name,
                "gradients": gradients[0],
                "evaluations": str(evaluations),
                "ms a latent": f"{times[0]:.4f}",
                "times as fast": f"{default[0] / times[0]:.1f}",
                "distance": f"{energy_distance(latents, free):.4f}",
                "gradients, steered": gradients[1],
                "ms, steered": f"{times[1]:.4f}",
                "times as fast, steered": f"{default[1] / times[1]:.1f}",
                "distance, steered": f"{distance_by_symbol(with_symbols, steered, labels):.4f}",
            }
        )
        print(rows[-1], flush=True)
    levels = [
        {
            "level": str(level),
            "effective sample size": f"{fit.free.effective_sample_size[level].mean():.2f}",
            "accepted, %": f"{100 * fit.free.acceptance_rate[level].mean():.0f}",
            "effective sample size, steered": f"{fit.steered.effective_sample_size[level].mean():.2f}",
            "accepted, steered, %": f"{100 * fit.steered.acceptance_rate[level].mean():.0f}",
        }
        for level in range(num_levels)
    ]
    return rows, levels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", help="folders of trained models")
    parser.add_argument("--num_samples", type=int, default=4000, help="latents per sampler (default 4000)")
    parser.add_argument("--long_steps", type=int, default=100, help="steps a level of long chains (default 100)")
    parser.add_argument("--num_steps", type=int, default=1000, help="steps of the fit of a level (default 1000)")
    parser.add_argument("--fewer_steps", type=int, nargs="*", default=[1, 2, 5], help="fewer steps (default 1 2 5)")
    parser.add_argument("--timed", type=int, default=1024, help="latents of a timed call (default 1024)")
    parser.add_argument("--rounds", type=int, default=5, help="timed calls of each sampler (default 5)")
    options = parser.parse_args()
    logging.getLogger("ldebm_hf").setLevel(logging.ERROR)  # short chains do not settle, as the distances say
    for checkpoint in options.checkpoints:
        print(f"\n{checkpoint}", flush=True)
        for rows in measure(LDEBMModel.from_pretrained(checkpoint), options):
            names = list(max(rows, key=len))
            print("\n" + markdown_table({name: [row.get(name, "") for row in rows] for name in names}))


if __name__ == "__main__":
    run_script(main)
