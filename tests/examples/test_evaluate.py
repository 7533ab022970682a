"""examples/evaluate.py: tables of the built-in corpus and single checkpoints, with models that are hardly trained."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
import yaml
from untrained import load_script

from ldebm_hf import build_tokenizer, table_runs
from ldebm_hf.data import load_corpus
from ldebm_hf.text_classifier import TextClassifier, TextClassifierConfig

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
    text = (tmp_path / "out" / "small" / "table.md").read_text()
    assert text in capsys.readouterr().out and text.startswith("Reading of the built-in corpus\n")
    lines = text.splitlines()[2:]
    shown = [line for line in lines if line.startswith("ldebm, ")]
    assert len(shown) == 2 and all(line.endswith("%)") for line in shown)
    assert (tmp_path / "out" / "small" / "ldebm" / "0" / "report.html").exists()
    assert [cells(line)[0] for line in lines[2:6]] == ["ldebm (paper)", "ldebm", "vae", "kmeans_tfidf"]
    columns = cells(lines[0])
    assert cells(lines[2])[columns.index("BLEU")] == "12.5"
    assert "±" in cells(lines[3])[columns.index("label: homogeneity (chance)")]
    assert cells(lines[4])[columns.index("I(z; y), nats")] == "", "a VAE has no symbols"
    values = json.loads((tmp_path / "out" / "small" / "table.json").read_text())
    assert values["vae"]["0"]["label_homogeneity"] == values["vae"]["0"]["kmeans_label_homogeneity"]
    assert values["kmeans_tfidf"]["0"]["label_v_measure"] > 0.2 > values["kmeans_tfidf"]["0"]["label_v_measure_chance"]

    def refuse(*arguments, **options):
        raise AssertionError("finished runs must not be trained again")

    monkeypatch.setattr(table_runs, "TimedTrainer", refuse)
    evaluate.main([*command, "--seeds", "0,1"])
    assert (tmp_path / "out" / "small" / "table.md").read_text() == text


def test_a_table_of_control_has_real_texts_a_sweep_and_sentences(evaluate, judge, tmp_path, capsys):
    command = ["--config", write_table(tmp_path, "steered", CONTROL), "--smoke", "--judge", judge]
    evaluate.main([*command, "--output_dir", str(tmp_path / "out")])
    text = (tmp_path / "out" / "control" / "steered.md").read_text()
    assert text in capsys.readouterr().out
    rows = [cells(line)[0] for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")]
    assert rows == ["model", "real held-out texts", "ldebm", "ldebm, as read", "model", "1", "4"]
    assert "ldebm, by guidance scale" in text and "ldebm, weather" in text
    run = tmp_path / "out" / "control" / "ldebm" / "0"
    sentences = json.loads((run / "sentences.json").read_text())
    assert {len(of_class) for of_class in sentences.values()} == {3}
    scores = json.loads((run / "scores.json").read_text())["scores"]
    assert scores["perplexity"] > 1 and scores["real_perplexity"] > 1
    assert scores["words_per_text@as read"] <= 5 and 0 <= scores["accuracy@as read"] <= 1
    figure = tmp_path / "out" / "control" / "guidance.png"
    assert figure.exists() or not importlib.util.find_spec("matplotlib")


def test_a_table_of_few_labels_has_a_row_for_every_way_to_learn_them(evaluate, tmp_path, capsys):
    command = ["--config", write_table(tmp_path, "few", CLASSIFICATION), "--smoke"]
    evaluate.main([*command, "--output_dir", str(tmp_path / "out")])
    text = (tmp_path / "out" / "few" / "table.md").read_text()
    assert text in capsys.readouterr().out
    lines = [cells(line) for line in text.splitlines() if line.startswith("|")]
    assert [line[0] for line in lines[2:]] == ["ldebm (paper)", "ldebm", "vae", "tfidf_regression"]
    assert lines[2][lines[0].index("20 labels %")] == "87.4"
    values = json.loads((tmp_path / "out" / "few" / "table.json").read_text())
    for row in ("ldebm", "vae", "tfidf_regression"):
        assert {f"accuracy_{count}_labels" for count in evaluate.SMOKE_LABEL_COUNTS} < set(values[row]["0"])
    assert (tmp_path / "out" / "few" / "ldebm" / "20" / "0" / "scores.json").exists()
    with pytest.raises(ValueError, match="row given_vectors needs --word_vectors"):
        evaluate.main([*command, "--rows", "given_vectors"])


def test_one_checkpoint_is_scored_on_its_own_corpus(evaluate, judge, tmp_path, capsys):
    pytest.importorskip("faiss")
    command = ["--config", write_table(tmp_path, "small", READING), "--smoke", "--rows", "ldebm"]
    evaluate.main([*command, "--train_only", "--output_dir", str(tmp_path)])
    run = tmp_path / "small" / "ldebm" / "0"
    capsys.readouterr()
    evaluate.main([str(run), "--judge", judge, "--num_samples", "2", "--guidance_scales", "2"])
    printed = capsys.readouterr().out
    assert "| 0 |" in printed and "| real held-out texts |" in printed and "| 2 |" in printed
    scores = json.loads((run / "evaluation.json").read_text())
    assert {"bleu", "label_homogeneity", "accuracy", "accuracy@2", "real_accuracy"} <= set(scores)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either a checkpoint or --config"),
        (["x", "--config", "y"], "either a checkpoint or --config"),
        (["x", "--jobs", "0"], "--jobs at least 1"),
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
        evaluate.main(["--config", file, "--output_dir", str(tmp_path), "--set", "training.learnin_rate=1"])
    with pytest.raises(ValueError, match="unknown split 'exam' .*train, validation"):
        evaluate.main(["--config", file, "--output_dir", str(tmp_path), "--smoke", "--split", "exam"])
