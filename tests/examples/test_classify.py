"""examples/classify.py as a user calls it."""

import contextlib
import csv
import io
import json
import random
import re
import runpy
from pathlib import Path

import pytest
import yaml
from tiny_base_models import bert

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "classify.py"
BY_WORDS = ["--config", "documents"]
WORDS = {"weather": "cold wet windy storm", "sport": "ball goal team match"}
TINY = {
    "preset": "di_vae",  # learns in fewer steps than the default
    "document_hidden_size": 16,
    "document_dropout": 0,
    "num_train_epochs": 12,
    "learning_rate": 0.02,
    "per_device_train_batch_size": 16,
    "validation_fraction": 0.25,
}
TINY_TEXTS = {
    "embedding_size": 8,
    "encoder_hidden_size": 16,
    "decoder_hidden_size": 8,
    "latent_size": 4,
    "energy_hidden_size": 8,
    "energy_num_blocks": 1,
    "langevin_steps": 2,
    "num_train_epochs": 1,
    "per_device_train_batch_size": 16,
}


@pytest.fixture(scope="module")
def run():
    return runpy.run_path(str(SCRIPT))["main"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, run) -> Path:
    """A table with a label in every sixth row, and what one command makes of it."""
    folder = tmp_path_factory.mktemp("classify")
    rows = ["id,body,kind"]
    for i in range(96):
        kind, words = list(WORDS.items())[i % 2]
        chosen = " ".join(words.split()[j % 4] for j in range(i, i + 3))
        rows.append(f'{i},"{chosen}, item {i}",{kind if i % 12 < 2 else ""}')
    (folder / "mine.csv").write_text("\n".join(rows) + "\n")
    settings = [f"--{name}={value}" for name, value in TINY.items()]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run(command(folder, "named.csv") + ["--label_column", "kind", *BY_WORDS, *settings])
    (folder / "printed.txt").write_text(printed.getvalue())
    return folder


def command(folder: Path, output: str) -> list[str]:
    table = ["--input_file", str(folder / "mine.csv"), "--text_column", "body"]
    return [str(folder / "model"), *table, "--output_file", str(folder / output)]


