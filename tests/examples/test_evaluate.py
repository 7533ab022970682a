"""examples/evaluate.py: tables of the built-in corpus and single checkpoints, with models that are hardly trained."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from untrained import load_script, save_untrained

from ldebm_hf import build_tokenizer
from ldebm_hf.data import load_corpus
from ldebm_hf.experiments import generation_experiment, table_experiment, table_runs
from ldebm_hf.model.text_classifier import TextClassifier, TextClassifierConfig
from ldebm_hf.scores import lstm_training
from ldebm_hf.scores.judging import load_judge
from ldebm_hf.training import Trainer
from ldebm_hf.training.settings import DataSettings

READING = {
    "title": "Reading of the built-in corpus",
    "recipe": "demo",
    "measure": "reading",
    "rows": {"ldebm": None, "vae": {"model": {"preset": "vae"}}},
    "text_clusters": ["kmeans_tfidf"],
    "published": {"ldebm": {"bleu": 12.5}},
    "shown_symbols": 2,
}
CONTROL = {
    "title": "Control on the built-in corpus",
    "study": "control",
    "recipe": "demo",
    "measure": "control",
    "num_samples": 3,
    "guidance_scales": [1, 4],
    "ways": {"as read": {"min_label_probability": 0.2, "do_sample": True, "max_new_tokens": 5}},
    "rows": {"ldebm": None},
    "language_model": {"model": {"preset": "rnn_lm"}},
    "shown_sentences": 2,
}
GENERATION = {
    "title": "Sentences of the built-in corpus",
    "recipe": "demo",
    "measure": "generation",
    "rows": {
        "ldebm": None,
        "kl_1": {"model": {"kl_weight": 1.0}},
        "rnn_lm": {"model": {"preset": "rnn_lm"}},
    },
    "published": {"ldebm": {"reverse_perplexity": 164.57, "bleu": 11.16, "word_kl": 0.06}},
    "ways": {"words drawn": {"do_sample": True}},
    "curves": {"LDEBM": ["ldebm", "kl_1"]},
    "curve_setting": "kl_weight",
    "shown_sentences": 3,
}
CLASSIFICATION = {
    "title": "Few labels of the built-in corpus",
    "recipe": "demo",
    "measure": "classification",
    "label_counts": [100, 200],
    "rows": {
        "ldebm": {"training": {"labelled_batch_size": 8}, "clustering": {"enabled": False}},
        "vae": {"model": {"preset": "vae"}, "training": {"metric_for_best_model": "loss"}},
    },
    "latent_classifiers": ["vae"],
    "text_baselines": ["tfidf_regression", "given_vectors"],
    "published": {"ldebm": {"accuracy_20_labels": 0.874}},
}

pytestmark = pytest.mark.usefixtures("without_curves")


@pytest.fixture
def evaluate():
    return load_script("evaluate")


@pytest.fixture(scope="module")
def judge(tmp_path_factory) -> str:
    """An untrained classifier of the corpus's classes."""
    corpus, folder = load_corpus("synthetic"), tmp_path_factory.mktemp("judge")
    tokenizer = build_tokenizer(corpus.train.texts)
    torch.manual_seed(0)
    names = dict(enumerate(corpus.label_names))
    config = TextClassifierConfig(vocab_size=len(tokenizer), embedding_size=8, hidden_size=8, id2label=names)
    TextClassifier(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def write_table(folder: Path, name: str, content: dict) -> str:
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(content))
    return str(file)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_table_of_readings_is_trained_scored_and_not_repeated(evaluate, tmp_path, capsys, monkeypatch):
    pytest.importorskip("faiss")
    command = ["--config", write_table(tmp_path, "small", READING), "--smoke", "--output_dir", str(tmp_path / "out")]
    evaluate.main([*command, "--seeds", "0,1"])
    text = (tmp_path / "out" / "smoke" / "small" / "table.md").read_text()
    assert text in capsys.readouterr().out and text.startswith("Reading of the built-in corpus\n")
    lines = text.splitlines()[2:]
    shown = [line for line in lines if line.startswith("ldebm, ")]
    assert len(shown) == 2 and all(line.endswith("%)") for line in shown)
    assert (tmp_path / "out" / "smoke" / "small" / "ldebm" / "0" / "report.html").exists()
    assert [cells(line)[0] for line in lines[2:6]] == ["ldebm (paper)", "ldebm", "vae", "kmeans_tfidf"]
    columns = cells(lines[0])
    assert cells(lines[2])[columns.index("BLEU")] == "12.5"
    assert "±" in cells(lines[3])[columns.index("label: homogeneity (chance)")]
    assert cells(lines[4])[columns.index("I(z; y), nats")] == "", "a VAE has no symbols"
    values = json.loads((tmp_path / "out" / "smoke" / "small" / "table.json").read_text())
    assert values["vae"]["0"]["label_homogeneity"] == values["vae"]["0"]["kmeans_label_homogeneity"]
    assert values["kmeans_tfidf"]["0"]["label_v_measure"] > 0.2 > values["kmeans_tfidf"]["0"]["label_v_measure_chance"]

    def refuse(*arguments, **options):
        raise AssertionError("finished runs must not be trained again")

    table = tmp_path / "out" / "smoke" / "small" / "table.md"
    monkeypatch.setattr(table_runs, "Trainer", refuse)
    for rows in ([], ["--rows", "vae"]):
        evaluate.main([*command, "--seeds", "0,1", *rows])
        assert table.read_text() == text, "with all that is finished"
    monkeypatch.undo()
    shutil.rmtree(table.parent / "vae" / "1")
    evaluate.main([*command, "--seeds", "1", "--rows", "vae", "--set", "training.learning_rate=0.002"])
    assert [cells(line)[0] for line in table.read_text().splitlines()[4:6]] == ["ldebm (paper)", "vae"]


