"""Fill in the words that are missing from texts, or measure how many of them a model restores.

    python examples/complete.py outputs/demo --text "will it <mask> in paris" "please <span> tomorrow"
    python examples/complete.py outputs/demo --text "i want <span>" --class_labels refund --num_completions 5
    python examples/complete.py outputs/demo --evaluate --language_model outputs/lm_demo

`<mask>` (or `<unk>`) stands for one missing word, `<span>` (or `<extra_id_0>`) for one or more. All other words stay,
even those that the model does not know.

`--evaluate` masks words of validation texts at random, 15 %, 30 % and 50 % of each text's, and has them completed by
the model, by a left-to-right language model whose search keeps the other words in the same way, and by trigrams and
single words counted on the training texts. Printed are the percentage of masked words that are restored exactly, with
its standard error; the percentage of texts restored entirely; and BLEU of the n-grams that hold a masked word.

`ldebm complete` does the same.
"""

import os
from pathlib import Path

from ldebm_hf.commands.complete import build_parser, complete, read_options
from ldebm_hf.commands.options import run_script
from ldebm_hf.training.saved_runs import shipped_checkpoint

SPACE = Path(__file__).resolve().parents[1] / "spaces_app"


def main(arguments: list[str] | None = None) -> None:
    # 1. The options, and the model that comes with the page if no other is named.
    options = read_options(build_parser(__doc__, has_default=True), arguments)
    options.checkpoint = options.checkpoint or os.path.relpath(shipped_checkpoint(SPACE))

    # 2. Completions by `LDEBMPipeline.complete`; or, with `--evaluate`, masked validation texts that are completed by
    #    the model, by a language model and by n-grams, and scored.
    complete(options)


if __name__ == "__main__":
    run_script(main)
