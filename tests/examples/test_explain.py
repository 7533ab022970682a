"""examples/explain.py on an untrained tiny model of the built-in corpus: what it writes, not how good it is."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
import untrained
from clean_processes import run_clean

from ldebm_hf import LDEBMConfig, LDEBMModel, build_document_tokenizer
from ldebm_hf.data import load_corpus
from ldebm_hf.reports.symbol_report import read_report
from ldebm_hf.training.settings import DataSettings, Settings

SCRIPT = Path(__file__).parents[2] / "examples" / "explain.py"
QUICK = ["--max_texts", "60", "--num_samples", "1"]


@pytest.fixture(scope="module")
def explain():
    return untrained.load_script("explain")


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("synthetic")


@pytest.fixture
def checkpoint(tmp_path, corpus):
    return save_untrained(tmp_path / "checkpoint", corpus)


def save_untrained(folder, corpus, data=None, **model) -> str:
    names = [] if "num_symbols" in model else None
    return untrained.save_untrained(folder, corpus, data=data, names=names, change=spread_latents, **model)


def spread_latents(model: LDEBMModel) -> None:
    """Texts get different latents, and so different symbols."""
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(8)


def saved_names(checkpoint) -> dict[int, str]:
    return LDEBMConfig.from_pretrained(checkpoint).id2label


def test_training_texts_are_explained_beside_the_checkpoint(explain, checkpoint, corpus, capsys):
    before = Path(checkpoint, "config.json").read_bytes()
    explain.main([checkpoint, *QUICK])
    report = read_report(Path(checkpoint, "report.json"))
    assert Path(checkpoint, "report.html").is_file() and report["num_texts"] == 60 == len(report["map"]["points"])
    assert {point[3] for point in report["map"]["points"]} <= set(corpus.train.texts)
    assert report["attributes"]["label"]["known"] == 60
    assert set(report["attributes"]["label"]["shares"]) <= set(corpus.label_names)
    assert all(len(symbol["generated"]) == 1 for symbol in report["symbols"])
    printed = capsys.readouterr().out
    rows = [line.split()[1] for line in printed.splitlines() if line[:1].isdigit() and "%" in line]
    assert sorted(rows) == sorted(corpus.label_names) and "60 texts" in printed
    assert Path(checkpoint, "config.json").read_bytes() == before


def test_report_to_be_given_away_quotes_no_texts(explain, checkpoint, corpus, capsys):
    explain.main([checkpoint, *QUICK, "--no_texts", "--min_label_probability", "0.01"])
    report = read_report(Path(checkpoint, "report.json"))
    quoted = Path(checkpoint, "report.json").read_text() + Path(checkpoint, "report.html").read_text()
    assert not any(text in quoted for text in corpus.train.texts) and len(report["map"]["points"]) == 60
    used = [symbol for symbol in report["symbols"] if symbol["num_texts"]]
    assert used and all(len(symbol["generated"]) == 1 for symbol in used)


def test_same_seed_same_report(explain, checkpoint, tmp_path, capsys):
    reports = []
    for seed in ("1", "1", "2"):
        explain.main([checkpoint, *QUICK, "--seed", seed, "--output", str(tmp_path / "new" / "some.html")])
        reports.append((tmp_path / "new" / "some.html").read_bytes())
    assert reports[0] == reports[1] != reports[2] and not Path(checkpoint, "report.html").exists()


def test_splits(explain, corpus, tmp_path, capsys):
    (tmp_path / "some.txt").write_text("\n".join(corpus.train.texts[:50]))
    checkpoint = save_untrained(tmp_path / "checkpoint", corpus, DataSettings(source=str(tmp_path / "some.txt")))
    texts, named = {}, ["--data", str(tmp_path / "some.txt")]
    for split in ("train", "validation", "all"):
        explain.main([checkpoint, *named, "--num_samples", "0", "--split", split, "--words", "ctfidf"])
        report = read_report(Path(checkpoint, "report.json"))
        texts[split] = {point[3] for point in report["map"]["points"]}
        assert report["details"]["texts"] == f"some, {split}" and report["word_score"] == "ctfidf"
        assert report["attributes"] == {}
    assert len(texts["validation"]) == 5 and not texts["train"] & texts["validation"]
    assert texts["all"] == texts["train"] | texts["validation"] == set(corpus.train.texts[:50])


def test_file_that_only_the_checkpoint_names_is_not_read(explain, corpus, tmp_path, capsys, monkeypatch):
    (tmp_path / "secret.csv").write_text("body,label\n" + "\n".join(f"secret {i},{'ab'[i % 2]}" for i in range(20)))
    data = DataSettings(source=str(tmp_path / "secret.csv"), text_column="body", label_column="label")
    checkpoint = save_untrained(tmp_path / "checkpoint", corpus, data)
    with pytest.raises(ValueError, match="name '.*secret.csv', and a file that is named by a model is read only if"):
        explain.main([checkpoint, "--num_samples", "0"])
    assert not Path(checkpoint, "report.json").exists() and "secret 1" not in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    explain.main([checkpoint, "--num_samples", "0", "--data", "secret.csv"])
    report = read_report(Path(checkpoint, "report.json"))
    assert report["details"]["texts"] == "secret, train"
    assert report["attributes"]["label"]["known"] == report["num_texts"]


def test_names_go_into_the_checkpoint_and_the_report(explain, checkpoint, capsys):
    before = json.loads(Path(checkpoint, "config.json").read_text())
    explain.main([checkpoint, *QUICK, "--names", "3=refund request", "weather=Wetter = ä"])
    names = saved_names(checkpoint)
    assert names[3] == "refund request" and "Wetter = ä" in names.values() and "weather" not in names.values()
    after = json.loads(Path(checkpoint, "config.json").read_text())
    for name in ("id2label", "label2id"):
        before.pop(name), after.pop(name)
    assert before == after
    symbol = read_report(Path(checkpoint, "report.json"))["symbols"][3]
    assert symbol["name"] == "refund request"
    assert LDEBMModel.from_pretrained(checkpoint).generate(class_labels="refund request").shape[0] == 1


def test_symbols_are_merged_in_the_checkpoint_and_the_report(explain, checkpoint, capsys):
    folder = Path(checkpoint)
    weights, before = (folder / "model.safetensors").read_bytes(), json.loads((folder / "config.json").read_text())
    (folder / "evaluation.json").write_text("{}")
    (folder / "likelihood.json").write_text("{}")
    text = ["will it rain on monday"]
    old = {one["label"]: one["score"] for one in LDEBMModel.from_pretrained(folder).classify(text, top_k=None)[0]}
    explain.main([checkpoint, *QUICK, "--names", "3=x", "--merge", "3", "1", "--merge", "0", before["id2label"]["7"]])
    printed = capsys.readouterr().out
    assert "of 6 symbols used" in printed and "Removed evaluation.json: scores of the symbols before" in printed
    assert not (folder / "evaluation.json").exists() and (folder / "likelihood.json").exists()
    after = json.loads((folder / "config.json").read_text())
    assert after["symbol_groups"] == [0, 1, 2, 1, 3, 4, 5, 0]
    assert (folder / "model.safetensors").read_bytes() == weights
    names = [before["id2label"][str(symbol)] for symbol in range(8)]
    assert list(saved_names(checkpoint).values()) == [names[0], "x", names[2], *names[4:7]]
    for name in ("id2label", "label2id", "symbol_groups"):
        before.pop(name, None), after.pop(name)
    assert before == after
    assert len(read_report(folder / "report.json")["symbols"]) == 6
    model = LDEBMModel.from_pretrained(folder)
    new = {one["label"]: one["score"] for one in model.classify(text, top_k=None)[0]}
    assert new["x"] == pytest.approx(old[names[3]] + old[names[1]], abs=1e-6)
    assert new[names[0]] == pytest.approx(old[names[0]] + old[names[7]], abs=1e-6)
    assert new[names[5]] == pytest.approx(old[names[5]], abs=1e-6)


def test_merging_renews_code_that_does_not_know_of_it(explain, checkpoint):
    folder = Path(checkpoint)
    LDEBMModel.from_pretrained(folder).save_pretrained(folder)
    (folder / "symbol_groups.py").unlink()
    (folder / "energy.py").write_text("raise SystemError('old code')\n")
    explain.main([checkpoint, *QUICK, "--names", "0=y"])
    assert not (folder / "symbol_groups.py").exists(), "names alone change no code"
    explain.main([checkpoint, *QUICK, "--merge", "0", "1"])
    script = f"""
