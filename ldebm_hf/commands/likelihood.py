"""Estimate the likelihood of held-out data under a trained model, and say how far the estimate can be trusted.

    ldebm likelihood outputs/demo
    ldebm likelihood outputs/ptb --num_posterior_samples 500 --max_length 40
    ldebm likelihood outputs/ptb --split test --published
    ldebm likelihood outputs/demo --max_examples 100 --num_temperatures 400     # bounds closer together

The first figure is a bound on the log-likelihood (`ldebm_hf/likelihood/latent_density.py` says of which model). The
normalisers of the diffusion prior are estimated too, by annealed importance sampling from both sides; the second
figure says what that costs. Standard errors and effective sample sizes say whether the figures can be taken for the
log-likelihood itself.

The data are those that the checkpoint was trained on, as its settings.yaml says. Every example's figures go into
`--output_file`. After an interruption the same command continues.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields
from pathlib import Path

from transformers import AutoTokenizer

from ..data import PointSplit, Split
from ..likelihood.bounds import LikelihoodSettings
from ..likelihood.corpus_likelihood import write_likelihood
from ..reports.run_record import LIKELIHOOD, scores_file
from ..training.command_line import load_settings
from .likelihood_summary import describe_likelihood
from .options import (
    SAME_COMMAND,
    code_options,
    json_options,
    make_parser,
    nothing_but_json,
    print_json,
    run_script,
    seed_options,
)

CONTINUES = SAME_COMMAND
ESTIMATE_HELP = {
    "num_posterior_samples": "number of latents per example",
    "num_fitting_rounds": "rounds of fitting the proposal to the posterior; 0 takes the encoder's",
    "num_annealed_samples": "number of these latents whose normalisers are estimated by annealing",
    "num_temperatures": "number of temperatures of the annealing",
    "prior_share": "fraction of latents drawn as widely as the prior's, for modes unknown to the encoder",
    "memory_budget": "memory for the decoder in MiB",
}


def main(arguments: list[str] | None = None) -> None:
    estimate(build_parser(prog="ldebm likelihood").parse_args(arguments))


def build_parser(description: str | None = __doc__, prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of this command."""
    shared = seed_options(), json_options(), code_options()
    parser = make_parser(description, "CHECKPOINT [options]", *shared, prog=prog)
    add = parser.add_argument
    add("checkpoint", type=Path, help="folder of a trained model with its settings.yaml")
    add("--split", choices=["validation", "test"], default="validation", help="split to score (default validation)")
    add("--max_examples", type=int, metavar="N", help="score only the first N examples")
    for name, text in ESTIMATE_HELP.items():
        default = getattr(LikelihoodSettings, name)
        add(f"--{name}", type=type(default), default=default, metavar="N", help=f"{text} (default {default})")
    add("--max_length", type=int, metavar="N", help="cut texts to N tokens, special tokens included (published: 40)")
    add("--chunk_size", type=int, default=8, metavar="N", help="number of examples at a time (default 8)")
    add("--published", action="store_true", help="also compute the published system's estimate")
    add(
        "--output_file",
        type=Path,
        metavar="FILE",
        help="file of the estimates (default: likelihood[.test].json in the checkpoint's folder)",
    )
    add("--overwrite", action="store_true", help="replace the file, and discard another request that is not finished")
    return parser


def estimate(options: argparse.Namespace) -> None:
    """Do what the options of [`build_parser`] ask for."""
    from ..experiments.table_runs import load_complete_model  # for which `--help` need not wait

    with nothing_but_json(options):
        # 1. The model, and the data that it was not trained on.
        split = held_out_split(options)
        model = load_complete_model(options.checkpoint, options.trust_remote_code)
        is_text = model.modality.reads_texts
        tokenizer = AutoTokenizer.from_pretrained(options.checkpoint) if is_text else None
        if model.modality.is_bag_of_words:
            raise ValueError(f"{options.checkpoint} holds a model of documents: likelihoods are of texts and points")
        data = (split.texts if is_text else split.points)[: options.max_examples]

        # 2. The estimate, chunk by chunk.
        output_file = options.output_file or options.checkpoint / scores_file(LIKELIHOOD, options.split)
        given = ("max_length", "published", "chunk_size", "seed", "overwrite")
        summary = write_likelihood(
            model,
            data,
            output_file,
            LikelihoodSettings(**{field.name: getattr(options, field.name) for field in fields(LikelihoodSettings)}),
            tokenizer=tokenizer,
            **{name: getattr(options, name) for name in given},
        )

        # 3. What it says.
        unit = "text" if is_text else "point"
        print(describe_likelihood(summary, unit))
        print(f"every {unit}'s figures: {output_file}")
    if options.json:
        print_json(asdict(summary) | {"output_file": str(output_file)})


def held_out_split(options: argparse.Namespace) -> Split | PointSplit:
    """The split to score, of the data that the checkpoint's settings name."""
    recipe = options.checkpoint / "settings.yaml"
    if not recipe.is_file():
        raise FileNotFoundError(f"no {recipe}: checkpoint must be the folder of a training run")
    if options.max_examples is not None and options.max_examples < 1:
        raise ValueError(f"--max_examples must be at least 1, got {options.max_examples}")
    split = load_settings(["--config", str(recipe)]).load_corpus().splits.get(options.split)
    if split is None:
        raise ValueError(f"--split must be one that the data have, got {options.split!r}")
    return split


if __name__ == "__main__":
    run_script(main, CONTINUES)
