"""What the page shows: a part for each checkpoint, with a tab for everything that it can do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr
import torch
from gradio.utils import get_upload_folder

from ..own_texts import OwnTexts
from ..page_requests import PageRequests
from ..prior_comparison import PriorComparison
from .latent_tabs import diffusion_tab, map_tab, reading_tab
from .own_texts_tab import own_texts_tab
from .priors_tab import priors_tab
from .shown_model import ShownModel
from .writing_tabs import completion_tab, writing_tab

TITLE = "Latent diffusion energy-based models of text"
QUEUE_SIZE = 64
FEW_SYMBOLS = 12
DELETE_FILES = (60, 900)  # every so many seconds pictures of answers and uploads that are older than so many seconds
INTRODUCTION = """# Latent diffusion energy-based models of text

The model was trained on sentences. It encodes a sentence as a **latent**, a vector, and learns to divide the latents
into **symbols** (topics, intents, sentiments). To write a new sentence, it samples a latent by **reverse diffusion**
and decodes it.

Checkpoint: **{checkpoint}**. {symbols} The map shows {num_texts:,} {origin}."""
INTRODUCTION_WITHOUT_CHECKPOINT = """# Latent diffusion energy-based models of text

A small model learns from texts of your own, here on the page. It encodes a text as a **latent**, a vector, and divides
the latents into **symbols** (topics, intents, sentiments). To write a new text, it samples a latent by **reverse
diffusion** and decodes it."""


def build(
    checkpoints: Sequence[str] = (),
    priors: str | Path | None = None,
    data: str | None = None,
    own: OwnTexts | None = None,
) -> gr.Blocks:
    """
    Load the models and create the page.

    Args:
        checkpoints (`Sequence[str]`, *optional*): Folders or Hub ids. The first is shown at the page's own address,
            the others at addresses below it, to which a bar at the top leads. Without any, the page is for visitors'
            own texts alone.
        priors (`str` or `Path`, *optional*): Folder with one folder of models of points per data set. Without any such
            model the page has no tab for them.
        data (`str`, *optional*): The file that the checkpoints were trained on, whose texts their maps show then.
        own ([`OwnTexts`], *optional*): What trains models on visitors' own texts; without it there is no tab for them.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If a checkpoint is not a model of texts without contexts, or is named twice; without checkpoints
            and `own`.
    """
    if not checkpoints and own is None:
        raise ValueError(
            "there is nothing to show: name a checkpoint, or install faiss, with which visitors train models on texts "
            'of their own: pip install "ldebm_hf[cpu,demo]"'
        )
    titles = titles_of(checkpoints)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    models = []
    for number, (checkpoint, title) in enumerate(zip(checkpoints, titles, strict=True), 1):
        models.append(ShownModel(title, PageRequests.from_checkpoint(checkpoint, data=data, device=device), number))
    folders = sorted(Path(priors).glob("*/")) if priors is not None else []
    comparisons = {folder.name: PriorComparison.from_folder(folder) for folder in folders}
    for comparison in comparisons.values():
        comparison.prepare()
    return page(models, comparisons, own)


def titles_of(checkpoints: Sequence[str]) -> list[str]:
    """What the page calls the checkpoints: the names of their folders, or all of what was given where these agree."""
    for checkpoint in checkpoints:
        if checkpoints.count(checkpoint) > 1:
            raise ValueError(f"checkpoints must differ, but {checkpoint!r} is given twice")
    names = [Path(one).resolve().name if Path(one).is_dir() else one for one in checkpoints]
    return [name if names.count(name) == 1 else given for name, given in zip(names, checkpoints, strict=True)]


def page(models: Sequence[ShownModel], comparisons: dict[str, PriorComparison], own: OwnTexts | None) -> gr.Blocks:
    """The page of loaded models, with what belongs to no checkpoint in its first part."""
    with gr.Blocks(title=TITLE, elem_id="page", delete_cache=DELETE_FILES) as demo:
        if len(models) > 1:
            gr.Navbar(main_page_name=models[0].title)
        gr.Markdown(introduction(models[0]) if models else INTRODUCTION_WITHOUT_CHECKPOINT)
        with gr.Tabs():
            if models:
                tabs_of_model(models[0])
            if comparisons:
                with gr.Tab("Compare priors", id="priors"):
                    priors_tab(comparisons)
            if own is not None:
                with gr.Tab("Your own texts", id="own"):
                    own_texts_tab(own, Path(get_upload_folder()))
    for model in models[1:]:
        with demo.route(model.title, model.address):
            gr.Navbar(main_page_name=models[0].title)
            gr.Markdown(introduction(model))
            with gr.Tabs():
                tabs_of_model(model)
    return demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=1)


def tabs_of_model(model: ShownModel) -> None:
    """The tabs of a checkpoint. Those for requests that it cannot answer are left out."""
    has_map = model.requests.map is not None
    with gr.Tab("Write", id="write"):
        writing_tab(model)
    if has_map:
        with gr.Tab("Read a text", id="read"):
            reading_tab(model)
        with gr.Tab("Latent map", id="map"):
            map_tab(model)
    if has_map and model.requests.has_levels:
        with gr.Tab("Reverse diffusion", id="diffusion"):
            diffusion_tab(model)
    with gr.Tab("Complete", id="complete"):
        completion_tab(model)


def introduction(model: ShownModel) -> str:
    """What is said above the tabs of a checkpoint."""
    requests = model.requests
    return INTRODUCTION.format(
        checkpoint=model.title,
        symbols=symbols_sentence(list(requests.names.values())),
        num_texts=len(requests.map.texts) if requests.map else 0,
        origin=requests.origin,
    )


def symbols_sentence(names: list[str]) -> str:
    """A sentence that says how many symbols there are, with their names if they are few."""
    if not names:
        return "Its prior has no symbols."
    if len(names) == 1:
        return "It has 1 symbol."
    listed = f": {', '.join(names)}" if len(names) <= FEW_SYMBOLS else ""
    return f"It has {len(names)} symbols{listed}."
