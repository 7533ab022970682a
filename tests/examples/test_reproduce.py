"""examples/reproduce.py: what it hands to examples/evaluate.py."""

import runpy
import sys

import pytest
from untrained import SCRIPTS


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["reproduce.py", *arguments])
    runpy.run_path(str(SCRIPTS / "reproduce.py"), run_name="__main__")


def test_a_table_is_evaluated_with_the_options_given(monkeypatch):
    with pytest.raises(SystemExit, match="error: unknown row gan .*table4_smd has ldebm"):
        call(monkeypatch, "table4_smd", "--rows", "gan")


def test_other_names_are_answered_with_those_that_there_are(monkeypatch, capsys):
    for arguments in ([], ["table99"], ["--rows", "ldebm"]):
        with pytest.raises(SystemExit, match="one of table3, table4_daily_dialog, table4_smd, .*table9; got"):
            call(monkeypatch, *arguments)
    call(monkeypatch, "--help")
    assert "Tables: table3, table4_daily_dialog" in capsys.readouterr().out
