"""Shared options: what they read and refuse, and how a script ends."""

import os
import re
import signal
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from clean_processes import StartedPython, run_python
from tiny_base_models import own_encoder
from transformers import AutoModel

from ldebm_hf.commands.options import (
    SAME_COMMAND,
    code_options,
    exit_if_failed,
    experiment_options,
    folder_name,
    list_of,
    make_parser,
    positive_integer,
    run_script,
    scoring_options,
)
from ldebm_hf.model.base_model_files import BaseModelFiles
from ldebm_hf.training import DivergenceError
from ldebm_hf.training.command_line import load_settings


def test_lists_are_separated_by_commas():
    assert list_of(int)("0, 1,2,") == [0, 1, 2] and list_of(str)("a,b c") == ["a", "b c"]
    for kind, text in ((int, "1,x"), (float, ""), (str, " , ")):
        with pytest.raises(ArgumentTypeError, match=f"of type {kind.__name__} separated by commas, got '{text}'"):
            list_of(kind)(text)


def test_numbers_below_one_and_other_texts_are_refused():
    assert positive_integer("12") == 12
    for text in ("0", "-3", "1.5", "many", ""):
        with pytest.raises(ArgumentTypeError, match=f"must be an integer of at least 1, got {text}"):
            positive_integer(text)


def test_parsers_share_options_with_defaults_of_their_own(capsys):
    shared = scoring_options(), experiment_options("out/x")
    parser = make_parser("What it does.\n\n    an example", "[options]", *shared)
    options = parser.parse_args(["--set", "a.b=1", "--set", "c.d=2", "e.f=3"])
    assert options.set == ["a.b=1", "c.d=2", "e.f=3"] and str(options.output_dir) == "out/x" and options.jobs == 1
    assert parser.parse_args([]).set == [], "nothing is kept from one call to the next"
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    printed = capsys.readouterr().out
    assert "What it does.\n\n    an example\n" in printed and "default out/x" in printed


USERS_ERRORS = [
    ValueError("no"),
    FileNotFoundError("no"),
    ImportError("no"),
    DivergenceError("loss", step=3, value=float("inf"), checkpoint=None),
]


@pytest.mark.parametrize("error", USERS_ERRORS, ids=lambda error: type(error).__name__)
def test_errors_that_a_user_can_mend_are_one_line(error):
    def fail():
        raise error

    with pytest.raises(SystemExit) as stop:
        run_script(fail)
    assert str(stop.value) == f"error: {error}"


def test_a_mistake_in_the_code_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run_script(lambda: 1 / 0)


@pytest.fixture
def handler_stays():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_interrupted_and_terminated_scripts_say_how_to_continue(handler_stays):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match="^interrupted$"):
        run_script(interrupt)
    with pytest.raises(SystemExit, match=f"^interrupted; {SAME_COMMAND}$"):
        run_script(interrupt, continues=SAME_COMMAND)
    with pytest.raises(SystemExit, match=f"^terminated; {SAME_COMMAND}$"):
        run_script(lambda: os.kill(os.getpid(), signal.SIGTERM), continues=SAME_COMMAND)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_scripts_print_what_the_terminal_cannot_encode_with_replacement(encoding, tmp_path):
    script = """
from ldebm_hf.commands.options import run_script

def main():
    print("é 好 ±")
    raise ValueError("no column 'текст'")

run_script(main)
"""
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = run_python([tmp_path / "script.py"], environment=environment, encoding=encoding)
    expected = "é 好 ±".encode(encoding, "replace").decode(encoding)
    assert run.returncode == 1 and run.stdout.strip() == expected
    assert run.stderr.strip().endswith("error: no column '?????'")


def test_failed_runs_are_told_and_end_the_script(capsys):
    exit_if_failed({})
    with pytest.raises(SystemExit, match="^2 of the runs failed; the same command tries them again$"):
        exit_if_failed({("vae", 0): "out of luck", ("ae", 1): "no space"})
    assert capsys.readouterr().err == "failed: vae, seed 0: out of luck\nfailed: ae, seed 1: no space\n"


def test_an_empty_name_is_not_the_current_folder():
    assert folder_name("outputs/mine") == Path("outputs/mine") and folder_name(".") == Path()
    for empty in ("", " "):
        with pytest.raises(ArgumentTypeError, match="must name a folder"):
            folder_name(empty)
    assert experiment_options("outputs/table").parse_args([]).output_dir == Path("outputs/table")
    with pytest.raises(SystemExit):
        experiment_options("outputs/table").parse_args(["--output_dir", ""])


def test_advice_about_code_of_base_models_can_be_taken():
    files = BaseModelFiles("encoder", AutoModel, str(own_encoder()), None, False)
    with pytest.raises(ValueError) as error:
        files.read_config()
    advice = re.search(r"on the command line (.*), to train (.*)\)$", str(error.value))
    assert code_options().parse_args(advice[1].split()).trust_remote_code is True
    assert load_settings(advice[2].split()).training.trust_remote_code is True


@pytest.mark.skipif(os.name == "nt", reason="pipes are closed in another way")
@pytest.mark.parametrize("lines", [1, 20_000])
def test_nobody_reads_to_the_end(lines, tmp_path):
    print_much = f"from ldebm_hf.commands.options import run_script; run_script(lambda: print('line\\n' * {lines}))"
    nobody, pipe = os.pipe()
    os.close(nobody)
    with (tmp_path / "errors").open("w") as errors:
        process = StartedPython(["-c", print_much], output=pipe, errors=errors.fileno())
    os.close(pipe)
    assert (process.wait(), (tmp_path / "errors").read_text()) == (0, "")
