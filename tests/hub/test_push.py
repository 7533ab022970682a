"""examples/push_to_hub.py against a Hub on this machine: what goes there, and what is said when it does not."""

import runpy
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, constants

from ldebm_hf.training import Settings

SCRIPT = Path(__file__).parents[2] / "examples" / "push_to_hub.py"


def push(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def refusal(monkeypatch, *arguments: object) -> str:
    """The one line that a push ends with."""
    with pytest.raises(SystemExit) as stop:
        push(monkeypatch, *arguments)
    said = str(stop.value)
    assert said.startswith("error: ") and "\n" not in said
    return said


def test_everything_of_the_model_and_nothing_else_is_pushed(hub, folder, monkeypatch, capsys):
    Settings.from_dict({"data": {"source": "/home/me/secret/my.csv", "data_dir": "/home/me"}}).save(
        folder / "settings.yaml"
    )
    push(monkeypatch, folder, "me/texts", "--revision", "v1")
    assert capsys.readouterr().out == f"{hub.address}/me/texts\n"
    repository = hub.repositories["models", "me/texts"]
    names = set(repository.files)
    assert {"config.json", "model.safetensors", "tokenizer.json", "modeling_ldebm.py", "README.md"} <= names
    assert {"settings.yaml", "metrics.jsonl", "curves.png"} <= names
    assert not any("/" in name for name in names) and "private.csv" not in names
    assert not any(b"/home/me" in content for content in repository.files.values()), "nobody's folders"
    assert yaml.safe_load(repository.files["settings.yaml"])["data"]["source"] == "my.csv"
    assert repository.files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert repository.private and repository.refs["v1"] == repository.refs["main"]

    card = ModelCard(repository.files["README.md"].decode())
    assert card.data.model_name == "texts" and card.data.license == "unknown"
    scores = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert scores == {"reconstruction_loss": 9.5, "v_measure": 0.25}
    assert 'pipeline("ldebm", model="me/texts", trust_remote_code=True)' in card.text


def test_same_push_again_changes_nothing_and_a_new_one_is_the_next_commit(hub, folder, monkeypatch):
    push(monkeypatch, folder, "texts", "--revision", "v1")  # of whoever has the token
    push(monkeypatch, folder, "texts", "--revision", "v1")
    repository = hub.repositories["models", "me/texts"]
    assert len(repository.commits) == 2
    (folder / "evaluation.json").write_text('{"bleu": 17.5}')
    said = refusal(monkeypatch, folder, "me/texts", "--revision", "v1")
    assert "revision 'v1' of 'me/texts' already names an earlier upload" in said
    assert "bleu" in repository.files["README.md"].decode() and len(repository.commits) == 3
    push(monkeypatch, folder, "me/texts", "--revision", "v2")
    assert repository.refs["v2"] == repository.refs["main"] != repository.refs["v1"]


def test_cut_push_says_so_and_the_same_command_goes_on(hub, folder, monkeypatch):
    hub.uploads_before_cut = 1
    said = refusal(monkeypatch, folder, "me/texts")
    assert "the connection to" in said and "the same command continues the upload" in said
    repository = hub.repositories["models", "me/texts"]
    assert set(repository.files) == {".gitattributes"} and len(hub.uploads) == 1, "all of it, or nothing"
    assert not (folder / "README.md").exists(), "no card says that the model is on the Hub before it is"
    hub.uploads_before_cut = None
    push(monkeypatch, folder, "me/texts")
    assert 'from_pretrained("me/texts"' in (folder / "README.md").read_text("utf-8")
    assert {"model.safetensors", "curves.png", "README.md"} <= set(repository.files)
    assert len(hub.uploads) == 2 and len(set(hub.uploads)) == 2, "what had arrived was not sent again"


def test_weights_of_an_earlier_push_do_not_stay_beside_the_new_ones(hub, folder, monkeypatch):
    push(monkeypatch, folder, "me/texts")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text("{}")
    push(monkeypatch, folder, "me/texts")
    weights = {name for name in hub.repositories["models", "me/texts"].files if name.startswith("model")}
    assert {"model-00001-of-00001.safetensors", "model.safetensors.index.json"} == weights - {"modeling_ldebm.py"}


def test_tokens_and_places(hub, folder, monkeypatch):
    assert "does not accept the token" in refusal(monkeypatch, folder, "me/texts", "--token", "hf_wrong")
    assert "has no permission to write to 'other/texts'" in refusal(monkeypatch, folder, "other/texts")
    hub.create("models", "other/texts")
    assert "has no permission to write to 'other/texts'" in refusal(monkeypatch, folder, "other/texts", "--public")
    assert "the token can only read" in refusal(monkeypatch, folder, "me/texts", "--token", "hf_reader")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no token"))
    assert "there is no token for the Hub" in refusal(monkeypatch, folder, "me/texts")
    assert ("models", "me/texts") not in hub.repositories


def test_repositories_that_are_there_already(hub, folder, monkeypatch):
    open_one = hub.create("models", "me/open")
    assert "'me/open' exists and is public" in refusal(monkeypatch, folder, "me/open")
    push(monkeypatch, folder, "me/open", "--public")
    assert "model.safetensors" in open_one.files
    hidden = hub.create("models", "me/hidden", private=True)
    assert "'me/hidden' exists and is private, but a public" in refusal(monkeypatch, folder, "me/hidden", "--public")
    assert len(hidden.commits) == 1
    push(monkeypatch, folder, "me/hidden")
    assert "model.safetensors" in hidden.files
    taken = hub.create("models", "me/taken", private=True, files={"config.json": b'{"model_type": "bert"}'})
    assert "'me/taken' holds another model, with model_type 'bert'" in refusal(monkeypatch, folder, "me/taken")
    assert len(taken.commits) == 1


def test_hub_that_is_not_there_or_switched_off(hub, folder, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "the connection to http://127.0.0.1:9 failed" in refusal(monkeypatch, folder, "me/texts")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refusal(monkeypatch, folder, "me/texts")


def test_bad_folders_and_names(hub, folder, tmp_path, monkeypatch):
    assert "has no config.json" in refusal(monkeypatch, tmp_path, "me/texts")
    assert "revision must consist" in refusal(monkeypatch, folder, "me/texts", "--revision", "main")
    assert "Repo id must" in refusal(monkeypatch, folder, "me/texts/three")
    (folder / "modeling_ldebm.py").unlink()
    assert "folder must hold the code of the model" in refusal(monkeypatch, folder, "me/texts")
    assert not hub.repositories


def test_edited_card_stays(hub, folder, monkeypatch, caplog):
    (folder / "README.md").write_text("# My own words\n")
    push(monkeypatch, folder, "me/texts")
    assert hub.repositories["models", "me/texts"].files["README.md"] == b"# My own words\n"
    assert "has been edited" in caplog.text


def test_card_alone(folder, tmp_path, monkeypatch):
    push(monkeypatch, folder, "--card", tmp_path / "MODEL_CARD.md")
    text = (tmp_path / "MODEL_CARD.md").read_text("utf-8")
    assert "](run/curves.png)" in text and f'from_pretrained("{folder}"' in text
    with pytest.raises(SystemExit):
        push(monkeypatch, folder, "me/texts", "--card", tmp_path / "MODEL_CARD.md")
