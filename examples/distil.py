"""Distil the sampler of a trained model: latents without gradients of the energy, for writing many texts.

    python examples/distil.py outputs/demo
    python examples/distil.py outputs/demo --guidance_scale 2 --num_steps 5000

The networks of the sampler are saved in the checkpoint. Then `model.generate(sampler="distilled")` takes them.

`ldebm distil` does the same.
"""

from ldebm_hf.commands.distil import build_parser, distil
from ldebm_hf.commands.options import run_script


def main(arguments: list[str] | None = None) -> None:
    # 1. Which model, and how closely to fit.
    options = build_parser(__doc__).parse_args(arguments)

    # 2. The model's own chains, the fit to them, and how many of its draws the energy accepts.
    distil(options)


if __name__ == "__main__":
    run_script(main)
