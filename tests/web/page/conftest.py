"""A page of untrained models, started."""

from pathlib import Path

import pytest
from tiny_models import write_tiny_checkpoint

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.web.own_texts import OwnTexts

TEXTS = ["we like red fruit", "you sell bread", "they eat fruit with bread", "we sell tea and coffee today"]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> str:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("page") / "tiny", TEXTS, {0: "food", 1: "drink"})


@pytest.fixture(scope="session")
def second_checkpoint(tmp_path_factory) -> str:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("page") / "fluent", TEXTS, {0: "plain", 1: "polite"})


@pytest.fixture(scope="session")
def priors(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("priors")
    config = LDEBMConfig.from_preset("vae", modality="point", latent_size=2, point_hidden_size=8)
    LDEBMModel(config).save_pretrained(folder / "gaussians" / "vae")
    return folder


@pytest.fixture(scope="session")
def page(checkpoint, second_checkpoint, priors):
    pytest.importorskip("gradio")
    from ldebm_hf.web.page.layout import build

    own = OwnTexts() if OwnTexts.is_possible() else None
    return build([checkpoint, second_checkpoint], priors, own=own)


@pytest.fixture(scope="session")
def address(page):
    from ldebm_hf.web.page.serving import launch_options

    options = launch_options(takes_files=OwnTexts.is_possible())
    _, address, _ = page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **options)
    yield address
    page.close()
