"""Answer in a dialogue with a trained model: one possible response for each of its symbols.

    ldebm respond outputs/smd_responses --turns "What's the weather like?" "For which city?"
    ldebm respond outputs/smd_responses --turns "Hello" --class_labels 3 17 --guidance_scale 2
    ldebm respond outputs/smd_responses --turns "Hello" --no_symbols --num_samples 5
    ldebm respond outputs/smd_responses --turns "Hello" --num_candidates 16 --num_beams 4
    ldebm respond outputs/smd_responses --num_contexts 3     # dialogues of its corpus

The user and the assistant speak alternately, the user first, unless a turn begins with `<usr>` or `<sys>`. Without
`--turns`, dialogues are drawn from the validation texts of the corpus that the model was trained on.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..model.dialogue_turns import BEGIN
from ..reports.tables import text_table
from ..training.saved_runs import find_checkpoint, settings_to_show
from .loading import load_pipeline
from .options import (
    add_checkpoint,
    check_symbols,
    code_options,
    corpus_options,
    json_options,
    make_parser,
    nothing_but_json,
    positive_integer,
    print_json,
    run_script,
    sampling_options,
    seed_options,
    symbol_options,
)

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel

CONTINUES = None


def main(arguments: list[str] | None = None) -> None:
    respond(read_options(build_parser(prog="ldebm respond"), arguments))


def build_parser(description: str | None = __doc__, prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of this command."""
    shared = symbol_options("all"), sampling_options(), seed_options(), corpus_options(), json_options()
    usage = "CHECKPOINT [--turns [TURN ...]] [options]"
    parser = make_parser(description, usage, *shared, code_options(), prog=prog)
    add_checkpoint(parser)
    add, number = parser.add_argument, {"type": positive_integer, "metavar": "N"}
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
    return parser


def read_options(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """The options of a command line; those that do not go together end the program."""
    options = parser.parse_args(arguments)
    check_symbols(parser, options)
    return options


def respond(options: argparse.Namespace) -> None:
    """Do what the options of [`build_parser`] ask for."""
    answers = []
    with nothing_but_json(options):
        # 1. The model.
        find_checkpoint(options.checkpoint)
        pipe = load_pipeline(options.checkpoint, options.trust_remote_code)
        if not pipe.model.config.context_size:
            raise ValueError(f"{options.checkpoint} holds a model without contexts: ldebm write writes with it")

        # 2. Which symbols to answer for, and how words are chosen.
        symbols = symbols_asked_for(pipe.model, options)
        asked: dict[str, Any] = {"num_samples": options.num_samples}
        if symbols is not None:
            asked = {"class_labels": symbols}
        decoding = decoding_options(options)

        # 3. Responses to each dialogue.
        for turns, said_next in dialogues(options):
            responses = pipe.respond(turns, **asked, generator=options.seed, **decoding)
            names = None
            if symbols is not None:
                names = [pipe.model.config.id2label[symbol] for symbol in symbols.tolist()]
            print_responses(turns, responses, names, said_next)
            answers.append({"turns": turns, "responses": responses, "symbols": names, "said_next": said_next})
    if options.json:
        print_json(answers)


def symbols_asked_for(model: LDEBMModel, options: argparse.Namespace) -> torch.Tensor | None:
    """The symbol of each response; `None` if the prior chooses."""
    if options.class_labels:
        symbols = model.symbol_ids(options.class_labels)
    elif model.has_symbols and not options.no_symbols:
        symbols = torch.arange(model.config.num_labels)
    else:
        return None
    return symbols.repeat_interleave(options.num_samples)


def decoding_options(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `respond` that were given."""
    decoding: dict[str, Any] = {"num_candidates": options.num_candidates}
    if options.do_sample:
        decoding["do_sample"] = True
    for name in ("num_beams", "guidance_scale"):
        if getattr(options, name) is not None:
            decoding[name] = getattr(options, name)
    return decoding


def print_responses(
    turns: list[str], responses: list[str], names: list[str] | None, said_next: str | None
) -> None:
    """Print a dialogue and the responses to it, with the names of their symbols."""
    for turn in turns:
        print(f"  {turn}")
    columns = {"response": responses}
    if names is not None:
        columns = {"symbol": names} | columns
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
    run_script(main, CONTINUES)
