"""Distil the sampler of a trained model: latents without gradients of the energy, for writing many texts.

    ldebm distil outputs/demo
    ldebm distil outputs/demo --guidance_scale 2          # the strength with which symbols will steer it
    ldebm distil outputs/demo --num_steps 5000            # a closer fit, if few draws are accepted

The model runs its own Langevin chains, a small network for each level learns to draw where they end, and the energy
accepts or rejects what it draws. No texts are needed, and the model itself does not change. The networks are saved in
the checkpoint, and from then on `sample_latents(sampler="distilled")` and `generate(sampler="distilled")` take them.
The table says for each level what the draws are worth and how many are accepted, without symbols and with them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from .options import (
    code_options,
    json_options,
    make_parser,
    nothing_but_json,
    positive_integer,
    print_json,
    run_script,
    seed_options,
)

if TYPE_CHECKING:
    from ..model.distillation import DistillationOutput
    from ..model.modeling_ldebm import LDEBMModel

CONTINUES = None
CONFIGURATION = "config.json"


def main(arguments: list[str] | None = None) -> None:
    distil(build_parser(prog="ldebm distil").parse_args(arguments))


def build_parser(description: str | None = __doc__, prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of this command."""
    shared = seed_options(), json_options(), code_options()
    parser = make_parser(description, "CHECKPOINT [options]", *shared, prog=prog)
    add, unset = parser.add_argument, {"default": argparse.SUPPRESS, "metavar": "N"}
    add("checkpoint", type=Path, help="folder of a trained model, into which the sampler is saved")
    add("--num_steps", type=positive_integer, **unset, help="optimiser steps for each level (default 1000)")
    add("--num_chains", type=positive_integer, **unset, help="chains to learn from (default 20000)")
    add("--num_langevin_steps", type=positive_integer, **unset, help="steps a level of each (default: the model's)")
    add("--hidden_size", type=positive_integer, **unset, help="width of the networks (default: the energy network's)")
    add("--num_components", type=positive_integer, **unset, help="Gaussians in the mixture of a network (default 8)")
    add(
        "--guidance_scale",
        type=float,
        default=argparse.SUPPRESS,
        metavar="SCALE",
        help="how strongly symbols will steer the sampler (default: the model's)",
    )
    return parser


def distil(options: argparse.Namespace) -> None:
    """Do what the options of [`build_parser`] ask for."""
    from ..model.modeling_ldebm import LDEBMModel  # for which `--help` need not wait
    from ..reports.tables import text_table
    from ..training.saved_runs import find_checkpoint

    with nothing_but_json(options):
        # 1. The model.
        find_checkpoint(str(options.checkpoint))
        if not options.checkpoint.is_dir():
            raise ValueError(f"checkpoint must be a folder, into which the sampler is saved, got {options.checkpoint}")
        model = LDEBMModel.from_pretrained(options.checkpoint, trust_remote_code=options.trust_remote_code)

        # 2. The fit.
        not_of_fit = ("checkpoint", "seed", "json", "trust_remote_code")
        settings = {name: value for name, value in vars(options).items() if name not in not_of_fit}
        distilled = model.distil_sampler(**settings, generator=options.seed, show_progress=True)
        save_beside_the_rest(model, options.checkpoint)

        # 3. How good it is.
        levels = levels_of(distilled)
        names = {"level": "level"} | {name: name.replace("_", " ") for name in levels[0] if name != "level"}
        columns = {title: [f"{level[name]:.2f}" for level in levels] for name, title in names.items()}
        columns["level"] = [str(level["level"]) for level in levels]
        print(text_table(columns))
        print(f"\nSaved in {options.checkpoint}. Next, in Python:")
        print('  model.generate(num_samples=10, sampler="distilled")')
    if options.json:
        print_json({"levels": levels, "distilled_sampler": model.config.distilled_sampler})


def levels_of(distilled: DistillationOutput) -> list[dict[str, Any]]:
    """Means over the samples for each level."""
    free, steered = distilled.free, distilled.steered
    return [
        {
            "level": level,
            "effective_sample_size": free.effective_sample_size[level].mean().item(),
            "acceptance_rate": free.acceptance_rate[level].mean().item(),
            "steered_effective_sample_size": steered.effective_sample_size[level].mean().item(),
            "steered_acceptance_rate": steered.acceptance_rate[level].mean().item(),
        }
        for level in range(len(free.acceptance_rate))
    ]


def save_beside_the_rest(model: LDEBMModel, folder: Path) -> None:
    """
    Save a model into the folder that it was loaded from. Each file is replaced as a whole, and the configuration last,
    so that the folder can be loaded at any time.
    """
    from ..files.atomic import replace

    with TemporaryDirectory(dir=folder) as temporary:
        model.save_pretrained(temporary)
        files = [file for file in sorted(Path(temporary).iterdir()) if file.is_file()]
        for file in sorted(files, key=lambda file: file.name == CONFIGURATION):
            replace(file, folder / file.name)


if __name__ == "__main__":
    run_script(main, CONTINUES)
