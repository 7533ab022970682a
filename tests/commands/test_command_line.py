"""The command `ldebm`: its help, its errors, its JSON, and that it does what the scripts of examples/ do."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from clean_processes import StartedPython
from untrained import load_script, save_untrained

import ldebm_command
from ldebm_hf.commands.options import print_json
from ldebm_hf.data import load_corpus

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT_OF = {"write": "generate"}
"""Scripts of other names than their commands."""
HEIGHT, WIDTH = 30, 119
"""Lines and columns of a screen."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return save_untrained(tmp_path_factory.mktemp("checkpoint"), load_corpus("synthetic"))


def printed_by(capsys, *words: str) -> str:
    ldebm_command.main([str(word) for word in words])
    return capsys.readouterr().out


def test_help_fits_a_screen_and_loads_no_pytorch():
    script = "import sys, ldebm_command as c; c.main(['--help']); print('torch' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert done.stderr.strip() == "False"
    assert len(lines) <= HEIGHT and max(map(len, lines)) <= WIDTH
    assert "ldebm train --config texts --data my.csv" in done.stdout
    assert all(re.search(rf"(?m)^  {name}  ", done.stdout) for name in ldebm_command.COMMANDS)


def test_version_and_no_words(capsys):
    assert printed_by(capsys, "--version").startswith("ldebm_hf 0.")
    ldebm_command.main([])
    assert capsys.readouterr().out == ldebm_command.describe()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trian", "error: there is no command 'trian': did you mean train?"),
        ("generate", "error: there is no command 'generate': did you mean write?"),
        ("zzzzz", "error: there is no command 'zzzzz': the commands are train, explain, "),
    ],
)
def test_unknown_commands_are_one_line_with_the_nearest(capsys, name, message):
    with pytest.raises(SystemExit) as stop:
        ldebm_command.main([name])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.startswith(message) and error.count("\n") == 1


def test_help_may_come_before_the_command(capsys):
    ldebm_command.main(["train", "--help"])
    expected = capsys.readouterr().out
    ldebm_command.main(["help", "train"])
    assert capsys.readouterr().out == expected
    with pytest.raises(SystemExit):
        ldebm_command.main(["help", "trane"])
    assert "did you mean train?" in capsys.readouterr().err


def test_help_of_train_is_short_and_help_all_has_every_setting(capsys):
    short = printed_by(capsys, "train", "--help")
    with pytest.raises(SystemExit):
        ldebm_command.main(["train", "--help-all"])
    all_of_it = capsys.readouterr().out
    assert len(short.splitlines()) <= 45 and max(map(len, short.splitlines())) <= WIDTH
    assert "ldebm train --config texts" in short and "--num_symbols" in short and "--langevin_steps" not in short
    assert "--langevin_steps" in all_of_it and "texts_pretrained" in short


@pytest.mark.parametrize("name", [name for name in ldebm_command.COMMANDS if name != "train"])
def test_help_of_each_command_begins_with_its_usage_and_teaches_by_example(capsys, name):
    with pytest.raises(SystemExit):
        ldebm_command.main([name, "--help"])
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: ldebm {name} ") and f"\n    ldebm {name} " in printed
    assert "examples/" not in printed


def test_a_mistake_ends_with_one_line(capsys):
    with pytest.raises(SystemExit, match=r"^error: there is no recipe 'dmo' \(--config\): did you mean demo"):
        ldebm_command.main(["train", "--config", "dmo"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("write", ["--num_samples", "2", "--class_labels", "weather"]),
        ("write", ["--text", "will it rain"]),
        ("complete", ["--text", "will it <mask>", "--num_chains", "2", "--num_rounds", "1", "--num_beams", "4"]),
        ("classify", ["--text", "will it rain"]),
        ("explain", ["--max_texts", "50", "--num_samples", "1"]),
        ("likelihood", ["--max_examples", "2", "--num_posterior_samples", "50", "--overwrite"]),
        ("distil", ["--num_steps", "2", "--num_chains", "20"]),
    ],
)  # fmt: skip
def test_commands_print_what_the_scripts_print(capsys, checkpoint, name, words):
    by_command = printed_by(capsys, name, checkpoint, *words)
    load_script(SCRIPT_OF.get(name, name)).main([checkpoint, *words])
    assert capsys.readouterr().out == by_command != ""


