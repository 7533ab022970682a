"""spaces_app/deploy.py against a Hub on this machine."""

import runpy
import sys
from pathlib import Path

import pytest
import yaml

SCRIPT = Path(__file__).parents[2] / "spaces_app" / "deploy.py"


def deploy(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def refusal(monkeypatch, *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        deploy(monkeypatch, *arguments)
    assert "\n" not in str(stop.value)
    return str(stop.value)


def test_page_with_its_package_and_checkpoint(hub, monkeypatch, capsys):
    deploy(monkeypatch, "--repo_id", "me/page", "--private")
    assert capsys.readouterr().out.endswith(f"{hub.address}/spaces/me/page\n")
    space = hub.repositories["spaces", "me/page"]
    code = {"app.py", "ldebm_hf/model/modeling_ldebm.py", "ldebm_hf/web/page/layout.py"}
    assert code | {"requirements.txt"} <= set(space.files)
    assert any(name.endswith("/model.safetensors") for name in space.files) and "deploy.py" not in space.files
    front = yaml.safe_load(space.files["README.md"].decode().split("---")[1])
    assert front["sdk"] == "gradio" and space.private and not space.variables


def test_own_checkpoint_and_what_an_earlier_page_had(hub, folder, monkeypatch):
    deploy(monkeypatch, "--repo_id", "me/page")
    space = hub.repositories["spaces", "me/page"]
    assert not space.private
    space.commit(space.files | {"ldebm_hf/removed.py": b"of an earlier version"})
    deploy(monkeypatch, "--repo_id", "me/page", "--checkpoint", folder)
    assert "ldebm_hf/removed.py" not in space.files and ".gitattributes" in space.files
    weights = {name for name in space.files if name.count("/") == 1 and name.endswith("/model.safetensors")}
    assert weights == {f"{folder.name}/model.safetensors"}, "the page shows the one that there is"
    assert space.files[weights.pop()] == (folder / "model.safetensors").read_bytes()
    space.private = True
    deploy(monkeypatch, "--repo_id", "me/page", "--checkpoint", "me/texts")  # the page stays private
    assert space.private and space.variables == {"LDEBM_CHECKPOINT": "me/texts"}
    deploy(monkeypatch, "--repo_id", "me/page", "--checkpoint", "me/texts", "me/fluent")
    assert space.variables == {"LDEBM_CHECKPOINT": "me/texts,me/fluent"}


def test_refusals(hub, monkeypatch):
    hub.create("spaces", "me/other", files={"README.md": b"", "app.py": b"print()"})
    assert "'me/other' contains another page" in refusal(monkeypatch, "--repo_id", "me/other")
    assert "exists and is public" in refusal(monkeypatch, "--repo_id", "me/other", "--private")
    assert "has no permission to write to 'other/page'" in refusal(monkeypatch, "--repo_id", "other/page")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "does not accept the token" in refusal(monkeypatch, "--repo_id", "me/page")


def test_cut_upload_is_whole_the_next_time(hub, monkeypatch):
    hub.uploads_before_cut = 1
    assert "the same command continues" in refusal(monkeypatch, "--repo_id", "me/page")
    space = hub.repositories["spaces", "me/page"]
    assert set(space.files) == {".gitattributes"}
    hub.uploads_before_cut = None
    deploy(monkeypatch, "--repo_id", "me/page")
    assert "app.py" in space.files and len(hub.uploads) == len(set(hub.uploads)) > 1
