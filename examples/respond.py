"""Answer in a dialogue with a trained model: one possible response for each of its symbols.

    python examples/respond.py outputs/smd_responses --turns "What's the weather like?" "For which city?"
    python examples/respond.py outputs/smd_responses --turns "Hello" --class_labels 3 17 --guidance_scale 2
    python examples/respond.py outputs/smd_responses --turns "Hello" --no_symbols --num_samples 5
    python examples/respond.py outputs/smd_responses --turns "Hello" --num_candidates 16 --num_beams 4
    python examples/respond.py outputs/smd_responses --num_contexts 3     # dialogues of its corpus

The user and the assistant speak alternately, the user first, unless a turn begins with `<usr>` or `<sys>`. Without
`--turns`, dialogues are drawn from the validation texts of the corpus that the model was trained on.
"""

import argparse
from typing import Any

import numpy as np
import torch

from ldebm_hf import LDEBMPipeline
from ldebm_hf.commands.options import (
    check_symbols,
    code_options,
    corpus_options,
    make_parser,
    positive_integer,
    run_script,
    sampling_options,
    seed_options,
    symbol_options,
)
from ldebm_hf.model.dialogue_turns import BEGIN
from ldebm_hf.reports.tables import text_table
from ldebm_hf.training.saved_runs import find_checkpoint, settings_to_show


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    shared = symbol_options("all"), sampling_options(), seed_options(), corpus_options()
    parser = make_parser(__doc__, "CHECKPOINT [--turns [TURN ...]] [options]", *shared, code_options())
    add, number = parser.add_argument, {"type": positive_integer, "metavar": "N"}
    add("checkpoint", help="folder or Hub id")
    add("--turns", nargs="*", metavar="TURN", help="what was said, the oldest first; none opens a dialogue")
    add(
        "--num_contexts",
        **number,
        default=3,
        help="without --turns: number of dialogues drawn from the corpus (default 3)",
    )
    add(
        "--num_samples",
        **number,
        default=1,
        help="number of responses, for each symbol if there are symbols (default 1)",
    )
    add(
        "--num_candidates",
        **number,
        default=1,
        help="write N candidates for each response and keep the most typical (default 1)",
    )
    add("--num_beams", **number, help="number of beams of the search (default: the model's)")
    options = parser.parse_args(arguments)
    check_symbols(parser, options)
    return options


def main(arguments: list[str] | None = None) -> None:
    # 1. The model.
    options = parse_arguments(arguments)
    find_checkpoint(options.checkpoint)
    pipe = LDEBMPipeline.from_pretrained(options.checkpoint, trust_remote_code=options.trust_remote_code)
    model = pipe.model
    if not model.config.context_size:
        raise ValueError(f"{options.checkpoint} holds a model without contexts: examples/generate.py writes with it")

    # 2. Which symbols to answer for, and how words are chosen.
    symbols = None
    if options.class_labels:
        symbols = model.symbol_ids(options.class_labels)
    elif model.has_symbols and not options.no_symbols:
        symbols = torch.arange(model.config.num_labels)
    asked: dict[str, Any] = {"num_samples": options.num_samples}
    if symbols is not None:
        symbols = symbols.repeat_interleave(options.num_samples)
        asked = {"class_labels": symbols}
    decoding = {"num_candidates": options.num_candidates}
    if options.do_sample:
        decoding["do_sample"] = True
    for name in ("num_beams", "guidance_scale"):
        if getattr(options, name) is not None:
            decoding[name] = getattr(options, name)

    # 3. Responses to each dialogue.
    for turns, said_next in dialogues(options):
        for turn in turns:
            print(f"  {turn}")
        responses = pipe.respond(turns, **asked, generator=options.seed, **decoding)
        columns = {"response": responses}
        if symbols is not None:
            columns = {"symbol": [model.config.id2label[symbol] for symbol in symbols.tolist()]} | columns
        print(text_table(columns))
        print(f"{len(set(responses))} of {len(responses)} responses are distinct")
        print(f"what was said: {said_next}\n" if said_next else "")


def dialogues(options: argparse.Namespace) -> list[tuple[list[str], str | None]]:
    """The turns given, or some of the corpus's validation split, each with what was said next."""
    if options.turns is not None:
        return [(options.turns, None)]
    settings = settings_to_show(options.checkpoint, options.data, options.validation_file)
    if settings is None:
        raise ValueError("--turns must be given for a checkpoint without settings.yaml, which would name its corpus")
    validation = settings.load_corpus().validation
    if options.num_contexts > len(validation):
        allowed = f"at most {len(validation)}, all there are"
        raise ValueError(f"--num_contexts must be {allowed}, got {options.num_contexts}")
    chosen = np.random.default_rng(options.seed).choice(len(validation), options.num_contexts, replace=False)
    contexts = [[turn for turn in validation.contexts[i] if turn != BEGIN] for i in chosen]
    return list(zip(contexts, [validation.texts[i] for i in chosen], strict=True))


if __name__ == "__main__":
    run_script(main)
