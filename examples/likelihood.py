"""Estimate the likelihood of held-out data under a trained model, and say how far the estimate can be trusted.

    python examples/likelihood.py outputs/demo
    python examples/likelihood.py outputs/ptb --num_posterior_samples 500 --max_length 40
    python examples/likelihood.py outputs/ptb --split test --published
    python examples/likelihood.py outputs/demo --max_examples 100 --num_temperatures 400     # bounds closer together

The first figure is a bound on the log-likelihood (`ldebm_hf/likelihood/latent_density.py` says of which model). The
normalisers of the diffusion prior are estimated too, by annealed importance sampling from both sides; the second
figure says what that costs. Standard errors and effective sample sizes say whether the figures can be taken for the
log-likelihood itself.

The data are those that the checkpoint was trained on, as its settings.yaml says. Every example's figures go into
`--output_file`. After an interruption the same command continues.

`ldebm likelihood` does the same.
"""

from ldebm_hf.commands.likelihood import CONTINUES, build_parser, estimate
from ldebm_hf.commands.options import run_script


def main(arguments: list[str] | None = None) -> None:
    # 1. Which model, which data, and how many draws.
    options = build_parser(__doc__).parse_args(arguments)

    # 2. `write_likelihood` estimates the likelihood of every example, chunk by chunk, and `describe_likelihood` says
    #    what the estimates mean.
    estimate(options)


if __name__ == "__main__":
    run_script(main, CONTINUES)
