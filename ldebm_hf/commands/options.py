"""Options that several commands share, and how a command ends."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.utils.logging import disable_progress_bar

from ..files.printing import print_with_replacement
from ..training.errors import DivergenceError, LostProcessError
from ..training.float32_products import float32_products

if TYPE_CHECKING:
    from ..experiments.experiment_runs import Failures

ERRORS = (DivergenceError, LostProcessError, ValueError, OSError, ImportError)
"""Errors that a user can mend, and for which one line is enough."""
GUIDANCE_HELP = "how strongly to steer towards the symbol (default: the model's)"
RESAMPLING_HELP = "resample texts whose probability of the requested label is below P"
SAME_COMMAND = "the same command continues where this one stopped"


def make_parser(description: str | None, usage: str, *parents: ArgumentParser, **options: Any) -> ArgumentParser:
    """
    Make the parser of a command.

    Args:
        description (`str`): The docstring of the command or script, which `--help` shows as it is.
        usage (`str`): What follows the name in the first line of `--help`.
        parents (`ArgumentParser`): Parsers with shared options, from this file.
        options: Further arguments of `ArgumentParser`; `prog` is the name, by default that of the program.
    """
    layout = partial(RawDescriptionHelpFormatter, max_help_position=30)
    return ArgumentParser(
        usage=f"%(prog)s {usage}", description=description, parents=parents, formatter_class=layout, **options
    )


def run_script(main: Callable[[], None], continues: str | None = None) -> None:
    """
    Run a script's `main`, and end with one line and exit code 1 if it fails, is interrupted or is terminated.
    Characters that standard output cannot encode are printed as question marks. Without a GPU, float32 matrices
    are multiplied as fast as the CPU can without losing digits ([`float32_products`]).

    Args:
        main (callable): What the script does.
        continues (`str`, *optional*): How to continue after an interruption, in words; a script that has nothing to
            continue gives none.
    """

    def terminate(signum: int, frame: object) -> None:
        # What launchers send when another process has died, and schedulers before they take the machine away.
        sys.exit(f"terminated; {continues}")

    disable_progress_bar()  # of loading and saving models; the scripts have bars of their own
    print_with_replacement()
    if continues is not None:
        signal.signal(signal.SIGTERM, terminate)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with float32_products("auto", device):
            main()
        sys.stdout.flush()
    except ERRORS as error:
        if isinstance(error, BrokenPipeError) and is_output_closed():
            return
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted" if continues is None else f"interrupted; {continues}")


def is_output_closed() -> bool:
    """Whether nobody reads standard output any more, as after `| head`; what is left to print then goes nowhere."""
    if not hasattr(select, "poll"):  # Windows, where a closed pipe is another error
        return False
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)  # only what is wrong with it is asked for
    if not output.poll(0):
        return False
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return True


# 1. Types of options.


def positive_integer(text: str) -> int:
    """Read an integer of at least 1."""
    if not text.strip().lstrip("-").isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"must be an integer of at least 1, got {text}")
    return int(text)


def folder_name(text: str) -> Path:
    """Read the name of a folder; an empty one would be the current folder."""
    if not text.strip():
        raise ArgumentTypeError("must name a folder (. is the current one), got an empty name")
    return Path(text)


def list_of(kind: type) -> Callable[[str], list]:
    """Return a function that reads values separated by commas; at least one is needed."""

    def read(text: str) -> list:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        try:
            values = [kind(part) for part in parts]
        except ValueError:
            values = []
        if not values:
            raise ArgumentTypeError(f"must be values of type {kind.__name__} separated by commas, got {text!r}")
        return values

    return read


# 2. Options that several scripts have. Each function returns a parser for `parents`.


def add_checkpoint(parser: ArgumentParser, has_default: bool = False) -> None:
    """Add the model that a command uses; with a default, it need not be given."""
    if has_default:
        parser.add_argument(
            "checkpoint", nargs="?", help="folder or Hub id (default: the one that comes with the page)"
        )
    else:
        parser.add_argument("checkpoint", help="folder or Hub id")


def data_options() -> ArgumentParser:
    """Where labelled texts come from; what is not given is `None`."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--data_dir", metavar="FOLDER", help="folder with the release files of a known data set")
    parser.add_argument("--text_column", metavar="NAME", help="column of the texts (default: text)")
    parser.add_argument("--label_column", metavar="NAME", help="column of the labels, empty where unknown")
    return parser


