"""The Space: one page to try a model of texts. `build()` creates the page, `python app.py` starts it.

    python spaces_app/app.py                                  # the checkpoint in this folder
    python spaces_app/app.py outputs/mine --port 7861         # a folder or a Hub id; or LDEBM_CHECKPOINT=…

Every answer depends on its request alone. Texts of a visitor to train on are deleted after the training; the file with
them and the pictures of answers are deleted after some minutes. Nothing else that a visitor enters is stored.
"""

import argparse
import os
import signal
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import torch
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware
from tabs import completion_tab, diffusion_tab, map_tab, own_texts_tab, priors_tab, reading_tab, writing_tab

from ldebm_hf.commands.options import run_script
from ldebm_hf.training.saved_runs import shipped_checkpoint
from ldebm_hf.web.map_drawing import MapPictures
from ldebm_hf.web.own_texts import OwnTextLimits, OwnTexts
from ldebm_hf.web.page_requests import PageRequests
from ldebm_hf.web.prior_comparison import PriorComparison
from ldebm_hf.web.request_guard import RequestGuard

HERE = Path(__file__).resolve().parent
QUEUE_SIZE = 64
FEW_SYMBOLS = 12
# On a narrow screen, tables keep readable column widths and scroll.
STYLE = """
#page { max-width: 1180px; margin: auto; }
@media (max-width: 640px) {
  .table-wrap table { table-layout: fixed; width: max-content !important; }
  .table-wrap :is(th, td, .body-cell) {
    box-sizing: border-box !important; flex: 0 0 112px !important;
    width: 112px !important; min-width: 112px !important; max-width: 112px !important;
  }
  .table-wrap :is(th, td, .body-cell):first-child {
    flex-basis: 220px !important; width: 220px !important; min-width: 220px !important; max-width: 220px !important;
  }
}
"""
DELETE_FILES = (60, 900)  # every so many seconds pictures of answers and uploads that are older than so many seconds
UPLOADS = Path(get_upload_folder()) if OwnTexts.is_possible() else None  # without a tab for them there are none
LAUNCH_OPTIONS = {
    "css": STYLE,
    "ssr_mode": False,
    "run_history": False,
    "footer_links": ["api", "settings"],
    "max_file_size": OwnTextLimits.file_bytes,
    "show_error": True,  # of requests that do not fit an endpoint; errors inside are worded in tabs.py
    "app_kwargs": {"middleware": [Middleware(RequestGuard, uploads=UPLOADS)]},
}
INTRODUCTION = """# Latent diffusion energy-based models of text

The model was trained on sentences. It encodes a sentence as a **latent**, a vector, and learns to divide the latents
into **symbols** (topics, intents, sentiments). To write a new sentence, it samples a latent by **reverse diffusion**
and decodes it.

Checkpoint: **{checkpoint}**. {symbols} The map shows {num_texts:,} {origin}."""


def build(
    checkpoint: str | None = None, priors: str | Path | None = None, data: str | None = None
) -> gr.Blocks:
    """
    Load the models and create the page.

    Args:
        checkpoint (`str`, *optional*): Folder or Hub id; defaults to the environment variable `LDEBM_CHECKPOINT`, or
            to the checkpoint in the folder of this file.
        priors (`str` or `Path`, *optional*): Folder with one folder of models of points per data set; defaults to the
            environment variable `LDEBM_PRIORS`, or to `priors` in the folder of this file. Without any such model the
            page has no tab for them.
        data (`str`, *optional*): The file that the checkpoint was trained on, whose texts the map shows then.
    """
    checkpoint = checkpoint or os.environ.get("LDEBM_CHECKPOINT") or str(shipped_checkpoint(HERE))
    priors = Path(priors or os.environ.get("LDEBM_PRIORS") or HERE / "priors")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    requests = PageRequests.from_checkpoint(checkpoint, data=data, device=device)
    comparisons = {folder.name: PriorComparison.from_folder(folder) for folder in sorted(priors.glob("*/"))}
    for comparison in comparisons.values():
        comparison.prepare()
    return page(requests, comparisons, Path(checkpoint).name if Path(checkpoint).is_dir() else checkpoint)


def page(requests: PageRequests, comparisons: dict[str, PriorComparison], title: str) -> gr.Blocks:
    """The page of loaded models. Tabs for requests that the checkpoint cannot answer are left out."""
    pictures = MapPictures(requests.map, requests.names) if requests.map else None
    title_of_page = "Latent diffusion energy-based models of text"
    with gr.Blocks(title=title_of_page, elem_id="page", delete_cache=DELETE_FILES) as demo:
        gr.Markdown(
            INTRODUCTION.format(
                checkpoint=title,
                symbols=symbols_sentence(list(requests.names.values())),
                num_texts=len(requests.map.texts) if requests.map else 0,
                origin=requests.origin,
            )
        )
        with gr.Tabs():
            with gr.Tab("Write", id="write"):
                writing_tab(requests)
            if requests.map:
                with gr.Tab("Read a text", id="read"):
                    reading_tab(requests, pictures)
                with gr.Tab("Latent map", id="map"):
                    map_tab(requests, pictures)
            if requests.map and requests.has_levels:
                with gr.Tab("Reverse diffusion", id="diffusion"):
                    diffusion_tab(requests, pictures)
            with gr.Tab("Complete", id="complete"):
                completion_tab(requests)
            if comparisons:
                with gr.Tab("Compare priors", id="priors"):
                    priors_tab(comparisons)
            if UPLOADS:
                with gr.Tab("Your own texts", id="own"):
                    own_texts_tab(OwnTexts(), UPLOADS)
    return demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=1)


def symbols_sentence(names: list[str]) -> str:
    """A sentence that says how many symbols there are, with their names if they are few."""
    if not names:
        return "Its prior has no symbols."
    if len(names) == 1:
        return "It has 1 symbol."
    listed = f": {', '.join(names)}" if len(names) <= FEW_SYMBOLS else ""
    return f"It has {len(names)} symbols{listed}."


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "checkpoint", nargs="?", help="Folder or Hub id. Default: LDEBM_CHECKPOINT, or the checkpoint in this folder."
    )
    parser.add_argument(
        "--data", metavar="FILE", help="File that the checkpoint was trained on. Without it, no map shows its texts."
    )
    parser.add_argument("--host", help="Address to listen on. Default: GRADIO_SERVER_NAME, or this machine only.")
    parser.add_argument(
        "--port", type=int, help="Port to listen on. Default: GRADIO_SERVER_PORT, or the first free one from 7860."
    )
    options = parser.parse_args(arguments)
    # What ends a Space or a service then ends the page as Ctrl-C does, and gradio deletes the files of visitors.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    demo = build(options.checkpoint, data=options.data)
    demo.launch(server_name=options.host, server_port=options.port, **LAUNCH_OPTIONS)


if __name__ == "__main__":
    run_script(main)
