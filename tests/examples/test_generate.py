"""examples/generate.py on an untrained tiny model of the built-in corpus: what it prints, not how good it is."""

import json
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from untrained import SIZES, load_script, save_untrained

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer
from ldebm_hf.commands.held_out_check import held_out_halves, symbols_of_labels
from ldebm_hf.data import load_corpus
from ldebm_hf.training import Settings
from ldebm_hf.training.saved_runs import shipped_checkpoint
from ldebm_hf.training.settings import DataSettings

SCRIPT = Path(__file__).parents[2] / "examples" / "generate.py"


@pytest.fixture(scope="module")
def generate():
    return load_script("generate")


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("synthetic")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, corpus):
    return save_untrained(tmp_path_factory.mktemp("checkpoint"), corpus)


def test_every_symbol_is_written_for_and_judged_twice(generate, checkpoint, corpus, capsys):
    generate.main([checkpoint, "--num_samples", "2"])
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if line.split("  ")[0].strip() in corpus.label_names]
    assert [row.split()[0] for row in rows] == [name for name in corpus.label_names for _ in range(2)]
    assert "model reads: as asked for in" in printed and "held-out check: as asked for in" in printed
    assert corpus.validation.texts[0] in printed and "->" in printed


def test_checkpoint_of_the_page_is_the_default(generate, capsys):
    names = LDEBMConfig.from_pretrained(shipped_checkpoint(generate.SPACE)).id2label.values()
    generate.main(["--num_samples", "1"])
    printed = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0].strip() for line in printed if line.split("  ")[0].strip() in names] == list(names)


def test_chosen_symbols_by_name_and_id(generate, checkpoint, capsys):
    generate.main([checkpoint, "--class_labels", "weather", "0", "--num_samples", "1"])
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line]
    assert rows.count("weather") == 1 and rows.count("book_table") == 1


def test_cost_of_rejection_goes_to_standard_error(generate, checkpoint, capsys):
    request = [checkpoint, "--class_labels", "weather", "--num_samples", "3"]
    generate.main([*request, "--min_label_probability", "0"])
    printed = capsys.readouterr()
    line = "3 candidates were examined for 3 sentences (1.0 for each), of which 100% reach the minimum probability."
    assert line in printed.err.splitlines() and "candidates" not in printed.out
    generate.main(request)
    assert "candidates" not in capsys.readouterr().err


def test_same_seed_same_sentences_with_sampled_tokens(generate, checkpoint, capsys):
    prints = []
    for seed in ("1", "1", "2"):
        generate.main([checkpoint, "--no_symbols", "--num_samples", "3", "--do_sample", "--seed", seed])
        prints.append(capsys.readouterr().out)
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("preset", ["vae", "rnn_lm"])
def test_models_without_symbols_write_from_their_prior(generate, tmp_path, corpus, capsys, preset):
    generate.main([save_untrained(tmp_path, corpus, preset=preset), "--num_samples", "3"])
    text = capsys.readouterr().out
    assert "held-out check" in text and "model reads" not in text and "--class_labels" not in text
    assert ("reconstructed from" in text) == (preset == "vae")
    with pytest.raises(ValueError, match="has no symbols"):
        generate.main([str(tmp_path), "--class_labels", "weather"])


def test_model_of_points_is_refused(generate, tmp_path):
    LDEBMModel(LDEBMConfig(modality="point", latent_size=2, num_symbols=2)).save_pretrained(tmp_path)
    build_tokenizer(["a b"]).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a model of points"):
        generate.main([str(tmp_path)])


