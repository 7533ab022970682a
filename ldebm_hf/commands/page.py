"""Show models of texts on a page in the browser: write, read, look at the map of latents, complete, train.

    ldebm page                                                # visitors train a small model on texts of their own
    ldebm page outputs/demo                                   # a folder or a Hub id
    ldebm page outputs/mine --data my.csv --port 7861         # the map shows the texts of training
    ldebm page outputs/small outputs/fluent                   # two models, with a choice at the top of the page

Needs gradio: pip install "ldebm_hf[demo]". With faiss, too (pip install "ldebm_hf[cpu,demo]"), visitors can train on
their own texts. Every button is also an endpoint for programs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from .options import make_parser, run_script

CONTINUES = None


def main(
    arguments: list[str] | None = None, checkpoints: Sequence[str] = (), priors: str | Path | None = None
) -> None:
    """
    Start the page.

    Args:
        arguments (`list[str]`, *optional*): The words of the command line; defaults to the program's own.
        checkpoints (`Sequence[str]`, *optional*): What is shown if neither the command line nor the environment
            variable `LDEBM_CHECKPOINT`, with commas between checkpoints, names any.
        priors (`str` or `Path`, *optional*): Folder of models of points for the comparison of priors, if the
            environment variable `LDEBM_PRIORS` names none.
    """
    options = build_parser(prog="ldebm page").parse_args(arguments)
    missing = [name for name in ("gradio", "matplotlib") if find_spec(name) is None]
    if missing:
        raise ImportError(f'the page needs {" and ".join(missing)}: pip install "ldebm_hf[demo]"')
    from ..web.page.serving import serve

    of_environment = [name.strip() for name in os.environ.get("LDEBM_CHECKPOINT", "").split(",") if name.strip()]
    serve(
        options.checkpoints or of_environment or list(checkpoints),
        priors=os.environ.get("LDEBM_PRIORS") or priors,
        data=options.data,
        host=options.host,
        port=options.port,
    )


def build_parser(description: str | None = __doc__, prog: str | None = None):
    """The parser of this command."""
    parser = make_parser(description, "[CHECKPOINT ...] [options]", prog=prog)
    parser.add_argument(
        "checkpoints", nargs="*", metavar="CHECKPOINT", help="folder or Hub id (default: LDEBM_CHECKPOINT, or none)"
    )
    parser.add_argument("--data", metavar="FILE", help="file that the models were trained on, to show its texts")
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    return parser


if __name__ == "__main__":
    run_script(main, CONTINUES)
