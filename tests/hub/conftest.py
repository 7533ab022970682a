"""A Hub on this machine that the Hub's client in this process talks to, and a run's folder to push there."""

import threading

import pytest
import torch
from huggingface_hub import constants
from loopback import LoopbackHub

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer
from ldebm_hf.training import Settings

TEXTS = ["we like red fruit", "you sell bread", "they eat fruit with bread", "we sell tea and coffee today"]
SIZES = {"embedding_size": 8, "encoder_hidden_size": 8, "decoder_hidden_size": 8, "latent_size": 4}
PLACE_OF_A_FILE = "{repo_id}/resolve/{revision}/{filename}"
ENERGY = {"energy_hidden_size": 8, "energy_num_blocks": 1, "langevin_steps": 2}


@pytest.fixture
def server():
    hub = LoopbackHub()
    threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield hub
    hub.shutdown()
    hub.server_close()


@pytest.fixture
def hub(server, tmp_path, monkeypatch) -> LoopbackHub:
    """The client of this process speaks to the server, with the token of `me`, an empty cache and no waiting."""
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{server.address}/{PLACE_OF_A_FILE}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setattr("transformers.utils.hub._hf_api", None)  # which keeps the address it was made with
    monkeypatch.setenv("HF_TOKEN", "hf_me")
    return server


@pytest.fixture
def folder(tmp_path):
    """What training leaves, of an untrained model: with a picture, a checkpoint, a report, and a stray file."""
    path = tmp_path / "run"
    tokenizer = build_tokenizer(TEXTS)
    torch.manual_seed(0)
    config = LDEBMConfig.from_preset(
        "consistent", vocab_size=len(tokenizer), id2label={0: "food", 1: "drink"}, **SIZES, **ENERGY
    )
    LDEBMModel(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    Settings(model=SIZES | ENERGY).save(path / "settings.yaml")
    (path / "metrics.jsonl").write_text(
        '{"step": 3, "epoch": 1, "split": "validation", "values": {"reconstruction_loss": 9.5, "v_measure": 0.25}}\n'
    )
    (path / "curves.png").write_bytes(b"a picture")
    (path / "private.csv").write_text("nobody's business")
    (path / "checkpoints" / "step-3").mkdir(parents=True)
    (path / "checkpoints" / "step-3" / "model.safetensors").write_bytes(b"large")
    return path
