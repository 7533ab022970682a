"""Make a small copy of a trained model to give away: half the size, its record and scores, no text of its data.

    python examples/small_copy.py outputs/demo outputs/demo_small
    python examples/small_copy.py outputs/yelp spaces_app/yelp_sentiment --data_dir data/yelp --judge outputs/judge \\
        --language_model outputs/lm --card MODEL_CARD.md --examples "the soup was cold ." "what a lovely place !"

Weights are stored in bfloat16, those of the prior in float32, and `from_pretrained` computes in float32. The copy
itself is then scored by examples/evaluate.py and explained by examples/explain.py on the validation split of the data
that its settings name, its report without any of their texts, and a model card is made of it all. In `spaces_app` it
is the page's checkpoint if it is the only one there.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from ldebm_hf.reports.run_record import RunRecord
from ldebm_hf.training.publishing import write_card
from ldebm_hf.web.small_copies import HALF, write_small_copy

EXAMPLES = Path(__file__).parent
OF_EVALUATION = ("judge", "language_model", "num_samples")
OF_BOTH = ("data_dir", "min_label_probability")


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a trained model")
    parser.add_argument("folder", type=Path, help="of the copy: new, or an earlier one to be replaced")
    parser.add_argument("--dtype", choices=HALF, default="bfloat16", help="of the stored weights (default bfloat16)")
    parser.add_argument("--examples", nargs="+", default=[], help="texts that a page of it offers to try first")
    parser.add_argument("--data_dir", help="folder with the corpus's release files")
    parser.add_argument("--judge", help="a sequence classifier, which says how well the copy writes for its symbols")
    parser.add_argument("--language_model", help="a model with prior none, for the perplexity of what it writes")
    parser.add_argument("--num_samples", type=int, help="sentences per class (default 500)")
    parser.add_argument("--min_label_probability", type=float, default=0.9, help="of what is written (default 0.9)")
    parser.add_argument("--card", type=Path, metavar="FILE", help="default: README.md in the copy")
    parser.add_argument("--unscored", action="store_true", help="neither score nor explain it")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    write_small_copy(options.run, options.folder, dtype=options.dtype, examples=options.examples)
    weights = options.folder / "model.safetensors"
    print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB", flush=True)
    if not options.unscored:
        run("evaluate.py", options, (*OF_BOTH, *OF_EVALUATION))
        if RunRecord.read(options.folder).config.has_symbols:
            run("explain.py", options, OF_BOTH, "--split", "validation", "--no_texts")
            (options.folder / "report.html").unlink()
    card = options.card or options.folder / "README.md"
    if not write_card(options.folder, file=card):
        raise ValueError(f"{card} was edited by hand and stays as it is: remove it first")
    print(f"card: {card}")


def run(script: str, options: argparse.Namespace, names: tuple[str, ...], *more: str) -> None:
    command = [sys.executable, str(EXAMPLES / script), str(options.folder), *more]
    for name in names:
        if getattr(options, name) is not None:
            command += [f"--{name}", str(getattr(options, name))]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
