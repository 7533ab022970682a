"""Write sentences with a trained model: for its symbols, from its prior, or reconstructed from given texts.

    python examples/generate.py                               # with the checkpoint that comes with the page
    python examples/generate.py outputs/demo                                     # some for every symbol
    python examples/generate.py outputs/demo --class_labels weather refund --num_samples 10 --guidance_scale 3
    python examples/generate.py outputs/demo --min_label_probability 0.9         # resample misread sentences
    python examples/generate.py outputs/demo --no_symbols --num_samples 20 --do_sample --temperature 0.8
    python examples/generate.py outputs/demo --text "please play some jazz" "will it rain"
    python examples/generate.py outputs/demo --num_samples 1000000 --output_file sentences.jsonl     # or .parquet

Beside each sentence stands the symbol that was asked for, the one that the model reads back from it, and the verdict
of a check that is not part of the model: a bag-of-words classifier fitted on labelled texts that the model never saw.
If these are in a file of your own, name it: --data my.csv. Files that only the model's settings name are not read.
A model whose prior has no symbols writes from its prior. With `--output_file` sentences go there instead, each with
the symbol asked for; after an interruption the same command continues.
`ldebm write` does the same.
"""

import os
from pathlib import Path

from ldebm_hf.commands.options import run_script
from ldebm_hf.commands.write import build_parser, read_options, write
from ldebm_hf.training.saved_runs import shipped_checkpoint

SPACE = Path(__file__).resolve().parents[1] / "spaces_app"


def main(arguments: list[str] | None = None) -> None:
    # 1. The options, and the model that comes with the page if no other is named.
    options = read_options(build_parser(__doc__, has_default=True), arguments)
    options.checkpoint = options.checkpoint or os.path.relpath(shipped_checkpoint(SPACE))

    # 2. Sentences by `LDEBMPipeline.write_and_read`, with what a check on held-out texts says of them; with
    #    `--output_file` many, by `write_samples`; with `--text` reconstructions, by `LDEBMPipeline.read`.
    write(options)


if __name__ == "__main__":
    run_script(main)
