"""Make a small copy of a trained model to give away: half the size, with its record and scores, no text of its data.

    python examples/small_copy.py outputs/demo outputs/demo_small
    python examples/small_copy.py outputs/yelp spaces_app/yelp_sentiment --link_code --data_dir data/yelp \\
        --judge outputs/judge --language_model outputs/lm --card MODEL_CARD.md \\
        --examples "the soup was cold ." "what a lovely place !"

Weights are stored in bfloat16, those of the prior in float32; `from_pretrained` computes in float32. The copy itself
is then scored and explained on the validation texts of its training data, and gets a model card with the results. In
`spaces_app` it is the page's checkpoint if it is the only one there.
"""

import argparse
from pathlib import Path

from ldebm_hf.commands.options import make_parser, run_script, scoring_options
from ldebm_hf.experiments.checkpoint_explanation import ExplanationSettings, explain_checkpoint
from ldebm_hf.experiments.checkpoint_scores import NUM_SAMPLES, CheckpointScoring, score_checkpoint
from ldebm_hf.experiments.table_runs import ScoringOptions
from ldebm_hf.reports.run_record import RunRecord
from ldebm_hf.training.publishing import write_card
from ldebm_hf.web.small_copies import HALF, write_small_copy


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, "RUN FOLDER [options]", scoring_options())
    parser.add_argument("run", type=Path, help="folder of a trained model")
    parser.add_argument("folder", type=Path, help="folder of the copy; an earlier copy in it is replaced")
    parser.add_argument(
        "--dtype", choices=HALF, default="bfloat16", help="precision of the stored weights (default bfloat16)"
    )
    parser.add_argument(
        "--examples", nargs="+", default=[], metavar="TEXT", help="texts that the page offers as examples"
    )
    parser.add_argument(
        "--data", metavar="FILE", help="the file that the model was trained on, which is read only if it is named here"
    )
    parser.add_argument("--validation_file", metavar="FILE", help="the file of validation texts, likewise")
    parser.add_argument(
        "--min_label_probability",
        type=float,
        default=0.9,
        metavar="P",
        help="resample written texts whose probability of the requested label is below P (default 0.9)",
    )
    parser.add_argument(
        "--card", type=Path, metavar="FILE", help="file of the model card (default: README.md in the copy)"
    )
    parser.add_argument(
        "--link_code",
        action="store_true",
        help="link the code of the model to this package instead of copying it, for a copy in this repository",
    )
    parser.add_argument("--unscored", action="store_true", help="neither score nor explain the copy")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    # 1. The copy.
    options = parse_arguments(arguments)
    written = {"dtype": options.dtype, "examples": options.examples, "link_code": options.link_code}
    write_small_copy(options.run, options.folder, **written)
    weights = options.folder / "model.safetensors"
    print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB", flush=True)

    # 2. Its scores, and what its symbols stand for.
    if not options.unscored:
        score_and_explain(options)

    # 3. The model card.
    card = options.card or options.folder / "README.md"
    if not write_card(options.folder, file=card):
        raise ValueError(f"{card} was edited by hand and stays as it is: remove it first")
    print(f"card: {card}")


def score_and_explain(options: argparse.Namespace) -> None:
    """Score the copy and explain its symbols; of the report only `report.json` stays, which quotes no texts."""
    scoring = CheckpointScoring(
        ScoringOptions(
            judge=options.judge,
            language_model=options.language_model,
            acceptability_judge=options.acceptability_judge,
        ),
        data_dir=options.data_dir,
        num_samples=options.num_samples or NUM_SAMPLES,
        min_label_probability=options.min_label_probability,
    )
    print(score_checkpoint(str(options.folder), scoring))
    if not RunRecord.read(options.folder).config.has_symbols:
        return
    settings = ExplanationSettings(
        data=options.data,
        validation_file=options.validation_file,
        data_dir=options.data_dir,
        split="validation",
        min_label_probability=options.min_label_probability,
        no_texts=True,
    )
    explained = explain_checkpoint(str(options.folder), settings)
    print(explained.describe())
    (options.folder / "report.html").unlink()


if __name__ == "__main__":
    run_script(main)
