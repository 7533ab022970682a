"""examples/respond.py as a user calls it, in this process."""

import json

import pytest
from untrained import load_script, save_untrained

from ldebm_hf import LDEBMModel
from ldebm_hf.training.settings import DataSettings

TURNS = [("driver", "will it rain"), ("assistant", "in which city"), ("driver", "in vienna"), ("assistant", "no")]
OF_CONTEXTS = {"context_size": 8, "context_hidden_size": 4}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    """An untrained model of a tiny release, with its settings beside it."""
    folder = tmp_path_factory.mktemp("responses")
    turns = [{"turn": speaker, "data": {"utterance": text}} for speaker, text in TURNS]
    entry = {"dialogue": turns, "scenario": {"task": {"intent": "weather"}}}
    for name in ("train", "dev"):
        (folder / f"kvret_{name}_public.json").write_text(json.dumps([entry] * 4))
    data = DataSettings(source="smd", data_dir=str(folder), context_turns=3)
    return save_untrained(folder, data.load_corpus(), data=data, num_symbols=3, **OF_CONTEXTS)


def call(capsys, script, *arguments) -> str:
    load_script(script).main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def test_one_response_for_every_symbol(checkpoint, capsys):
    shown = call(capsys, "respond", checkpoint, "--turns", "will it rain", "in vienna")
    assert shown.startswith("  will it rain\n  in vienna\n") and shown.count("LABEL_") == 3


def test_how_responses_are_chosen(checkpoint, capsys, monkeypatch):
    asked = {}

    def respond(self, turns, tokenizer, **options):
        asked.update(options)
        return ["yes"]

    monkeypatch.setattr(LDEBMModel, "respond", respond)
    options = ["--num_candidates", 4, "--num_beams", 2, "--guidance_scale", 3]
    call(capsys, "respond", checkpoint, "--turns", "will it rain", "--no_symbols", *options)
    assert (asked["num_candidates"], asked["num_beams"], asked["guidance_scale"]) == (4, 2, 3)
    with pytest.raises(SystemExit):
        call(capsys, "respond", checkpoint, "--turns", "will it rain", "--num_candidates", 0)
    assert "argument --num_candidates: must be an integer of at least 1, got 0" in capsys.readouterr().err


def test_contexts_of_the_corpus(checkpoint, capsys):
    shown = call(capsys, "respond", checkpoint, "--num_contexts", 2, "--no_symbols")
    assert shown.count("what was said: <") == 2 and "LABEL_" not in shown
    again = call(capsys, "respond", checkpoint, "--num_contexts", 2, "--no_symbols")
    assert again == shown


def test_however_many_turns_and_none(checkpoint, capsys):
    turns = [f"{word} in vienna" for word in ("rain", "will", "no", "it", "city")] * 100
    long = call(capsys, "respond", checkpoint, "--class_labels", 2, 0, "--turns", *turns)
    short = call(capsys, "respond", checkpoint, "--class_labels", 2, 0, "--turns", *turns[-4:])
    assert long.splitlines()[500:] == short.splitlines()[4:], "the model reads three turns of both"
    opening = call(capsys, "respond", checkpoint, "--no_symbols", "--turns")
    assert "1 of 1 responses are distinct" in opening and not opening.startswith("  ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--turns", "will it", " "], r"turns\[1\] must contain a word, got ' '"),
        (["--turns", "<usr>"], r"turns\[0\] must contain a word"),
        (["--turns", "will it", "--class_labels", "3"], "class_labels must be in 0..2 or one of .*; got '3'"),
        (["--num_contexts", "17"], "--num_contexts must be at most 16, all there are, got 17"),
    ],
)
def test_what_cannot_be_answered(checkpoint, capsys, arguments, message):
    with pytest.raises(ValueError, match=message):
        call(capsys, "respond", checkpoint, *arguments)


def test_other_models_and_symbols_are_refused(checkpoint, capsys, tmp_path):
    with pytest.raises(ValueError, match="class_labels must be in .* got 'angry'"):
        call(capsys, "respond", checkpoint, "--turns", "--class_labels", "angry")
    with pytest.raises(ValueError, match="holds a model with contexts: ldebm respond"):
        call(capsys, "generate", checkpoint)
    without = save_untrained(tmp_path, None, texts=["a b"], names=["x", "y"])
    with pytest.raises(ValueError, match="holds a model without contexts"):
        call(capsys, "respond", without)