from transformers import AutoModel
print(AutoModel.from_pretrained({str(folder)!r}, trust_remote_code=True).config.num_labels)
"""
    assert run_clean(script, folder, package=False).splitlines()[-1] == "7"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--merge", "0", "99"], "groups must be .* got '99'"),
        (["--merge", "0", "1", "--merge", "1", "2"], "groups must mention each symbol once, got symbol 1"),
        (["--names", "0=x", "--merge", "weather", "nothing"], "got 'nothing'"),
    ],
)
def test_bad_groups_change_nothing(explain, checkpoint, options, message):
    before = Path(checkpoint, "config.json").read_bytes()
    with pytest.raises(ValueError, match=message):
        explain.main([checkpoint, *QUICK, *options])
    assert Path(checkpoint, "config.json").read_bytes() == before


def test_a_file_of_names_and_groups_is_for_the_symbols_before(explain, checkpoint, tmp_path, capsys):
    content = {"names": [f"name {i}" for i in range(8)], "merge": [[6, 7]]}
    names = tmp_path / "names.json"
    names.write_text(json.dumps(content))
    first = saved_names(checkpoint)[0]
    explain.main([checkpoint, *QUICK, "--names", str(names), "--merge", first, "1"])
    expected = {symbol: f"name {name}" for symbol, name in enumerate((0, 2, 3, 4, 5, 6))}
    assert saved_names(checkpoint) == expected
    with pytest.raises(ValueError, match="groups must be in 0..5 or one of .*; got 6"):
        explain.main([checkpoint, *QUICK, "--names", str(names)])
    assert saved_names(checkpoint) == expected
    for wrong in ({"names": {}, "merge": [[0, 1]]}, {"names": [], "merge": [["a", "b"]]}, {"names": [], "merge": [1]}):
        names.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match="must hold a list of names and a list of groups of ids to merge"):
            explain.main([checkpoint, *QUICK, "--names", str(names)])


@pytest.mark.parametrize("content", [{"0": "first", "weather": "rain"}, [f"name {i}" for i in range(8)]])
def test_names_from_a_file(explain, checkpoint, tmp_path, content, capsys):
    (tmp_path / "names.json").write_text(json.dumps(content))
    explain.main([checkpoint, *QUICK, "--names", str(tmp_path / "names.json")])
    names = set(saved_names(checkpoint).values())
    assert names >= set(content if isinstance(content, list) else content.values()) and len(names) == 8


def test_automatic_names_spare_given_ones_and_symbols_without_texts(explain, corpus, tmp_path, capsys):
    checkpoint = save_untrained(tmp_path / "unnamed", corpus, num_symbols=30)
    explain.main([checkpoint, *QUICK])
    symbols = read_report(Path(checkpoint, "report.json"))["symbols"]
    used = [symbol["id"] for symbol in symbols if symbol["num_texts"]]
    assert 1 < len(used) < 30
    explain.main([checkpoint, *QUICK, "--auto_names", "--names", f"{used[0]}=mine"])
    names = saved_names(checkpoint)
    expected = {symbol["id"]: symbol["suggested_name"] for symbol in symbols if symbol["id"] in used[1:]}
    assert names == {symbol: f"LABEL_{symbol}" for symbol in range(30)} | expected | {used[0]: "mine"}
    after = read_report(Path(checkpoint, "report.json"))["symbols"]
    assert {symbol["id"]: symbol["name"] for symbol in after} == names


def test_texts_of_a_file_with_classes(explain, checkpoint, tmp_path, capsys):
    rows = ["body,topic,author"] + [f"will it rain on day {i},{'ab'[i % 2]},{'x' if i < 3 else ''}" for i in range(20)]
    (tmp_path / "my.csv").write_text("\n".join(rows))
    Path(checkpoint, "settings.yaml").unlink()
    with pytest.raises(ValueError, match=r"does not say what it was trained on \(settings.yaml\): give --data"):
        explain.main([checkpoint])
    request = ["--data", str(tmp_path / "my.csv"), "--text_column", "body", "--label_column", "topic"]
    explain.main([checkpoint, *request, "--attribute_columns", "author", "--num_samples", "0"])
    report = read_report(Path(checkpoint, "report.json"))
    assert report["num_texts"] == 20 and report["details"]["texts"] == "my, all"
    assert report["attributes"]["label"] == {"known": 20, "shares": {"a": 0.5, "b": 0.5}}
    assert report["attributes"]["author"] == {"known": 3, "shares": {"x": 1.0}}


def test_documents_have_words_beside_those_of_lda(explain, corpus, tmp_path, capsys):
    rows = ["body"] + [f"{'cold wet windy storm' if i % 2 else 'ball goal team coach'} item {i}" for i in range(80)]
    (tmp_path / "my.csv").write_text("\n".join(rows))
    settings = Settings(
        data=DataSettings(source=str(tmp_path / "my.csv"), text_column="body"),
        model=untrained.SIZES | {"modality": "document", "document_hidden_size": 8, "num_symbols": 3},
    )
    tokenizer = build_document_tokenizer(rows[1:])
    model = LDEBMModel(settings.model_config(tokenizer))
    spread_latents(model)
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "model")
    settings.save(tmp_path / "model" / "settings.yaml")
    explain.main([str(tmp_path / "model"), "--data", str(tmp_path / "my.csv"), "--num_samples", "4"])
    report = read_report(tmp_path / "model" / "report.json")
    words = set("cold wet windy storm ball goal team coach item".split())
    assert report["modality"] == "document" and report["topics"]["num_words"] == 4
    for symbol in report["symbols"]:
        assert len(symbol["generated"]) == 4 and set(symbol["generated"]) <= words
    assert len(report["topics"]["own"]["coherence_of_topics"]) == report["num_used"] == len(
        report["topics"]["lda"]["words"]
    )
    assert ", ".join(report["symbols"][0]["generated"]) in (tmp_path / "model" / "report.html").read_text()
    printed = capsys.readouterr().out
    assert "coherence (NPMI)" in printed and "ldebm classify" in printed


def test_advice_where_one_symbol_has_all_texts(explain, corpus, tmp_path, capsys):
    def same_latent_for_all(model):
        with torch.no_grad():
            for parameter in model.encoder.parameters():
                parameter.zero_()

    explain.main([untrained.save_untrained(tmp_path / "one", corpus, change=same_latent_for_all), *QUICK])
    printed = capsys.readouterr().out
    assert "1 of 8 symbols used, entropy 0.00 nats\nOne symbol has all texts, so it says nothing" in printed
    assert "--clustering.enabled true" in printed and "--clustering.features words" in printed
    explain.main([save_untrained(tmp_path / "several", corpus, num_symbols=30), *QUICK])
    assert "One symbol has all texts" not in capsys.readouterr().out


def test_hidden_labels_are_shown_all_the_same(explain, corpus, tmp_path, capsys):
    checkpoint = save_untrained(tmp_path / "few", corpus, DataSettings(label_fraction=0.01))
    explain.main([checkpoint, *QUICK])
    assert read_report(Path(checkpoint, "report.json"))["attributes"]["label"]["known"] == 60
    checkpoint = save_untrained(tmp_path / "counted", corpus, DataSettings(label_count=6))
    explain.main([checkpoint, *QUICK])
    assert read_report(Path(checkpoint, "report.json"))["attributes"]["label"]["known"] == 60


def test_sample_of_a_stream_stands_for_its_texts(explain, corpus, tmp_path, capsys):
    (tmp_path / "many.txt").write_text("\n".join(corpus.train.texts[:300]))
    data = DataSettings(source=str(tmp_path / "many.txt"), streaming=True, validation_size=20, reservoir_size=50)
    checkpoint = save_untrained(tmp_path / "streamed", corpus, data)
    explain.main([checkpoint, "--data", data.source, "--num_samples", "0"])
    assert read_report(Path(checkpoint, "report.json"))["num_texts"] == 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max_texts", "0"], "argument --max_texts: must be an integer of at least 1, got 0"),
        (["--output", "report.json"], "--output must end in .html, got 'report.json'"),
        (["--merge", "weather"], "--merge needs two or more symbols, got 'weather' alone"),
    ],
)
def test_bad_options(explain, checkpoint, options, message, capsys):
    with pytest.raises(SystemExit):
        explain.main([checkpoint, *options])
    assert message in capsys.readouterr().err


def test_names_cannot_be_written_to_the_hub(explain, capsys):
    with pytest.raises(SystemExit):
        explain.main(["someone/model", "--auto_names"])
    refusal = "--names, --merge and --auto_names write into the checkpoint, which must be a folder"
    assert refusal in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["refund"], "--names must be one .json file or SYMBOL=NAME, got 'refund'"),
        (["0=x", "1=x"], "names must be unique, got 'x'"),
        (["99=x"], "got '99'"),
    ],
)
def test_bad_names_change_nothing(explain, checkpoint, names, message):
    before = Path(checkpoint, "config.json").read_bytes()
    with pytest.raises(ValueError, match=message):
        explain.main([checkpoint, "--names", *names])
    assert Path(checkpoint, "config.json").read_bytes() == before


def test_models_without_symbols_or_texts_are_refused(explain, corpus, tmp_path):
    with pytest.raises(ValueError, match="prior='gaussian' has no symbols"):
        explain.main([save_untrained(tmp_path / "vae", corpus, preset="vae")])
    LDEBMModel(LDEBMConfig(modality="point", latent_size=2, num_symbols=2)).save_pretrained(tmp_path / "points")
    with pytest.raises(ValueError, match="holds a model of points"):
        explain.main([str(tmp_path / "points")])


def test_error_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "/nowhere/demo"])
    with pytest.raises(SystemExit, match=r"^error: no folder '/nowhere/demo' \(checkpoint\)$"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
