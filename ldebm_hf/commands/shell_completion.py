"""Completion of `ldebm` in a shell, by shtab, which makes a script of the commands and their options."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from importlib import import_module

from ..files.packaged import RECIPES, TABLES, packaged_names
from ..training.command_line import ALIASES, option_name
from ..training.settings import known_settings
from ..training.typed_values import allowed_words


def main(arguments: list[str], commands: Mapping[str, str]) -> None:
    """
    Print the script of completion for a shell.

    Args:
        arguments (`list[str]`): The name of the shell, such as bash.
        commands (`Mapping[str, str]`): By name of a command, which is that of a module of this folder, what it does.

    Raises:
        ImportError: shtab is not installed.
    """
    try:
        import shtab
    except ImportError as error:
        raise ImportError('completion needs shtab: pip install "ldebm_hf[completion]"') from error

    parser = ArgumentParser(prog="ldebm --print-completion")
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    options = parser.parse_args(arguments)
    print(shtab.complete(parser_of_all(commands), options.shell))


def parser_of_all(commands: Mapping[str, str]) -> ArgumentParser:
    """One parser with every command and option; files and folders are marked, for completion."""
    import shtab

    parser = ArgumentParser(prog="ldebm")
    parser.add_argument("--version", action="store_true")
    subparsers = parser.add_subparsers(dest="command")
    for name, text in commands.items():
        module = import_module(f"{__package__}.{name}")
        of_command = parser_of_settings() if name == "train" else module.build_parser(None)
        for action in of_command._actions:
            if action.dest in ("checkpoint", "folder", "run") or action.metavar == "FOLDER":
                action.complete = shtab.DIRECTORY
            elif action.metavar == "FILE" or action.dest == "data":
                action.complete = shtab.FILE
            elif action.dest == "config" and action.choices is None:
                action.choices = packaged_names(TABLES if name == "evaluate" else RECIPES)
        subparsers.add_parser(name, parents=[of_command], add_help=False, help=text)
    return parser


def parser_of_settings() -> ArgumentParser:
    """The settings of a training as options, with the words that they may be."""
    parser = ArgumentParser()
    parser.add_argument("--config", metavar="RECIPE")
    for name in ALIASES:
        parser.add_argument(f"--{name}")
    for full_name, item in known_settings().items():
        if option_name(full_name) not in ALIASES:
            words = [str(word) for word in allowed_words(item.type)]
            parser.add_argument(f"--{option_name(full_name)}", choices=words or None)
    return parser
