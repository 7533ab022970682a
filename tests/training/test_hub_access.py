"""Whether pretrained models can be had, without a network."""

import huggingface_hub
import pytest

from ldebm_hf.training import Settings, hub_access
from ldebm_hf.training.hub_access import require_base_models

SETTINGS = {
    "encoder": {"encoder": "pretrained", "encoder_name_or_path": "me/model", "encoder_revision": "v2"},
    "decoder": {"decoder": "pretrained", "decoder_name_or_path": "me/model", "decoder_revision": "v2"},
}


@pytest.fixture(params=["encoder", "decoder"])
def settings(request, monkeypatch) -> Settings:
    """Settings with a pretrained part, in an empty cache and without a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub_access, "try_to_load_from_cache", lambda *arguments, **options: None)
    return Settings(model=SETTINGS[request.param])


def test_a_model_that_cannot_be_had_is_named_with_what_works_without_it(settings):
    part = "encoder" if "encoder" in settings.model else "decoder"
    expected = rf"^{part}_name_or_path='me/model' is neither .* \(OfflineModeIsEnabled\).*--config texts$"
    with pytest.raises(OSError, match=expected):
        require_base_models(settings)


def test_a_model_in_the_cache_a_folder_or_on_the_hub_will_do(settings, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(hub_access, "model_info", lambda *arguments, **options: asked.append((*arguments, options)))
    require_base_models(settings)
    assert asked == [("me/model", {"revision": "v2", "timeout": hub_access.TIMEOUT})]
    monkeypatch.setattr(hub_access, "try_to_load_from_cache", lambda name, file, revision: f"{name}/{revision}/{file}")
    require_base_models(settings)
    monkeypatch.setattr(hub_access, "try_to_load_from_cache", lambda *arguments, **options: None)
    name = next(name for name in settings.model if name.endswith("_name_or_path"))
    settings.model[name] = str(tmp_path)
    require_base_models(settings)
    assert len(asked) == 1


@pytest.mark.parametrize("cached", ["config.json", "modules.json"])
def test_a_layout_in_the_cache_will_do_with_or_without_a_model_at_its_top(settings, monkeypatch, cached):
    monkeypatch.setattr(hub_access, "model_info", None)
    there = {cached: "/cache/file"}
    monkeypatch.setattr(hub_access, "try_to_load_from_cache", lambda name, file, revision: there.get(file))
    require_base_models(settings)


def test_models_without_pretrained_parts_ask_nobody(monkeypatch):
    monkeypatch.setattr(hub_access, "model_info", None)
    require_base_models(Settings())