def test_one_command_names_a_table_with_few_labels(folder):
    with (folder / "named.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "body", "kind", "predicted_label", "predicted_score"]
    assert [row["id"] for row in rows] == [str(i) for i in range(96)] and rows[0]["body"].endswith("item 0")
    right = [row["predicted_label"] == list(WORDS)[i % 2] for i, row in enumerate(rows)]
    assert sum(right) > 90 and all(0.5 <= float(row["predicted_score"]) <= 1 for row in rows)


def test_rows_without_a_label_are_taught_the_class_of_their_words(folder):
    lines = [json.loads(line) for line in (folder / "model" / "metrics.jsonl").read_text().splitlines()]
    assert {line["values"]["clusters_used"] for line in lines if line["split"] == "clustering"} == {2}
    assert "the others' by naive Bayes over words" in (folder / "model" / "README.md").read_text()
    assert "steps are few" in (folder / "printed.txt").read_text()


def test_training_says_how_good_its_names_are(folder):
    printed = (folder / "printed.txt").read_text()
    found = re.search(r"(\d+) held-out texts .* ([\d.]+)% right.* ([\d.]+)% \(ECE\)", printed)
    count, accuracy, error = map(float, found.groups())
    assert 0 < count < 16 and accuracy == 100 and 0 <= error < 50


def test_a_trained_model_is_used_as_it_is(folder, run, capsys):
    weights = (folder / "model" / "model.safetensors").stat().st_mtime_ns
    run(command(folder, "named.jsonl"))
    rows = [json.loads(line) for line in (folder / "named.jsonl").read_text().splitlines()]
    assert len(rows) == 96 and rows[1]["predicted_label"] == "sport" and rows[1]["kind"] == "sport"
    run([str(folder / "model"), "--text", "A cold, wet STORM, item 7", "goal! ball, team, item 8"])
    printed = capsys.readouterr().out
    assert "A cold, wet STORM, item 7\n    -> weather " in printed
    assert "goal! ball, team, item 8\n    -> sport " in printed
    assert (folder / "model" / "model.safetensors").stat().st_mtime_ns == weights


def test_texts_without_a_known_word_are_counted(folder, run, caplog):
    (folder / "odd.csv").write_text("body\ncold storm\nxyzzy plugh\n\"\"\n")
    table = ["--input_file", str(folder / "odd.csv"), "--text_column", "body", "--output_file", str(folder / "o.csv")]
    run([str(folder / "model"), *table])
    assert caplog.messages == ["2 of 3 texts have no word that the model knows"]
    caplog.clear()
    run([str(folder / "model"), "--text", "xyzzy", "storm"])
    assert caplog.messages == ["1 of 2 texts have no word that the model knows"]
    caplog.clear()
    run(command(folder, "named.csv"))
    assert not caplog.messages


def test_the_table_is_read_as_training_reads_it(tmp_path, run, capsys):
    """A table in an encoding that cannot be recognised, and a class that looks like no label."""
    rows = [("h\xf6hle \xe4pfel b\xe4ume", "NA"), ("l\xf6we fl\xfcgel m\xf6we", "EU")] * 12
    text = "body,kind\n" + "".join(f"{body} {i},{kind}\n" for i, (body, kind) in enumerate(rows))
    (tmp_path / "mine.csv").write_bytes(text.encode("cp500"))
    tiny = [f"--{name}={value}" for name, value in (TINY | {"num_train_epochs": 1}).items()]
    asked = ["--label_column", "kind", "--encoding", "cp500", "--missing_labels", "[]"]
    run(command(tmp_path, "named.csv") + asked + BY_WORDS + tiny)
    assert "24 texts with their predicted labels" in capsys.readouterr().out
    run(command(tmp_path, "again.csv") + ["--encoding", "cp500"])
    for name in ("named.csv", "again.csv"):
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            read = list(csv.DictReader(file))
        assert [row["body"] for row in read] == [f"{body} {i}" for i, (body, _) in enumerate(rows)]
        assert {row["kind"] for row in read} == {"NA", "EU"}


def test_a_recipe_may_name_the_sheet_and_what_was_recognised_is_said_once(tmp_path, run, capsys):
    openpyxl = pytest.importorskip("openpyxl")
    workbook = openpyxl.Workbook()
    workbook.active.append(["nothing"])
    sheet = workbook.create_sheet("answers")
    for row in [("body", "kind"), *[(f"cold wet {i}", "weather") for i in range(12)], ("goal", "sport")] * 1:
        sheet.append(row)
    for i in range(12):
        sheet.append((f"goal ball {i}", "sport"))
    workbook.save(tmp_path / "mine.xlsx")
    (tmp_path / "recipe.yaml").write_text("data: {sheet: answers}\nmodel: {modality: document}\n")
    tiny = [f"--{name}={value}" for name, value in (TINY | {"num_train_epochs": 1}).items()]
    table = ["--input_file", str(tmp_path / "mine.xlsx"), "--text_column", "body"]
    table += ["--output_file", str(tmp_path / "named.csv")]
    model = str(tmp_path / "model")
    run([model, *table, "--label_column", "kind", "--config", str(tmp_path / "recipe.yaml"), *tiny])
    assert "25 texts with their predicted labels" in capsys.readouterr().out
    run([model, *table, "--sheet", "answers"])
    assert "25 texts with their predicted labels" in capsys.readouterr().out
    (tmp_path / "marks.csv").write_text("body;kind\ncold;weather\n")
    run([model, "--input_file", str(tmp_path / "marks.csv"), *table[2:]])
    assert capsys.readouterr().out.count("note: marks.csv: its cells are separated by ';'") == 1


def test_the_recipe_is_chosen_by_the_labelled_rows(tmp_path, run, capsys):
    """Every word occurs once, and the letters of a class, which the pieces of words of an encoder show, tell all."""
    rng, rows = random.Random(0), ["body,kind"]
    for i in range(120):
        letters, kind = [("abcdef", "early"), ("uvwxyz", "late")][i % 2]
        words = " ".join("".join(rng.choices(letters, k=7)) for _ in range(3))
        rows.append(f"{words},{kind if i % 8 < 2 else ''}")
    (tmp_path / "mine.csv").write_text("\n".join(rows) + "\n")
    asked = ["--label_column", "kind", "--encoder_name_or_path", str(bert())]
    tiny = [f"--{name}={value}" for name, value in TINY_TEXTS.items()]
    run(command(tmp_path, "named.csv") + asked + ["--features_dir", str(tmp_path / "vectors"), *tiny])
    printed = capsys.readouterr().out
    assert "texts_pretrained_few_labels.yaml is used: in cross-validation on the 27 labelled training texts" in printed
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["encoder"] == "pretrained"
    settings = yaml.safe_load((tmp_path / "model" / "settings.yaml").read_text())
    assert settings["clustering"]["features"] == "encoder_classes"
    with (tmp_path / "named.csv").open(newline="") as file:
        named = [row["predicted_label"] for row in csv.DictReader(file)]
    assert len(named) == 120 and set(named) <= {"early", "late"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--label_column", "kind"], "holds a trained model and has no use for --label_column"),
        (["--num_train_epochs", "3"], "has no use for --num_train_epochs 3"),
        (BY_WORDS, "has no use for --config"),
        (["--encoder_name_or_path", "x"], "has no use for --encoder_name_or_path"),
        (["--text", "x"], "give either --text or --input_file"),
        (["--output_file", "x.xlsx"], "--output_file must end in .csv, .tsv or .jsonl"),
    ],
)
def test_what_is_refused(folder, run, capsys, change, message):
    with pytest.raises(SystemExit):
        run(command(folder, "other.csv") + change)
    assert message in capsys.readouterr().err


def test_no_model_and_nothing_to_train_on(folder, run):
    with pytest.raises(FileNotFoundError, match="no model in .*absent.* give --input_file and --label_column"):
        run([str(folder / "absent"), "--text", "x"])


def test_one_bad_row_does_not_end_the_run(folder, run, capsys):
    rows = [{"body": "cold storm", "n": "=1+1"}, {"body": "goal \ud83d ball", "n": "-3"}]
    (folder / "bad.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = ["--input_file", str(folder / "bad.jsonl"), "--text_column", "body"]
    run([str(folder / "model"), *table, "--output_file", str(folder / "good.csv")])
    assert "broken Unicode are not read in row 2" in capsys.readouterr().out
    with (folder / "good.csv").open(newline="") as file:
        named = list(csv.DictReader(file))
    assert [row["predicted_label"] for row in named] == ["weather", "sport"]
    assert [row["n"] for row in named] == ["'=1+1", "-3"]
    with pytest.raises(ValueError, match=r"texts\[1\] must be valid Unicode, but .* lone surrogate '\\ud83d'"):
        run([str(folder / "model"), "--text", "cold", "a \ud83d"])