def test_a_table_of_control_has_real_texts_a_sweep_and_sentences(evaluate, judge, tmp_path, capsys):
    command = ["--config", write_table(tmp_path, "steered", CONTROL), "--smoke", "--judge", judge]
    evaluate.main([*command, "--output_dir", str(tmp_path / "out")])
    text = (tmp_path / "out" / "smoke" / "control" / "steered.md").read_text()
    assert text in capsys.readouterr().out
    rows = [cells(line)[0] for line in text.splitlines() if line.startswith("|") and not line.startswith("|:--")]
    assert rows == ["model", "real held-out texts", "ldebm", "ldebm, as read", "model", "1", "4"]
    assert "ldebm, by guidance scale" in text and "ldebm, weather" in text
    run = tmp_path / "out" / "smoke" / "control" / "ldebm" / "0"
    sentences = json.loads((run / "sentences.json").read_text())
    assert {len(of_class) for of_class in sentences.values()} == {3}
    scores = json.loads((run / "scores.json").read_text())["scores"]
    assert scores["perplexity"] > 1 and scores["real_perplexity"] > 1
    titles = cells(next(line for line in text.splitlines() if line.startswith("| model")))
    assert {"acceptable %", "acceptable if corrupted %"} < set(titles)
    acceptable = [scores[name] for name in ("acceptability", "real_acceptability", "acceptability_chance@as read")]
    assert all(0 <= share <= 1 for share in acceptable)
    assert load_judge(run.parents[1] / "acceptability_judge").label_names == ["corrupted", "acceptable"]
    assert scores["words_per_text@as read"] <= 5 and 0 <= scores["accuracy@as read"] <= 1
    figure = tmp_path / "out" / "smoke" / "control" / "guidance.png"
    assert figure.exists() or not importlib.util.find_spec("matplotlib")