def test_texts_are_read_and_written_again(generate, checkpoint, capsys):
    generate.main([checkpoint, "--text", "will it rain", "zzz"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "will it rain" and lines[2].strip() == "zzz" and len(lines) == 4


def test_unknown_words_of_texts_are_counted(generate, checkpoint, caplog):
    generate.main([checkpoint, "--text", "will it rain"])
    assert not caplog.messages
    generate.main([checkpoint, "--text", "will it zzz", "yyy"])
    assert caplog.messages == [
        "2 of 4 words (50 %) are unknown to the model, in 2 of 2 texts; 1 of 2 texts have no word that the model knows"
    ]


def test_unknown_symbol_names_the_known_ones(generate, checkpoint):
    with pytest.raises(ValueError, match="weather.*nonsense"):
        generate.main([checkpoint, "--class_labels", "nonsense"])


@pytest.mark.parametrize(
    ("symbols", "expected"), [([], [None] * 5), (["thanks", "0"], ["thanks"] * 5 + ["book_table"] * 5)]
)
def test_sentences_go_to_a_file(generate, checkpoint, tmp_path, symbols, expected):
    request = [checkpoint, "--num_samples", "5", "--batch_size", "4", "--output_file", str(tmp_path / "some.jsonl")]
    request += ["--class_labels", *symbols] if symbols else []
    generate.main(request)
    records = [json.loads(line) for line in (tmp_path / "some.jsonl").read_text().splitlines()]
    assert [record["symbol"] for record in records] == expected
    with pytest.raises(FileExistsError, match="some.jsonl exists already"):
        generate.main([*request, "--seed", "1"])
    generate.main([*request, "--seed", "1", "--overwrite"])
    assert [json.loads(line) for line in (tmp_path / "some.jsonl").read_text().splitlines()] != records


@pytest.mark.parametrize("name", ["outputs", "examples/demo", "./demo", "/nowhere/demo", "outputs/some/demo"])
def test_missing_folder_is_an_error_before_the_hub_is_asked(generate, name, tmp_path, monkeypatch):
    monkeypatch.setattr("ldebm_hf.training.saved_runs.HfApi", None)
    (tmp_path / "examples").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"no folder '{name}' \\(checkpoint\\)$"):
        generate.main([name])


def test_hub_is_asked_once_for_what_may_be_an_id(generate):
    with pytest.raises(FileNotFoundError, match=r"no folder 'some/model' \(checkpoint\), and none from the Hub: "):
        generate.main(["some/model"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--no_symbols", "--class_labels", "weather"], "--class_labels and --no_symbols exclude each other"),
        (["--temperature", "0.5"], "--temperature needs --do_sample"),
        (["--text", "a", "--output_file", "a.jsonl"], "--text and --output_file exclude each other"),
        (["--batch_size", "1024"], "--batch_size needs --output_file"),
        (["--overwrite"], "--overwrite needs --output_file"),
    ],
)
def test_options_that_exclude_each_other(generate, checkpoint, options, message, capsys):
    with pytest.raises(SystemExit):
        generate.main([checkpoint, *options])
    assert message in capsys.readouterr().err


def test_guidance_needs_a_symbol(generate, checkpoint):
    with pytest.raises(ValueError, match="guidance_scale needs class_labels"):
        generate.main([checkpoint, "--no_symbols", "--guidance_scale", "2"])


def with_data(checkpoint, folder, **data):
    """A copy of the checkpoint whose recipe names other data."""
    shutil.copytree(checkpoint, folder)
    Settings(data=DataSettings(**data), model=SIZES).save(folder / "settings.yaml")
    return str(folder)


def test_stream_is_not_read_again(generate, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(DataSettings, "load_corpus", None)
    copy = with_data(checkpoint, tmp_path / "copy", source="texts.jsonl", streaming=True)
    generate.main([copy, "--data", "texts.jsonl"])
    printed = capsys.readouterr()
    assert "note: no held-out check, texts.jsonl is a stream" in printed.err
    assert "held-out check" not in printed.out and "sentences are distinct" in printed.out


def test_file_that_only_the_checkpoint_names_is_not_read(generate, checkpoint, tmp_path, capsys):
    (tmp_path / "secret.txt").write_text("\n".join(f"my secret {i}" for i in range(40)))
    copy = with_data(checkpoint, tmp_path / "copy", source=str(tmp_path / "secret.txt"))
    generate.main([copy, "--num_samples", "1"])
    printed = capsys.readouterr()
    assert "my secret" not in printed.out + printed.err and "sentences are distinct" in printed.out
    assert f"read only if you name it too: add --data {tmp_path / 'secret.txt'}" in printed.err
    generate.main([copy, "--num_samples", "1", "--data", str(tmp_path / "secret.txt")])
    assert "my secret" in capsys.readouterr().out


def test_corpus_that_needs_a_missing_package_is_only_a_note(generate, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "datasets", None)
    generate.main([with_data(checkpoint, tmp_path / "copy", source="someone/news"), "--num_samples", "1"])
    printed = capsys.readouterr()
    assert "the corpus cannot be read again: loading 'someone/news' from the Hub needs datasets" in printed.err
    assert "sentences are distinct" in printed.out


def test_missing_package_is_one_line(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), checkpoint, "--output_file", str(tmp_path / "a.parquet")])
    with pytest.raises(SystemExit, match="^error: writing .*a.parquet needs pyarrow: pip install pyarrow$"):
        runpy.run_path(str(SCRIPT), run_name="__main__")


def test_renamed_symbols_are_checked_as_what_they_were_taught(generate, checkpoint, tmp_path, capsys):
    counts = []
    shutil.copytree(checkpoint, tmp_path / "renamed")
    model = LDEBMModel.from_pretrained(checkpoint)
    model.name_symbols([f"name {symbol}" for symbol in range(8)])
    model.save_pretrained(tmp_path / "renamed")
    for folder in (checkpoint, tmp_path / "renamed"):
        generate.main([str(folder), "--num_samples", "4"])
        counts.append([line for line in capsys.readouterr().out.splitlines() if "as asked for in" in line])
    assert counts[0] == counts[1] and not counts[0][1].startswith("held-out check: as asked for in 0 ")


def test_labels_that_were_not_taught_are_symbols_by_their_name_alone(corpus):
    few = replace(corpus, train=corpus.train.select([i for i, label in enumerate(corpus.train.labels) if label < 2]))
    known = {"one": 0, "complaint": 1, "play_music": 2, "LABEL_3": 3}
    assert symbols_of_labels([0, 1, 2, 3, None], few, known) == [0, 1, None, 2, None]


def test_check_is_fitted_on_texts_that_the_model_never_saw(corpus):
    fitted, scored = held_out_halves(corpus)
    train = set(corpus.train.texts)
    assert not train & set(fitted.texts) and not set(fitted.texts) & set(scored.texts)
    without_test = load_corpus("synthetic")
    without_test.test = None
    fitted, scored = held_out_halves(without_test)
    assert sorted(fitted.texts + scored.texts) == sorted(corpus.validation.texts)
