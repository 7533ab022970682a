"""examples/train_judge.py on a few texts whose class one word decides: what it writes, and how it goes on."""

import importlib.util
import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from ldebm_hf.data import Split
from ldebm_hf.experiments import judge_training
from ldebm_hf.scores.judging import load_judge

SCRIPT = Path(__file__).parents[2] / "examples" / "train_judge.py"
WORDS = {"praise": ["good", "great"], "complaint": ["bad", "awful"]}
SIZES = ["--embedding_size", "8", "--hidden_size", "8", "--batch_size", "16", "--learning_rate", "0.02"]


@pytest.fixture(scope="module")
def train_judge():
    spec = importlib.util.spec_from_file_location("train_judge", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """200 texts, every tenth of them without a label."""
    rng, lines = random.Random(0), ["text,label"]
    for number in range(200):
        label = rng.choice(list(WORDS))
        words = rng.choices(["the", "food", "was", "so", "we", "service"], k=4)
        words.insert(rng.randrange(5), rng.choice(WORDS[label]))
        lines.append(f"{' '.join(words)},{'' if number % 10 == 0 else label}")
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def training(reviews, folder):
    data = ["--data", str(reviews), "--label_column", "label", "--validation_fraction", "0.3"]
    return [*data, *SIZES, "--num_train_epochs", "4", "--output_dir", str(folder)]


@pytest.fixture
def command(reviews, tmp_path):
    return training(reviews, tmp_path / "judge")


@pytest.fixture(scope="module")
def finished(train_judge, reviews, tmp_path_factory):
    """The folder of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("finished") / "judge"
    train_judge.main(training(reviews, folder))
    return folder


def test_judge_learns_and_is_an_ordinary_checkpoint(finished):
    assert {path.name for path in finished.iterdir()} >= {
        "config.json", "model.safetensors", "tokenizer.json", "judge.json"
    }  # fmt: skip
    assert [path.name for path in finished.parent.iterdir()] == ["judge"]  # no trace of the training
    judge = load_judge(finished, device="cpu")
    assert sorted(judge.label_names) == sorted(WORDS)
    expected = judge.label_ids(["praise", "complaint", "praise"])
    assert judge.predict(["we so GOOD food", "the service was awful", "great !"]).tolist() == expected.tolist()

    report = json.loads((finished / "judge.json").read_text())
    accuracy = report["accuracy"]
    counts = {name: scores["num_texts"] for name, scores in accuracy.items()}
    assert counts["selection half"] + counts["other half"] == counts["whole validation"] == 200 * 0.9 - 126
    assert report["num_training_texts"] == 126
    for scores in accuracy.values():
        assert scores["accuracy"] > 0.9 and 0 <= scores["accuracy_std_error"] < 0.1
        assert {f"accuracy_{name}" for name in WORDS} <= set(scores)
    assert report["selection_accuracy_by_step"][str(report["best_step"])] == max(
        report["selection_accuracy_by_step"].values()
    )
    assert accuracy["selection half"]["accuracy"] == max(report["selection_accuracy_by_step"].values())


class Interrupt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt


def interrupted_at(train_judge, monkeypatch, step, command):
    """Run the command until a step, where it dies."""
    build_trainer = judge_training.build_trainer

    def build(*arguments):
        trainer = build_trainer(*arguments)
        trainer.add_callback(Interrupt(step))
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr(judge_training, "build_trainer", build)
        with pytest.raises(KeyboardInterrupt):
            train_judge.main(command)


@pytest.mark.parametrize("step", [3, 13, 32])  # before the first of the checkpoints, within an epoch, at the end
def test_same_command_goes_on_to_the_same_judge(train_judge, command, finished, tmp_path, monkeypatch, step):
    interrupted_at(train_judge, monkeypatch, step, command)
    assert not (tmp_path / "judge").exists()
    working_folder = tmp_path / ".judge.training"
    cut_short = working_folder / "checkpoint-4000"
    cut_short.mkdir()
    (cut_short / "model.safetensors").write_bytes(b"half of it")
    train_judge.main(command)
    assert not working_folder.exists()
    resumed = load_file(tmp_path / "judge" / "model.safetensors")
    for name, tensor in load_file(finished / "model.safetensors").items():
        assert torch.equal(resumed[name], tensor), name


def test_finished_judge_is_not_trained_again(train_judge, reviews, finished, monkeypatch, capsys):
    command, before = training(reviews, finished), (finished / "judge.json").read_text()
    monkeypatch.setattr(judge_training, "build_trainer", None)
    train_judge.main(command)
    printed = capsys.readouterr().out
    assert "note: " in printed and "holds this judge already" in printed
    assert "other half (27 texts): overall" in printed
    with pytest.raises(ValueError, match="holds another judge: seed was 0 and is now 1. --overwrite replaces it"):
        train_judge.main([*command, "--seed", "1"])
    assert (finished / "judge.json").read_text() == before


def test_another_training_under_way_is_not_discarded_silently(train_judge, command, tmp_path, monkeypatch):
    interrupted_at(train_judge, monkeypatch, 10, command)
    with pytest.raises(ValueError, match="not finished: dropout was 0.5 and is now 0.2. The earlier command"):
        train_judge.main([*command, "--dropout", "0.2"])
    train_judge.main([*command, "--dropout", "0.2", "--overwrite"])
    assert load_judge(tmp_path / "judge").model.config.dropout == 0.2


def test_folder_of_something_else_is_never_replaced(train_judge, command, tmp_path):
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="must be new, empty or a judge's, but holds something else"):
        train_judge.main([*command, "--overwrite"])
    assert (tmp_path / "judge" / "thesis.txt").read_text() == "years of work"


def test_halves_share_the_classes_and_no_text():
    labels = [0, 1, 1, -100, 0, 1, 1, 2, 0, 2, 1, 0]
    halves = judge_training.split_in_halves(Split([str(i) for i in range(12)], labels))
    one, other, whole = (halves[name] for name in ("selection half", "other half", "whole validation"))
    assert not set(one.texts) & set(other.texts) and sorted(one.texts + other.texts) == sorted(whole.texts)
    assert len(whole) == 11 and -100 not in whole.labels
    for label in range(3):
        assert abs(one.labels.count(label) - other.labels.count(label)) <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--label_column", "text"], "has 200 classes and 140 labelled .*: is --label_column text the right one"),
        (["--label_column", "missing"], "missing"),
        (["--dropout", "1.5"], r"dropout must be in \[0, 1\), got 1.5"),
        (["--hidden_size", "0"], "hidden_size must be at least 1, got 0"),
        (["--max_length", "2"], "max_length must be at least 3"),
    ],
)
def test_bad_settings_are_named(train_judge, command, options, message):
    with pytest.raises(ValueError, match=message):
        train_judge.main([*command, *options])


def test_texts_without_labels_cannot_make_a_judge(train_judge, reviews, tmp_path):
    with pytest.raises(ValueError, match=r"must have labelled training texts \(--label_column\), got none"):
        train_judge.main(["--data", str(reviews), "--output_dir", str(tmp_path / "judge")])
    unlabelled = tmp_path / "unlabelled.csv"
    unlabelled.write_text("text,label\nthe food,\nwas so good,\n")
    with pytest.raises(ValueError, match="at least two validation texts must have a label, got 0"):
        train_judge.main(
            ["--data", str(reviews), "--label_column", "label", "--validation_file", str(unlabelled),
             "--output_dir", str(tmp_path / "judge")]
        )  # fmt: skip


@pytest.mark.parametrize("name", ["num_train_epochs", "batch_size"])
def test_numbers_below_one_are_refused(train_judge, command, name, capsys):
    with pytest.raises(SystemExit):
        train_judge.main([*command, f"--{name}", "0"])
    assert f"argument --{name}: must be an integer of at least 1, got 0" in capsys.readouterr().err


def test_judge_of_acceptability_tells_real_texts_from_corrupted_ones(train_judge, tmp_path):
    """Real texts are of four forms, whose order every error breaks: the judge must be right on most held-out texts."""
    rng, texts = random.Random(0), []
    for _ in range(400):
        noun, quality = rng.choice(["food", "soup", "room", "staff"]), rng.choice(["good", "great", "bad", "awful"])
        texts.append(rng.choice([f"the {noun} was {quality} .", f"we had a {quality} {noun} and left !"]))
    path, folder = tmp_path / "texts.csv", tmp_path / "judge"
    path.write_text("\n".join(["text", *texts]) + "\n")
    settings = ["--dropout", "0", "--word_dropout", "0", "--num_train_epochs", "12", "--output_dir", str(folder)]
    train_judge.main(["--data", str(path), "--task", "acceptability", *SIZES, *settings])
    report = json.loads((folder / "judge.json").read_text())
    assert report["label_names"] == ["corrupted", "acceptable"] and report["request"]["task"] == "acceptability"
    assert report["accuracy"]["other half"]["accuracy"] > 0.8
    judge = load_judge(folder, device="cpu")
    (acceptable,) = judge.label_ids(["acceptable"])
    verdicts = judge.predict(["the soup was great .", "We had a bad room and left!", "soup the the was great ."])
    assert (verdicts == acceptable).tolist() == [True, True, False]
