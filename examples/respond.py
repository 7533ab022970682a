"""Answer in a dialogue with a trained model: what could be said next, by symbol.

    python examples/respond.py outputs/smd_responses --turns "What's the weather like?" "For which city?"
    python examples/respond.py outputs/smd_responses --turns "Hello" --class_labels 3 17 --guidance_scale 2
    python examples/respond.py outputs/smd_responses --turns "Hello" --no_symbols --num_samples 5
    python examples/respond.py outputs/smd_responses --turns "Hello" --num_candidates 16 --num_beams 4
    python examples/respond.py outputs/smd_responses --num_contexts 3     # of the dialogues held out

Turns are by the user and the assistant in turn, the user first; `<usr>` or `<sys>` before one says it otherwise.
"""

import argparse
import sys

import numpy as np
import torch
from transformers import AutoTokenizer

from ldebm_hf import LDEBMModel
from ldebm_hf.model.dialogue_turns import BEGIN
from ldebm_hf.reports.tables import text_table
from ldebm_hf.training.saved_runs import find_checkpoint, settings_of


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="folder or Hub id")
    parser.add_argument("--turns", nargs="*", help="what was said, the oldest first; nothing: open a dialogue")
    parser.add_argument("--num_contexts", type=int, default=3, help="else so many of the corpus (default 3)")
    parser.add_argument("--class_labels", nargs="+", help="names or ids of symbols; default: all")
    parser.add_argument("--no_symbols", action="store_true", help="sample the prior without a symbol")
    parser.add_argument("--num_samples", type=int, default=1, help="responses, per symbol if any (default 1)")
    parser.add_argument("--num_candidates", type=int, default=1, help="write so many for each, keep the most typical")
    parser.add_argument("--num_beams", type=int, help="of the search for the likeliest words; default: the model's")
    parser.add_argument("--guidance_scale", type=float, help="how much to insist on the symbol; default: the model's")
    parser.add_argument("--do_sample", action="store_true", help="sample tokens instead of taking the likeliest")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.no_symbols and options.class_labels:
        parser.error("--no_symbols leaves nothing for --class_labels to choose")
    for name in ("num_samples", "num_contexts", "num_candidates", "num_beams"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    find_checkpoint(options.checkpoint)
    model = LDEBMModel.from_pretrained(options.checkpoint).to("cuda" if torch.cuda.is_available() else "cpu")
    if not model.config.context_size:
        raise ValueError(f"{options.checkpoint} holds a model without contexts: examples/generate.py writes with it")
    tokenizer = AutoTokenizer.from_pretrained(options.checkpoint)
    known = model.config.label2id
    names = options.class_labels or (sorted(known, key=known.get) if model.has_symbols else [])
    names = [] if options.no_symbols else [name for name in names for _ in range(options.num_samples)]
    decoding = {"num_candidates": options.num_candidates} | ({"do_sample": True} if options.do_sample else {})
    given = {"num_beams": options.num_beams, "guidance_scale": options.guidance_scale}
    decoding |= {name: value for name, value in given.items() if value is not None}
    asked = {"class_labels": names} if names else {"num_samples": options.num_samples}

    for turns, said_next in dialogues(options):
        for turn in turns:
            print(f"  {turn}")
        generator = torch.Generator().manual_seed(options.seed)
        responses = model.respond(turns, tokenizer, **asked, generator=generator, **decoding)
        columns = {"symbol": [str(name) for name in names]} if names else {}
        print(text_table(columns | {"response": responses}))
        print(f"{len(set(responses))} of {len(responses)} responses are distinct")
        print(f"what was said: {said_next}\n" if said_next else "")


def dialogues(options: argparse.Namespace) -> list[tuple[list[str], str | None]]:
    """The turns given, or some of the corpus's validation split, each with what was said next."""
    if options.turns is not None:
        return [(options.turns, None)]
    settings = settings_of(options.checkpoint)
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
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
