"""Estimate how likely held-out data are under a trained model, with what can be trusted about it.

    python examples/likelihood.py outputs/demo
    python examples/likelihood.py outputs/ptb --num_posterior_samples 500 --max_length 40
    python examples/likelihood.py outputs/ptb --split test --published
    python examples/likelihood.py outputs/demo --max_examples 100 --num_temperatures 400     # a narrower sandwich

The first figure is a bound (`ldebm_hf/likelihood/latent_density.py` says on what). Normalisers of the diffusion prior
are themselves estimated, by annealed importance sampling from both sides: the second figure says how much that costs.
Beside them stand standard errors, effective sample sizes, and whether these are good enough to take the figures for
the log-likelihood and not just for a bound.

The data are those that the checkpoint was trained on, of which its settings.yaml tells. Every figure goes into
`--output_file`. A run that was killed goes on when the same command is given again.
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from transformers import AutoTokenizer

from ldebm_hf.experiments.table_runs import load_whole
from ldebm_hf.likelihood.bounds import LikelihoodSettings
from ldebm_hf.likelihood.corpus_likelihood import CorpusLikelihood, write_likelihood
from ldebm_hf.reports.run_record import LIKELIHOOD, scores_file
from ldebm_hf.training import load_settings


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder of a trained model with its settings.yaml")
    parser.add_argument("--split", choices=["validation", "test"], default="validation", help="default validation")
    parser.add_argument("--max_examples", type=int, help="only the first so many")
    defaults = LikelihoodSettings()
    for name, text in (
        ("num_posterior_samples", "latents per example"),
        ("num_fitting_rounds", "rounds that fit their proposal to the posterior; 0: the encoder's"),
        ("num_annealed_samples", "of these, samples with annealed normalisers"),
        ("num_temperatures", "temperatures of the annealing"),
        ("memory_budget", "mebibytes for the decoder"),
    ):
        default = getattr(defaults, name)
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} (default {default})")
    parser.add_argument("--max_length", type=int, help="cut texts to so many tokens, marks included (published: 40)")
    parser.add_argument("--chunk_size", type=int, default=8, help="examples at a time (default 8)")
    parser.add_argument("--published", action="store_true", help="compute the published estimator's number, too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output_file", type=Path, help="default: likelihood[.test].json in the checkpoint's folder")
    parser.add_argument("--overwrite", action="store_true", help="replace it, or another request under way")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    recipe = options.checkpoint / "settings.yaml"
    if not recipe.is_file():
        raise FileNotFoundError(f"no {recipe}: checkpoint must be the folder of a training run")

    # 1. The model, and the data that it was not trained on.
    model = load_whole(options.checkpoint)
    is_text = model.modality.reads_texts
    tokenizer = AutoTokenizer.from_pretrained(options.checkpoint) if is_text else None
    if model.modality.is_bag_of_words:
        raise ValueError(f"{options.checkpoint} holds a model of documents: likelihoods are of texts and points")
    split = load_settings(["--config", str(recipe)]).load_corpus().splits.get(options.split)
    if split is None:
        raise ValueError(f"--split must be one that the data have, got {options.split!r}")
    if options.max_examples is not None and options.max_examples < 1:
        raise ValueError(f"--max_examples must be at least 1, got {options.max_examples}")
    data = (split.texts if is_text else split.points)[: options.max_examples]

    # 2. The estimate, chunk by chunk.
    output_file = options.output_file or options.checkpoint / scores_file(LIKELIHOOD, options.split)
    summary = write_likelihood(
        model,
        data,
        output_file,
        LikelihoodSettings(**{field.name: getattr(options, field.name) for field in fields(LikelihoodSettings)}),
        tokenizer=tokenizer,
        **{name: getattr(options, name) for name in ("max_length", "published", "chunk_size", "seed", "overwrite")},
    )

    # 3. What it says.
    unit = "text" if is_text else "point"
    for line in describe(summary, unit):
        print(line)
    print(f"every {unit}'s figures: {output_file}")


def describe(summary: CorpusLikelihood, unit: str) -> list[str]:
    has_sides = summary.effective_annealed is not None or summary.upper != summary.lower
    lines = [f"{summary.num_examples} {unit}s" + (f", {summary.num_tokens} tokens" if summary.num_tokens else "")]
    lines.append(f"negative log-likelihood: at most {-summary.lower:.3f} ± {summary.lower_error:.3f} nats a {unit}")
    if has_sides:
        lines.append(f"  by the other side of its normalisers {-summary.upper:.3f} ± {summary.upper_error:.3f}")
    if summary.sampling_error is not None:
        lines.append(f"  ± {summary.sampling_error:.3f} for other {unit}s of the kind")
    if summary.perplexity is not None:
        other = f" ({summary.least_perplexity:.2f} by the other side)" if has_sides else ""
        lines.append(f"perplexity per token: {summary.perplexity:.2f}{other}")
    for name, sizes in (("latents", summary.effective_samples), ("annealed", summary.effective_annealed)):
        if sizes is not None:
            text = ", ".join(f"{label} {size:.0f}" for label, size in sizes.items())
            lines.append(f"effective samples per {unit}, {name}: {text}")
    poor = f"{summary.untrusted_share:.1%} of {unit}s have too few effective samples or sides too far apart"
    verdict = "good enough to be" if summary.is_trusted else "TOO POOR to be taken for"
    lines.append(f"{poor}: figures are {verdict} the log-likelihood, not just a bound on it")
    if summary.published is not None:
        lines.append(f"published system's estimator: {-summary.published:.3f}, which is no likelihood")
    return lines


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