def test_a_table_of_generation_has_real_texts_a_curve_and_goes_on(evaluate, tmp_path, capsys, monkeypatch):
    command = ["--config", write_table(tmp_path, "written", GENERATION), "--smoke", "--output_dir", str(tmp_path)]
    evaluate.main(command)
    folder = tmp_path / "smoke" / "written"
    text = (folder / "table.md").read_text()
    assert text in capsys.readouterr().out and "ldebm, samples" in text
    lines = [cells(line) for line in text.splitlines() if line.startswith("|")]
    assert [line[0] for line in lines[2:]] == [
        "ldebm (paper)", "real held-out texts", "kl_1", "kl_1, words drawn", "ldebm", "ldebm, words drawn", "rnn_lm"
    ]  # fmt: skip
    assert "\nldebm, samples, words drawn\n" in text
    assert lines[0][1:4] == ["rPPL", "BLEU", "wKL"] and lines[2][1:4] == ["165", "11.2", "0.06"]
    assert all(line[1] and line[lines[0].index("wKL, also smoothed")] for line in lines[3:])
    assert lines[-1][2] == "" and f"\nsamples: {table_experiment.SMOKE_SAMPLES}\n" in text and "num_epochs 2" in text
    assert (folder / "table.png").exists() or not importlib.util.find_spec("matplotlib")

    (folder / "ldebm" / "0" / "scores.json").unlink()
    summary = {"lower": -91.5, "published": None, "num_examples": 40, "untrusted_share": 0.25}
    (folder / "rnn_lm" / "0" / "likelihood.json").write_text(json.dumps({"summary": summary}))
    steps = ((generation_experiment, "write_samples"), (lstm_training, "_Training"), (Trainer, "_train_epoch"))
    for module, name in steps:
        monkeypatch.setattr(module, name, None)  # all of that is done
    evaluate.main(command)
    again = [cells(line) for line in (folder / "table.md").read_text().splitlines() if line.startswith("|")]
    for title, value in (("NLL, at most", "91.5"), ("texts with NLL", "40"), ("NLL too poor %", "25")):
        place = again[0].index(title)
        assert again[-1].pop(place) == value and [line.pop(place) for line in again[:-1]][2:] == [""] * 6
    assert again == lines
    monkeypatch.undo()
    monkeypatch.setattr(Trainer, "_train_epoch", None)
    evaluate.main([*command, "--rows", "rnn_lm", "--num_samples", "20"])
    assert "\nsamples: 20\n" in (folder / "table.md").read_text(), "scored anew, not trained"
    (samples,) = (folder / "rnn_lm" / "0").glob("samples-*-22-*.jsonl")
    assert len(samples.read_text().splitlines()) == 22


def test_a_table_of_few_labels_has_a_row_for_every_way_to_learn_them(evaluate, tmp_path, capsys):
    command = ["--config", write_table(tmp_path, "few", CLASSIFICATION), "--smoke"]
    evaluate.main([*command, "--output_dir", str(tmp_path / "out"), "--record", str(tmp_path / "record.json")])
    text = (tmp_path / "out" / "smoke" / "few" / "table.md").read_text()
    assert text in capsys.readouterr().out
    lines = [cells(line) for line in text.splitlines() if line.startswith("|")]
    assert [line[0] for line in lines[2:]] == ["ldebm (paper)", "ldebm", "vae", "tfidf_regression"]
    assert lines[2][lines[0].index("20 labels %")] == "87.4"
    values = json.loads((tmp_path / "out" / "smoke" / "few" / "table.json").read_text())
    for row in ("ldebm", "vae", "tfidf_regression"):
        assert {f"accuracy_{count}_labels" for count in table_experiment.SMOKE_LABEL_COUNTS} < set(values[row]["0"])
    assert (tmp_path / "out" / "smoke" / "few" / "ldebm" / "20" / "0" / "scores.json").exists()
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["scores"]["few"] == values
    assert len(record["runs"]) == 4 and all(run["made"]["command"] for run in record["runs"])
    with pytest.raises(ValueError, match="row given_vectors needs --word_vectors"):
        evaluate.main([*command, "--rows", "given_vectors"])


