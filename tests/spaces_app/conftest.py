"""The Space's modules, as its own folder sees them, and a page of an untrained model, started."""

import sys
from pathlib import Path

import pytest
import torch

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer

SPACE = Path(__file__).parents[2] / "spaces_app"
TEXTS = ["we like red fruit", "you sell bread", "they eat fruit with bread", "we sell tea and coffee today"]


@pytest.fixture(scope="session", autouse=True)
def space_on_path():
    sys.path.insert(0, str(SPACE))
    yield
    sys.path.remove(str(SPACE))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("space") / "tiny"
    tokenizer = build_tokenizer(TEXTS)
    torch.manual_seed(1)
    sizes = {"embedding_size": 8, "encoder_hidden_size": 8, "decoder_hidden_size": 8, "latent_size": 4}
    energy = {"energy_hidden_size": 8, "energy_num_blocks": 1, "langevin_steps": 2}
    names = {0: "food", 1: "drink"}
    config = LDEBMConfig.from_preset("consistent", vocab_size=len(tokenizer), id2label=names, **sizes, **energy)
    LDEBMModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    return str(folder)


@pytest.fixture(scope="session")
def priors(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("priors")
    config = LDEBMConfig.from_preset("vae", modality="point", latent_size=2, point_hidden_size=8)
    LDEBMModel(config).save_pretrained(folder / "gaussians" / "vae")
    return folder


@pytest.fixture(scope="session")
def app(space_on_path):
    pytest.importorskip("gradio")
    import app

    return app


@pytest.fixture(scope="session")
def page(app, checkpoint, priors):
    return app.build(checkpoint, priors)


@pytest.fixture(scope="session")
def address(app, page):
    _, address, _ = page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **app.LAUNCH_OPTIONS)
    yield address
    page.close()