def test_what_prints_tables_prints_json_and_nothing_else(capsys, checkpoint, tmp_path):
    def values(*words):
        return json.loads(printed_by(capsys, *words, "--json"))

    written = values("write", checkpoint, "--class_labels", "weather", "--num_samples", "2")
    assert [one["requested"] for one in written] == ["weather"] * 2 and written[0].keys() >= {"text", "read"}
    (read,) = values("classify", checkpoint, "--text", "will it rain")
    assert read["text"] == "will it rain" and sum(one["score"] for one in read["labels"]) == pytest.approx(1)
    (tmp_path / "mine.csv").write_text("text\nwill it rain\nplay jazz\n")
    table = ["--input_file", tmp_path / "mine.csv", "--output_file", tmp_path / "named.csv"]
    summary = values("classify", checkpoint, *table)
    assert summary["texts"] == 2 == sum(summary["labels"].values())
    explained = values("explain", checkpoint, "--max_texts", "50", "--num_samples", "1")
    assert [symbol["id"] for symbol in explained["symbols"]] == list(range(len(explained["symbols"])))
    estimate = values("likelihood", checkpoint, "--max_examples", "2", "--num_posterior_samples", "50", "--overwrite")
    assert estimate["num_examples"] == 2 and "lower" in estimate
    scores = values("evaluate", checkpoint, "--set", "data.max_validation_examples=20")
    assert isinstance(scores["label_v_measure"], float)
    distilled = values("distil", checkpoint, "--num_steps", "2", "--num_chains", "20", "--hidden_size", "5")
    assert distilled["distilled_sampler"]["hidden_size"] == 5 and 1 <= distilled["levels"][0]["effective_sample_size"]
    fast = ["--num_chains", "2", "--num_rounds", "1", "--num_beams", "4"]
    (completed,) = values("complete", checkpoint, "--text", "will it <mask>", *fast)
    assert len(completed["completions"]) == 3


def test_json_has_null_for_what_is_no_number(capsys):
    print_json({"a": float("nan"), "b": [1.5, float("inf")], 3: "x"})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.5, None], "3": "x"}


def test_completion_knows_commands_options_and_recipes(capsys):
    pytest.importorskip("shtab")
    printed = printed_by(capsys, "--print-completion", "bash")
    assert "_shtab_ldebm_train" in printed and "--langevin_steps" in printed and "texts_pretrained" in printed
    assert "table4_smd" in printed and "--min_label_probability" in printed
    with pytest.raises(SystemExit):
        ldebm_command.main(["--print-completion", "cmd"])


def test_the_page_names_what_it_needs(monkeypatch):
    from ldebm_hf.commands import page

    monkeypatch.setattr(page, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r'the page needs gradio and matplotlib: pip install "ldebm_hf\[demo\]"'):
        ldebm_command.main(["page", "outputs/demo"])


def test_the_page_shows_what_is_named_by_words_by_the_environment_or_by_the_caller(monkeypatch):
    pytest.importorskip("gradio")
    from ldebm_hf.commands import page
    from ldebm_hf.web.page import serving

    shown = []
    monkeypatch.setattr(serving, "serve", lambda checkpoints, **options: shown.append((checkpoints, options)))
    ldebm_command.main(["page", "outputs/a", "outputs/b", "--port", "7861", "--data", "my.csv"])
    assert shown.pop() == (["outputs/a", "outputs/b"], {"priors": None, "data": "my.csv", "host": None, "port": 7861})
    page.main([], checkpoints=["shipped"], priors="priors")
    checkpoints, options = shown.pop()
    assert checkpoints == ["shipped"] and options["priors"] == "priors"
    monkeypatch.setenv("LDEBM_CHECKPOINT", "me/texts, outputs/a,")
    monkeypatch.setenv("LDEBM_PRIORS", "others")
    page.main([], checkpoints=["shipped"], priors="priors")
    checkpoints, options = shown.pop()
    assert checkpoints == ["me/texts", "outputs/a"] and options["priors"] == "others"
    page.main(["outputs/b"], checkpoints=["shipped"])
    assert shown.pop()[0] == ["outputs/b"]


def test_two_processes_train_by_the_module(tmp_path):
    """With the variables that torchrun sets; how it ends the processes, test_processes.py of tests/training checks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "embedding_size": 8, "encoder_hidden_size": 8, "decoder_hidden_size": 8, "latent_size": 4,
        "energy_hidden_size": 8, "energy_num_blocks": 1, "langevin_steps": 2, "max_train_examples": 64,
        "max_validation_examples": 16, "max_steps": 2, "output_dir": tmp_path / "out",
    }  # fmt: skip
    words = [str(word) for name, value in settings.items() for word in (f"--{name}", value)]
    command = ["-m", "ldebm_hf.commands.train", "--config", "demo", *words]
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY), "ACCELERATE_USE_CPU": "true", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    with (tmp_path / "printed").open("w") as printed:
        ranks = [
            StartedPython(command, tmp_path, environment | {"RANK": rank, "LOCAL_RANK": rank}, *2 * [printed.fileno()])
            for rank in ("0", "1")
        ]
    codes = [process.wait(timeout=200) for process in ranks]
    text = (tmp_path / "printed").read_text()
    assert codes == [0, 0], text
    assert text.count(f"The best model is in {tmp_path / 'out'}") == 1
    assert json.loads((tmp_path / "out" / "run.json").read_text())["hardware"]["processes"] == 2