def test_one_checkpoint_is_scored_on_its_own_corpus(evaluate, judge, tmp_path, capsys):
    pytest.importorskip("faiss")
    command = ["--config", write_table(tmp_path, "small", READING), "--smoke", "--rows", "ldebm"]
    evaluate.main([*command, "--train_only", "--output_dir", str(tmp_path)])
    run = tmp_path / "smoke" / "small" / "ldebm" / "0"
    capsys.readouterr()
    options = ["--num_samples", "2", "--guidance_scales", "2", "--min_label_probability", "0.1"]
    evaluate.main([str(run), "--judge", judge, *options, "--text_clusters", "kmeans_tfidf"])
    printed = capsys.readouterr().out
    rows = [cells(line) for line in printed.splitlines() if line.startswith("|") and not line.startswith("|:--")]
    ways = ["as read", "as read, words drawn from the 50 likeliest"]
    assert [row[0] for row in rows] == ["model", "real held-out texts", "0", *ways, "kmeans_tfidf", "model", "2"]
    homogeneity = next(place for place, title in enumerate(rows[0]) if title.startswith("label: homogeneity"))
    assert float(rows[5][homogeneity].split()[0]) > 0.2, "K-means finds the intents of the built-in corpus"
    scores = json.loads((run / "evaluation.json").read_text())
    assert {"bleu", "label_homogeneity", "accuracy", "accuracy@2", "accuracy@as read", "real_accuracy"} <= set(scores)
    clusters = json.loads((run / "text_clusters.json").read_text())
    assert clusters["kmeans_tfidf"]["label_homogeneity"] > 0.2
    with pytest.raises(ValueError, match="text_clusters must be of kmeans_tfidf, .*got 'nonsense'"):
        evaluate.main([str(run), "--text_clusters", "nonsense"])


def test_clusters_of_texts_without_classes_are_refused(evaluate, tmp_path):
    corpus = load_corpus("synthetic")
    (tmp_path / "texts.txt").write_text("\n".join(corpus.train.texts[:50]))
    data = DataSettings(source=str(tmp_path / "texts.txt"))
    folder = save_untrained(tmp_path / "model", corpus, data=data)
    message = "no validation text of texts has any: --set data.attribute_columns=COLUMN names a column of them$"
    with pytest.raises(ValueError, match=f"^text_clusters are compared with classes, and {message}"):
        evaluate.main([folder, "--text_clusters", "kmeans_tfidf"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either a checkpoint or --config"),
        (["x", "--config", "y"], "either a checkpoint or --config"),
        (["x", "--jobs", "0"], "argument --jobs: must be an integer of at least 1, got 0"),
        (["x", "--guidance_scales", "a"], "--guidance_scales"),
    ],
)
def test_mistakes_on_the_command_line_are_explained(evaluate, capsys, arguments, message):
    with pytest.raises(SystemExit):
        evaluate.main(arguments)
    assert message in capsys.readouterr().err


def test_unknown_rows_and_corpora_stop_before_training(evaluate, tmp_path):
    file = write_table(tmp_path, "small", READING)
    with pytest.raises(ValueError, match="unknown row gan .*ldebm, vae, kmeans_tfidf"):
        evaluate.main(["--config", file, "--rows", "gan"])
    with pytest.raises(ValueError, match="did you mean"):
        wrong = ["--set", "training.learnin_rate=1", "--set", "training.seed=1"]  # the second beside the first
        evaluate.main(["--config", file, "--output_dir", str(tmp_path), *wrong])
    with pytest.raises(ValueError, match="unknown split 'exam' .*train, validation"):
        evaluate.main(["--config", file, "--output_dir", str(tmp_path), "--smoke", "--split", "exam"])


def test_a_record_needs_a_table_and_its_report(evaluate, tmp_path, capsys):
    record = tmp_path / "record.json"
    record.write_text("of an earlier command")
    with pytest.raises(SystemExit):
        evaluate.main([str(tmp_path), "--record", str(record)])
    assert "--record must be given with --config" in capsys.readouterr().err
    command = ["--config", write_table(tmp_path, "few", CLASSIFICATION), "--train_only", "--record", str(record)]
    with pytest.raises(ValueError, match="--record must be given without --train_only"):
        evaluate.main(command)
    assert record.read_text() == "of an earlier command"
