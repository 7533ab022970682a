"""Put a trained model on the Hugging Face Hub, with tokenizer, code, results and a model card.

    hf auth login                                               # once, with a token that may write
    ldebm push outputs/demo me/requests                         # private
    ldebm push outputs/demo me/requests --public --revision v1
    ldebm push outputs/demo me/requests --merge                 # with the weights of base models
    ldebm push outputs/demo --card card.md                      # only the card, into a file

Anybody who may read the repository loads the model by `AutoModel.from_pretrained("me/requests",
trust_remote_code=True)`, with `revision="v1"` in the state of that tag. The card, README.md, is written anew from what
is in the folder (evaluation.json, report.json, ...), unless it was edited by hand. After an interruption the same
command continues.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import SAME_COMMAND, code_options, make_parser, run_script

CONTINUES = SAME_COMMAND


def main(arguments: list[str] | None = None) -> None:
    push_or_write_card(read_options(build_parser(prog="ldebm push"), arguments))


def build_parser(description: str | None = __doc__, prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of this command."""
    parser = make_parser(description, "FOLDER (REPO_ID | --card FILE) [options]", code_options(), prog=prog)
    parser.add_argument("folder", type=Path, help="folder of a trained model, as training leaves it")
    parser.add_argument("repo_id", nargs="?", help="owner/name; name alone is a repository of your own")
    visibility = parser.add_mutually_exclusive_group()
    visibility.add_argument("--private", action="store_true", help="only you see the repository (default)")
    visibility.add_argument("--public", action="store_true", help="everybody sees the repository")
    parser.add_argument("--revision", metavar="TAG", help="tag this state, for from_pretrained(..., revision=TAG)")
    parser.add_argument(
        "--token", help="token of the Hub (default: that of `hf auth login`, or the variable HF_TOKEN)"
    )
    parser.add_argument(
        "--merge", action="store_true", help="push the weights of a pretrained encoder and decoder too"
    )
    parser.add_argument("--card", type=Path, metavar="FILE", help="write the model card to a file, and push nothing")
    return parser


def read_options(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """The options of a command line; those that do not go together end the program."""
    options = parser.parse_args(arguments)
    if (options.repo_id is None) == (options.card is None):
        parser.error("give a repo_id to push to, or --card FILE")
    return options


def push_or_write_card(options: argparse.Namespace) -> None:
    """Do what the options of [`build_parser`] ask for."""
    from ..training.publishing import push, write_card  # for which `--help` need not wait

    if options.card is not None:
        if not write_card(options.folder, file=options.card):
            raise ValueError(f"{options.card} was edited by hand and stays as it is: remove it first")
        return
    address = push(
        options.folder,
        options.repo_id,
        private=not options.public,
        revision=options.revision,
        token=options.token,
        merge=options.merge,
        trust_remote_code=options.trust_remote_code,
    )
    print(address)


if __name__ == "__main__":
    run_script(main, CONTINUES)
