"""Answer in a dialogue with a trained model: one possible response for each of its symbols.

    python examples/respond.py outputs/smd_responses --turns "What's the weather like?" "For which city?"
    python examples/respond.py outputs/smd_responses --turns "Hello" --class_labels 3 17 --guidance_scale 2
    python examples/respond.py outputs/smd_responses --turns "Hello" --no_symbols --num_samples 5
    python examples/respond.py outputs/smd_responses --turns "Hello" --num_candidates 16 --num_beams 4
    python examples/respond.py outputs/smd_responses --num_contexts 3     # dialogues of its corpus

The user and the assistant speak alternately, the user first, unless a turn begins with `<usr>` or `<sys>`. Without
`--turns`, dialogues are drawn from the validation texts of the corpus that the model was trained on.

`ldebm respond` does the same.
"""

from ldebm_hf.commands.options import run_script
from ldebm_hf.commands.respond import build_parser, read_options, respond


def main(arguments: list[str] | None = None) -> None:
    # 1. The options.
    options = read_options(build_parser(__doc__), arguments)

    # 2. Responses by `LDEBMPipeline.respond`, for the symbols asked for, to the dialogue that is given or to some of
    #    the corpus.
    respond(options)


if __name__ == "__main__":
    run_script(main)
