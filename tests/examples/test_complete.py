"""examples/complete.py on an untrained tiny model of the built-in corpus: what it prints, not how good it is."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from untrained import load_script, save_untrained

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.data import load_corpus
from ldebm_hf.training.settings import DataSettings

SCRIPT = Path(__file__).parents[2] / "examples" / "complete.py"
FAST = ["--num_chains", "2", "--num_rounds", "1", "--num_beams", "4"]


@pytest.fixture(scope="module")
def complete():
    return load_script("complete")


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("synthetic")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, corpus):
    return save_untrained(tmp_path_factory.mktemp("checkpoint"), corpus)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory, corpus):
    return save_untrained(tmp_path_factory.mktemp("language_model"), corpus, preset="rnn_lm")


def test_texts_are_completed_around_what_is_observed(complete, checkpoint, corpus, capsys):
    texts = ["will it <mask> in Zork", "please <span> tomorrow"]
    complete.main([checkpoint, "--text", *texts, "--num_completions", "2", *FAST])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == texts[0] and lines[3] == texts[1]
    symbol = rf"\[({'|'.join(corpus.label_names)})\]"
    for line in lines[1:3]:
        assert re.fullmatch(rf" +-\d+\.\d\d  will it \*\S+\* in [zZ]ork  {symbol}", line), line
    for line in lines[4:6]:
        assert re.fullmatch(rf" +-\d+\.\d\d  please( \*\S+\*){{1,10}} tomorrow  {symbol}", line), line
    assert len(set(lines[1:3])) == len(set(lines[4:6])) == 2


def test_symbols_and_seeds(complete, checkpoint, capsys):
    prints = []
    for extra in (["--class_labels", "weather"], ["--class_labels", "7"], ["--seed", "5"]):
        complete.main([checkpoint, "--text", "will <span>", *extra, *FAST])
        prints.append(capsys.readouterr().out)
    assert prints[0] == prints[1] != prints[2]
    with pytest.raises(ValueError, match="class_labels must be in .*'weather'; got 'nonsense'"):
        complete.main([checkpoint, "--text", "will <span>", "--class_labels", "nonsense"])


def test_evaluation_of_all_on_the_same_masks(complete, checkpoint, language_model, corpus, tmp_path, capsys):
    output = tmp_path / "scores.yaml"
    complete.main([
        checkpoint, "--evaluate", "--language_model", language_model, "--num_texts", "12",
        "--fractions", "0.15", "0.5",
        "--output_file", str(output), *FAST,
    ])  # fmt: skip
    printed = capsys.readouterr().out
    records = yaml.safe_load(output.read_text())
    completers = ["this model", "left-to-right LM", "3-grams", "commonest words"]
    assert [(record["masked"], record["by"]) for record in records] == [
        (fraction, name) for fraction in (0.15, 0.5) for name in completers
    ]
    lengths = [len(text.split()) for text in corpus.validation.texts[:12]]
    for record in records:
        expected = sum(max(1, round(record["masked"] * length)) for length in lengths)
        assert record["num_words"] == expected and record["num_texts"] == 12
        assert f"{record['word_accuracy']:.1%}" in printed
    by_name = {record["by"]: record["word_accuracy"] for record in records}
    assert by_name["3-grams"] > by_name["commonest words"]  # the only ones that have seen the corpus
    assert corpus.validation.texts[0].split()[0] in printed


def test_model_without_a_latent_completes(complete, language_model, capsys):
    complete.main([language_model, "--text", "will <mask>", *FAST])
    assert "[" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "one of the arguments --text --evaluate is required"),
        (["--text", "a <mask>", "--evaluate"], "not allowed with argument"),
        (["--text", "a <mask>", "--language_model", "b"], "--language_model goes with --evaluate"),
        (["--evaluate", "--class_labels", "weather"], "--class_labels goes with --text"),
        (["--text", "a <mask>", "--num_completions", "11"], "--num_completions must be from 1 to --num_beams (10)"),
        (["--evaluate", "--num_texts", "0"], "--num_texts must be at least 1, or -1 for all, got 0"),
    ],
)
def test_options_that_do_not_go_together(complete, checkpoint, options, message, capsys):
    with pytest.raises(SystemExit):
        complete.main([checkpoint, *options])
    assert message in capsys.readouterr().err


def test_what_cannot_be_completed_or_evaluated(complete, checkpoint, corpus, tmp_path):
    with pytest.raises(ValueError, match="texts must have a <mask> or a <span> each, got 'no mask'"):
        complete.main([checkpoint, "--text", "no mask"])
    with pytest.raises(FileNotFoundError, match="no folder 'outputs/some/demo'"):
        complete.main(["outputs/some/demo", "--evaluate"])
    with pytest.raises(ValueError, match="fraction must be above 0 and at most 1, got 1.5"):
        complete.main([checkpoint, "--evaluate", "--fractions", "1.5", *FAST])
    other = save_untrained(tmp_path / "other", corpus, texts=["some other words"], preset="rnn_lm")
    with pytest.raises(ValueError, match="--language_model must have .* vocabulary"):
        complete.main([checkpoint, "--evaluate", "--language_model", other])
    stream = save_untrained(tmp_path / "stream", corpus, data=DataSettings(source="texts.jsonl", streaming=True))
    with pytest.raises(ValueError, match="texts.jsonl is streamed"):
        complete.main([stream, "--evaluate", "--data", "texts.jsonl"])
    with pytest.raises(ValueError, match="name 'texts.jsonl', and a file that is named by a model is read only"):
        complete.main([stream, "--evaluate"])
    shutil.copytree(checkpoint, tmp_path / "copy")
    (tmp_path / "copy" / "settings.yaml").unlink()
    with pytest.raises(ValueError, match="--evaluate needs settings.yaml in"):
        complete.main([str(tmp_path / "copy"), "--evaluate"])
    LDEBMModel(LDEBMConfig(modality="point", latent_size=2, num_symbols=2)).save_pretrained(tmp_path / "points")
    with pytest.raises(ValueError, match="holds a model of points"):
        complete.main([str(tmp_path / "points"), "--text", "a <mask>"])
