"""A page that is started, and ended, as a program of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from ..own_texts import OwnTextLimits, OwnTexts
from ..request_guard import RequestGuard
from ..visitor_files import VisitorFiles
from .layout import build

# Links to other checkpoints are as dark as text. On a narrow screen, tables keep readable column widths and scroll.
STYLE = """
#page { max-width: 1180px; margin: auto; }
.nav-holder nav { justify-content: flex-start; }
.nav-holder nav a { color: var(--body-text-color); }
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


def serve(
    checkpoints: Sequence[str] = (),
    priors: str | Path | None = None,
    data: str | None = None,
    host: str | None = None,
    port: int | None = None,
) -> None:
    """
    Show a page until the process is interrupted or terminated, and end the process then: a training of a visitor is
    ended, and what visitors have uploaded is removed.

    Every answer depends on its request alone. Texts of a visitor to train on are deleted after the training; the file
    with them and the pictures of answers are deleted after some minutes. Nothing else that a visitor enters is stored.

    Args:
        checkpoints, priors, data: As for [`~ldebm_hf.web.page.layout.build`].
        host (`str`, *optional*): Address to listen on; defaults to `GRADIO_SERVER_NAME`, or this machine only.
        port (`int`, *optional*): Port to listen on; defaults to `GRADIO_SERVER_PORT`, or the first free one from 7860.

    Raises:
        FileNotFoundError, ValueError: As [`~ldebm_hf.web.page.layout.build`].
        OSError: If the port is not free.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what ends a service then ends the page as Ctrl-C does
    own = OwnTexts() if OwnTexts.is_possible() else None
    with VisitorFiles() as files:
        os.environ["GRADIO_TEMP_DIR"] = str(files.folder)
        demo = build(checkpoints, priors, data, own)
        try:
            options = launch_options(takes_files=own is not None)
            demo.launch(server_name=host, server_port=port, prevent_thread_lock=True, **options)
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            end_process(own, files)


def launch_options(takes_files: bool) -> dict[str, Any]:
    """
    The arguments of gradio's `launch` for a page.

    Args:
        takes_files (`bool`): Whether visitors may upload files.
    """
    uploads = Path(get_upload_folder()) if takes_files else None
    return {
        "css": STYLE,
        "ssr_mode": False,
        "run_history": False,
        "footer_links": ["api", "settings"],
        "max_file_size": OwnTextLimits.file_bytes,
        "show_error": True,  # of requests that do not fit an endpoint; errors inside are worded in events.py
        "app_kwargs": {"middleware": [Middleware(RequestGuard, uploads=uploads)]},
    }


def end_process(own: OwnTexts | None, files: VisitorFiles) -> None:
    """End this process without waiting for answers that are being computed, which can take many seconds."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if own is not None:
        own.close()
    files.remove()
    print("The page has ended.")
    sys.stdout.flush()
    os._exit(0)
