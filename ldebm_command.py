"""The command `ldebm`: what it can do, and which module of the package does it.

This module lies beside the package, because importing the package loads PyTorch, and `ldebm --help` need not wait for
that.
"""

from __future__ import annotations

import difflib
import sys
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any

COMMANDS = {
    "train": "train a model, or continue a training that was interrupted",
    "explain": "what the symbols are about: a table, and report.html",
    "write": "write texts for symbols, or reconstruct given texts",
    "classify": "find the symbols of texts, or label a table with few labels",
    "complete": "fill in the words that are missing from texts",
    "respond": "answer in a dialogue",
    "evaluate": "score a model on held-out texts",
    "likelihood": "bound the likelihood of held-out texts or points",
    "reproduce": "reproduce a table of the paper",
    "distil": "make a sampler without gradients, for writing many texts",
    "push": "put a model on the Hugging Face Hub, with its model card",
    "page": "show a model on a page in the browser",
}
OTHER_NAMES = {
    "answer": "respond",
    "demo": "page",
    "distill": "distil",
    "fit": "train",
    "generate": "write",
    "predict": "classify",
    "push_to_hub": "push",
    "report": "explain",
    "sample": "write",
    "score": "evaluate",
    "serve": "page",
    "upload": "push",
}
"""What people may call a command, and its name."""
COMPLETION = "--print-completion"
HELP = f"""\
usage: ldebm COMMAND [options]

Find symbols in texts, read them, and write new texts for them, with a latent diffusion energy-based model.

  ldebm train --config texts --data my.csv --text_column body --num_symbols 30
  ldebm explain outputs/texts --data my.csv
  ldebm write outputs/texts --class_labels 4 --num_samples 10

commands:
{{commands}}

  ldebm COMMAND --help       examples and options of a command
  ldebm train --help-all     all settings of a training
  ldebm --version            the version of the package
  ldebm {COMPLETION} bash > ~/.local/share/bash-completion/completions/ldebm
                             words after TAB, from the next shell on; also for zsh, fish and others
"""


def describe() -> str:
    """The text of `ldebm --help`."""
    return HELP.format(commands="\n".join(f"  {name:<12}{text}" for name, text in COMMANDS.items()))


def unknown_command(name: str) -> str:
    """What is wrong with a command that does not exist, with the nearest one."""
    names = [*COMMANDS, *OTHER_NAMES]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"error: there is no command {name!r}: did you mean {OTHER_NAMES.get(close[0], close[0])}?"
    return f"error: there is no command {name!r}: the commands are {', '.join(COMMANDS)}"


def main(arguments: list[str] | None = None) -> None:
    """
    Run a command.

    Args:
        arguments (`list[str]`, *optional*): The words after `ldebm`; defaults to the program's own.

    Raises:
        SystemExit: With code 2 for a command that does not exist, else as the command ends.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["help"] and len(words) > 1:
        words = [words[1], "--help"]
    name = words[0] if words else "--help"
    if name in ("-h", "--help", "help"):
        print(describe(), end="")
    elif name in ("-V", "--version"):
        print(f"ldebm_hf {version('ldebm_hf')}")
    elif name in COMMANDS:
        module = import_module(f"ldebm_hf.commands.{name}")
        run_script(partial(module.main, words[1:]), module.CONTINUES)
    elif name == COMPLETION:
        module = import_module("ldebm_hf.commands.shell_completion")
        run_script(partial(module.main, words[1:], COMMANDS))
    else:
        print(unknown_command(name), file=sys.stderr)
        raise SystemExit(2)


def run_script(*arguments: Any) -> None:
    """Run a command as scripts are run; arguments as there."""
    import_module("ldebm_hf.commands.options").run_script(*arguments)


if __name__ == "__main__":
    main()