def corpus_options() -> ArgumentParser:
    """The files of the corpus that a model was trained on, if they are the user's own; what is not given is `None`."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="the file that the model was trained on; one that its settings name is read only if it is given here too",
    )
    parser.add_argument("--validation_file", metavar="FILE", help="likewise, the file of its validation texts")
    return parser


def symbol_options(default: str) -> ArgumentParser:
    """Which symbols to write for, and how strongly texts are steered to them.

    Args:
        default (`str`): What happens without `--class_labels`, in words.
    """
    parser = ArgumentParser(add_help=False)
    parser.add_argument(
        "--class_labels",
        nargs="+",
        metavar="SYMBOL",
        help=f"names of symbols, or ids where no name is a number (default: {default})",
    )
    parser.add_argument("--guidance_scale", type=float, metavar="SCALE", help=GUIDANCE_HELP)
    return parser


def sampling_options() -> ArgumentParser:
    """Whether symbols are chosen, and how words are."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--no_symbols", action="store_true", help="sample the prior without choosing a symbol")
    parser.add_argument("--do_sample", action="store_true", help="draw each word instead of taking the likeliest")
    return parser


def code_options() -> ArgumentParser:
    """Whether code of the pretrained models that a model names may be run."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument(
        "--trust_remote_code",
        action="store_true",
        help="run code from the repositories of the pretrained encoder and decoder that the model names",
    )
    return parser


def seed_options() -> ArgumentParser:
    """The seed of a script's draws."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--seed", type=int, default=0, help="seed of all draws (default 0)")
    return parser


def scoring_options() -> ArgumentParser:
    """What a model is scored with."""
    parser = ArgumentParser(add_help=False)
    group = parser.add_argument_group("scores")
    group.add_argument("--data_dir", metavar="FOLDER", help="folder with the release files of the data set")
    group.add_argument("--judge", metavar="MODEL", help="text classifier, folder or Hub id, that judges written texts")
    group.add_argument(
        "--acceptability_judge",
        metavar="MODEL",
        help="text classifier with a class `acceptable`, to measure with how many written texts are acceptable",
    )
    group.add_argument(
        "--language_model", metavar="FOLDER", help="model of preset rnn_lm, to measure perplexities with"
    )
    group.add_argument(
        "--num_samples", type=positive_integer, metavar="N", help="number of texts to write per class (default 500)"
    )
    return parser


def held_out_options() -> ArgumentParser:
    """Which held-out texts are scored, and further options of scores."""
    parser = ArgumentParser(add_help=False)
    group = parser.add_argument_group("scores")
    group.add_argument("--split", default="validation", help="split to score (default validation)")
    group.add_argument(
        "--word_vectors", metavar="FILE", help="word vectors in GloVe's format, to score responses with"
    )
    group.add_argument("--guidance_scales", type=list_of(float), metavar="A,B", help="steering strengths to compare")
    return parser


def experiment_options(output_dir: str) -> ArgumentParser:
    """How the runs of an experiment are trained.

    Args:
        output_dir (`str`): Default of `--output_dir`.
    """
    parser = ArgumentParser(add_help=False)
    group = parser.add_argument_group("runs")
    group.add_argument(
        "--seeds",
        type=list_of(int),
        default=[0],
        metavar="A,B",
        help="seeds; each row has one run per seed (default 0)",
    )
    group.add_argument(
        "--output_dir",
        type=folder_name,
        default=Path(output_dir),
        metavar="FOLDER",
        help=f"folder of the runs (default {output_dir})",
    )
    group.add_argument(
        "--jobs",
        type=positive_integer,
        default=1,
        metavar="N",
        help="number of runs at a time, each in a process with one thread",
    )
    changes = {"nargs": "+", "action": "extend", "default": [], "metavar": "SECTION.NAME=VALUE"}
    group.add_argument("--set", **changes, help="settings of every run, as in a recipe")
    group.add_argument("--train_only", action="store_true", help="train and score, but write no report")
    return parser


def json_options() -> ArgumentParser:
    """Whether the result is printed as JSON, for other programs."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--json", action="store_true", help="print the result as JSON, and all else on standard error")
    return parser


@contextmanager
def nothing_but_json(options: Namespace) -> Iterator[None]:
    """With `--json`, whatever is printed inside goes to standard error."""
    with redirect_stdout(sys.stderr) if options.json else nullcontext():
        yield


def print_json(value: Any) -> None:
    """Print a value as JSON; figures that JSON does not know, such as NaN, as null."""
    print(json.dumps(plain_numbers(value), indent=1, ensure_ascii=False, allow_nan=False))


def plain_numbers(value: Any) -> Any:
    """The same value with `None` for floats that are not finite."""
    if isinstance(value, Mapping):
        return {str(name): plain_numbers(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_numbers(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_symbols(parser: ArgumentParser, options: Namespace) -> None:
    """End with an error if `--class_labels` and `--no_symbols` are both given."""
    if options.no_symbols and options.class_labels:
        parser.error("--class_labels and --no_symbols exclude each other")


def exit_if_failed(failures: Failures) -> None:
    """Print why runs failed, and end with exit code 1 if any did."""
    for (row, seed), reason in failures.items():
        print(f"failed: {row}, seed {seed}: {reason}", file=sys.stderr)
    if failures:
        sys.exit(f"{len(failures)} of the runs failed; the same command tries them again")
