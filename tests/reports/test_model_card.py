"""Model cards: code that runs, scores with their chance levels, terms of the data, and nothing left to fill in."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from tiny_base_models import bert, pretrained_model
from tiny_models import TINY_SIZES
from transformers import AutoTokenizer

from ldebm_hf import (
    LDEBMConfig,
    LDEBMModel,
    build_document_tokenizer,
    build_subword_tokenizer,
    build_tokenizer,
)
from ldebm_hf.data import KNOWN_SOURCES
from ldebm_hf.reports.model_card import is_untouched, model_card, sealed
from ldebm_hf.reports.run_record import RunRecord
from ldebm_hf.training.saved_runs import settings_of, shipped_checkpoint

REPOSITORY = Path(__file__).resolve().parents[2]
TEXTS = ["good bread and fruit", "bad weather and rain", "neither bread nor rain"]
SYMBOLS = TINY_SIZES["id2label"]
DOCUMENT = {"modality": "document", "document_hidden_size": 8}
POINT = {"modality": "point", "latent_size": 2, "point_hidden_size": 8}
FACTS = {
    "corpus": {
        "name": "x",
        "license": "mit",
        "splits": {"train": {"size": 3000, "labelled": 30}, "validation": {"size": 200, "labelled": 0}},
        "notes": ["train: 7 empty texts left out"],
    },
    "parameters": 12345,
    "environment": {"python": "3.11.9", "torch": "2.13"},
    "hardware": {"device": "A Fast GPU", "processes": 2, "threads": 1},
}


def save(folder: Path, preset: str = "consistent", **settings) -> Path:
    """A folder with a tiny untrained model, its code left out, and its tokenizer."""
    values = {**TINY_SIZES, **settings}
    if values.get("modality") != "point":
        build = build_document_tokenizer if values.get("modality") == "document" else build_tokenizer
        tokenizer = build(TEXTS)
        tokenizer.save_pretrained(folder)
        values["vocab_size"] = len(tokenizer)
    if preset in ("vae", "rnn_lm"):
        del values["id2label"]
    torch.manual_seed(0)
    LDEBMModel(LDEBMConfig.from_preset(preset, **values)).save_pretrained(folder)
    for code in folder.glob("*.py"):
        code.unlink()
    return folder


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).write_text(json.dumps(content))


def card_of(folder: Path, **options) -> ModelCard:
    """The card as the Hub reads it."""
    return ModelCard(sealed(model_card(RunRecord.read(folder), **options)))


@pytest.mark.parametrize(
    ("preset", "settings"),
    [
        ("consistent", {}),
        ("vae", {}),
        ("rnn_lm", {}),
        ("gm_vae", {}),
        ("di_vae", {"num_code_variables": 2, "num_code_categories": 4}),
        ("consistent", DOCUMENT),
        ("vae", DOCUMENT),
        ("consistent", {"context_size": 8, "context_hidden_size": 8}),
        ("vae", {"context_size": 8, "context_hidden_size": 8}),
        ("consistent", POINT),
        ("vae", POINT),
    ],
)
def test_code_runs_and_asks_for_symbols_only_where_there_are_some(tmp_path, capsys, preset, settings):
    card = card_of(save(tmp_path / "model", preset, **settings))
    code = card.text.split("```python\n")[1].split("```")[0]
    exec(code, {})
    assert capsys.readouterr().out
    has_symbols = RunRecord.read(tmp_path / "model").config.has_symbols
    if not settings.get("context_size"):
        assert "encode" in code or "latents" in code or preset == "rnn_lm"
    assert ("class_labels" in code or "classify" in code) == has_symbols == ("## Symbols" in card.text)
    assert "None" not in card.text and "trust_remote_code" not in card.text


def test_record_of_a_run_is_in_its_card(tmp_path):
    folder = save(tmp_path / "run")
    write(folder, "run.json", FACTS)
    (folder / "settings.yaml").write_text(
        "data: {source: /home/me/secret/my.csv, data_dir: /home/me, max_length: 40}\n"
        "clustering: {enabled: true}\ntraining: {seed: 7, output_dir: /home/me/run}\n"
    )
    scores = {"reconstruction_loss": 3.25, "v_measure": 0.5}
    lines = {"validation": scores, "clock": {"wall_seconds": 1500.2, "cpu_seconds": 2999.9}}
    rows = [json.dumps({"step": 5, "epoch": 1, "split": split, "values": values}) for split, values in lines.items()]
    (folder / "metrics.jsonl").write_text("\n".join(rows))
    (folder / "curves.png").touch()
    card = card_of(folder, place="me/texts", pictures="run/")
    for stated in (
        "12,345 parameters, 3 symbols, a latent of 4 numbers",
        "My.csv: chosen by the user of the package.",
        "Licence of the data: mit.",
        "| train | 3,000 | 30 |",
        "30 training texts had a label, which their symbol was learned from; the others' by clustering of latents.",
        "* train: 7 empty texts left out",
        "(step 5, chosen by\nreconstruction loss)",
        "| v measure | 0.5 |",
        "![Validation values by epoch](run/curves.png)",
        "texts are cut to 40 tokens",
        "seed: 7",
        "| torch | 2.13 |",
        "1,500 seconds of training, and 3,000 CPU seconds in the first of 2 processes; 3,000 GPU seconds (2 × A Fast",
    ):
        assert stated in card.text
    (folder / "settings.yaml").write_text("clustering: {enabled: true, features: word_classes}\n")
    assert "the others' by naive Bayes over words." in card_of(folder).text
    assert "/home/me" not in card.text and "secret" not in card.text, "no card shows anybody's folders"
    assert "Nobody has examined the training texts" in card.text
    assert card.data.license == "mit" and card.data.language is None
    assert {result.metric_type: result.metric_value for result in card.data.eval_results} == scores


def test_scores_in_both_protocols(tmp_path):
    folder = save(tmp_path / "run")
    agreement = {"act_homogeneity": 0.4, "act_homogeneity_chance": 0.02, "act_homogeneity_chance_std": 0.001,
                 "act_batched_homogeneity": 0.79, "act_batched_homogeneity_chance": 0.66}  # fmt: skip
    others = {"bleu": 17.5, "kmeans_act_homogeneity": 0.1, "real_perplexity": 3.0, "accuracy@4": 1.0, "odd": None}
    write(folder, "evaluation.json", agreement | others)
    likelihood = {"num_examples": 300, "lower": -18.9, "lower_error": 0.02, "perplexity": 4.3, "is_trusted": False,
                  "published": -41.5}  # fmt: skip
    write(folder, "likelihood.json", {"summary": likelihood})
    card = card_of(folder)
    assert "| act | homogeneity | 0.400 (0.020) | 0.790 (0.660) |" in card.text and "| bleu | 17.5 |" in card.text
    assert "at least\n-18.9 ± 0.02" in card.text and "too imprecise to be more than a bound" in card.text
    assert "estimator of the published protocol gives -41.5, which is not a likelihood" in card.text
    scores = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert scores == {"bleu": 17.5, "act_homogeneity": 0.4, "act_batched_homogeneity": 0.79,
                      "log_likelihood_lower_bound": -18.9}  # fmt: skip


def test_sentences_written_for_classes_by_way(tmp_path):
    folder = save(tmp_path / "run")
    plain = {"accuracy": 0.91, "accuracy_std_error": 0.01, "accuracy_chance": 0.5, "accuracy_good": 0.84,
             "accuracy_good_std_error": 0.01, "acceptability": 0.3, "acceptability_std_error": 0.02,
             "acceptability_chance": 0.1, "distinct_2": 0.22, "self_bleu": 36.1, "copied": 0.06, "empty": 0.0}
    scores = {f"real_{name}": value / 2 for name, value in plain.items()} | plain
    scores |= {f"{name}@as read": value for name, value in plain.items()} | {"accuracy@0.5": 0.7, "bleu": 17.5}
    write(folder, "evaluation.json", scores)
    card = card_of(folder)
    starts = ("| | as", "| real", "| likeliest", "| guidance", "| as")
    table = [line for line in card.text.splitlines() if line.startswith(starts)]
    assert table == [
        "| | as asked % | good % | acceptable % | acceptable if corrupted % | distinct-2 % | self-BLEU | copied % |",
        "| real held-out texts | 45.5 | 42 | 15 | 5 | 11 | 18.05 | 3 |",
        "| likeliest words | 91 | 84 | 30 | 10 | 22 | 36.1 | 6 |",
        "| as read | 91 | 84 | 30 | 10 | 22 | 36.1 | 6 |",
        "| guidance 0.5 | 70 |  |  |  |  |  |  |",
    ]
    assert "| bleu | 17.5 |" in card.text and "| accuracy |" not in card.text
    assert "`min_label_probability` of `generate`" in card.text
    assert "*Acceptable*: a second judge" in card.text
    assert {result.metric_type for result in card.data.eval_results} >= {"accuracy", "bleu"}


def test_half_precision_is_stated(tmp_path):
    folder = save(tmp_path / "run")
    assert "Weights are stored" not in card_of(folder).text
    LDEBMModel.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    assert "Weights are stored in bfloat16 and float32: 0.0 MB." in card_of(folder).text


def test_symbols_of_documents_have_the_words_that_they_write(tmp_path):
    folder = save(tmp_path, **DOCUMENT)
    names = LDEBMConfig.from_pretrained(folder).id2label
    symbols = [
        {"id": i, "name": "", "suggested_name": f"suggestion {i}", "share": 1 / len(names),
         "words": [], "generated": ["rain", "wind"]}
        for i in names
    ]  # fmt: skip
    write(folder, "report.json", {"symbols": symbols})
    assert str(card_of(folder)).count("| rain, wind |") == len(names)


def test_symbols_with_words_and_examples(tmp_path):
    folder = save(tmp_path / "run", id2label={0: "good | best", 1: "LABEL_1", 2: "bad"})
    symbols = [
        {"id": i, "name": "", "suggested_name": f"suggestion {i}", "share": share, "generated": examples,
         "words": [{"word": "<unk>", "score": 1, "count": 2}, {"word": "bread", "score": 1, "count": 2}]}
        for i, share, examples in ((0, 0.25, ["we like\nbread", "a | b"]), (1, 0.75, ["rain"]), (2, 0.0, []))
    ]  # fmt: skip
    write(folder, "report.json", {"symbols": symbols, "details": {"texts": "x, train"}})
    text = card_of(folder).text
    assert "In the order of their share of the texts (x, train)" in text
    rows = [line for line in text.splitlines() if line.startswith(("| 0 ", "| 1 ", "| 2 "))]
    assert rows == [
        r"| 1 | *suggestion 1* | 75.0% | \<unk\> bread | rain |",
        r"| 0 | good \| best | 25.0% | \<unk\> bread | we like bread<br>a \| b |",
        r"| 2 | bad | 0.0% | \<unk\> bread |  |",
    ]


def test_symbols_without_report(tmp_path):
    assert "good, bad, neutral." in card_of(save(tmp_path / "named")).text
    unnamed = card_of(save(tmp_path / "unnamed", id2label={i: f"LABEL_{i}" for i in range(60)})).text
    assert "60 symbols without names" in unnamed and "further symbols" not in unnamed
    many = card_of(save(tmp_path / "many", id2label={i: f"name {i}" for i in range(60)})).text
    assert "name 49." in many and "name 50" not in many and "10 further symbols are not shown" in many


@pytest.mark.parametrize(
    ("source", "stated", "license", "front"),
    [
        ("daily_dialog", None, "Licence of the data: cc-by-nc-sa-4.0.", {"license": "cc-by-nc-sa-4.0"}),
        ("ptb", None, "Licence of the data: LDC User Agreement", {"license": "other"}),
        ("my.csv", "the user's own data", "the data: unknown (the user's own data).", {"license": "unknown"}),
        ("me/data", "cc0-1.0", "Licence of the data: cc0-1.0.", {"license": "cc0-1.0"}),
        ("/home/me/data", "mit", "Data: chosen by the user", {"license": "mit"}),
        ("me/data", "proprietary", "the data: unknown (proprietary).", {"license": "unknown"}),
    ],
)
def test_terms_of_the_data(tmp_path, source, stated, license, front):
    folder = save(tmp_path / "run")
    (folder / "settings.yaml").write_text(yaml.safe_dump({"data": {"source": source}}))
    if stated is not None:
        write(folder, "run.json", {"corpus": {"license": stated}})
    card = card_of(folder)
    assert license in card.text
    data = card.data.to_dict()
    assert {name: data[name] for name in front} == front
    assert (data.get("license_name") is not None) == (front["license"] == "other")


def test_data_are_of_the_hub_where_the_run_read_them_there(tmp_path):
    """A name alone may be that of a local folder."""
    folder = save(tmp_path / "run")
    (folder / "settings.yaml").write_text("data: {source: me/data.v2}")
    for hub_id in (None, "me/data.v2"):
        write(folder, "run.json", {"corpus": {"license": "unknown", "hub_id": hub_id}})
        card = card_of(folder)
        assert ("huggingface.co/datasets/me/data.v2" in card.text) == (hub_id is not None)
        assert card.data.to_dict().get("datasets") == (hub_id and [hub_id])
        assert ("source: me/data.v2" in card.text) == (hub_id is not None), "no card shows anybody's folders"


def test_every_known_source_states_its_bias():
    for source, kind in KNOWN_SOURCES.items():
        origin = kind.origin
        assert origin.bias.endswith(".") and origin.license and origin.title, source
        assert not origin.description.endswith(".")


def test_edited_cards_are_recognised(tmp_path):
    text = sealed(model_card(RunRecord.read(save(tmp_path / "run"))))
    assert is_untouched(text)
    assert not is_untouched(text.replace("Licence", "License", 1))
    assert not is_untouched(text + "\nMore.\n") and not is_untouched("# Mine\n")


def test_model_card_of_the_repository_is_that_of_the_shipped_checkpoint(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    folder = shipped_checkpoint(Path("spaces_app"))
    card = sealed(model_card(RunRecord.read(folder), pictures=f"{folder.as_posix()}/"))
    assert Path("MODEL_CARD.md").read_text("utf-8") == card, f"examples/push_to_hub.py {folder} --card MODEL_CARD.md"


def test_settings_of_the_shipped_checkpoint_are_those_it_was_trained_with():
    """A default that changed since would appear in the card as a setting of the run."""
    folder = shipped_checkpoint(REPOSITORY / "spaces_app")
    config = LDEBMConfig.from_pretrained(folder)
    names = [config.id2label[symbol] for symbol in range(config.num_labels)]
    made = settings_of(str(folder)).model_config(AutoTokenizer.from_pretrained(folder), names)
    different = [name for name in LDEBMConfig.__annotations__ if getattr(made, name) != getattr(config, name)]
    assert different == []


def test_what_the_vocabulary_does_not_have(tmp_path):
    """Words are unknown, subwords are not; a tokenised corpus says that its tokenizer reads natural writing."""
    folder, unknown, natural = save(tmp_path / "model"), "any other word is unknown", "texts as people write them"
    build_tokenizer(TEXTS, raw_text=False).save_pretrained(folder)
    assert unknown in str(card_of(folder)) and natural not in str(card_of(folder))
    build_tokenizer(["the bread , good .", "the rain , bad ."]).save_pretrained(folder)
    assert unknown in str(card_of(folder)) and natural in str(card_of(folder))
    build_subword_tokenizer(TEXTS).save_pretrained(folder)
    assert "so none is unknown" in str(card_of(folder))
    assert unknown not in str(card_of(folder)) and natural not in str(card_of(folder))


def test_card_names_base_models_without_folders_of_this_machine(tmp_path):
    for file in bert().iterdir():
        place = tmp_path / "folders of mine" / "a-sentence-encoder" / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    model, tokenizer = pretrained_model(place.parent)
    folder = tmp_path / "run"
    model.save_pretrained(folder)
    settings = {"data": {"features_dir": "/somewhere"}, "model": {"encoder_name_or_path": str(place.parent)}}
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    text = str(model_card(RunRecord.read(folder), "someone/mine"))
    assert "Texts are read by the pretrained encoder a-sentence-encoder." in text
    assert "folders of mine" not in text and "/somewhere" not in text
    config = json.loads((folder / "config.json").read_text()) | {"encoder_name_or_path": "someone/an-encoder"}
    (folder / "config.json").write_text(json.dumps(config))
    card = model_card(RunRecord.read(folder), "someone/mine")
    assert card.data.base_model == ["someone/an-encoder"] and "encoder someone/an-encoder." in str(card)
