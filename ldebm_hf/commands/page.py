"""Show a model of texts on a page in the browser: write, read, look at the map of latents, complete.

    ldebm page outputs/demo
    ldebm page outputs/mine --data my.csv --port 7861         # the map shows the texts of training

The page's own code, `spaces_app/`, is not in the package, so `pip install ldebm_hf` does not bring it: clone the
repository, and in the clone run `pip install -e ".[demo]"`, which also installs gradio.
"""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

from .options import make_parser, run_script

CONTINUES = None
APP = Path(__file__).resolve().parents[2] / "spaces_app" / "app.py"
"""The program of the page, beside the package."""


def main(arguments: list[str] | None = None) -> None:
    options = build_parser(prog="ldebm page").parse_args(arguments)
    if find_spec("gradio") is None:
        raise ImportError('the page needs gradio: pip install "ldebm_hf[demo]"')
    if not APP.is_file():
        raise FileNotFoundError(
            f"the code of the page is not in the installed package (there is no {APP}): clone the repository, and in "
            'the clone run pip install -e ".[demo]"'
        )
    words = [] if options.checkpoint is None else [options.checkpoint]
    for name in ("data", "host", "port"):
        if getattr(options, name) is not None:
            words += [f"--{name}", str(getattr(options, name))]
    sys.path.insert(0, str(APP.parent))  # of the page's other files
    runpy.run_path(str(APP))["main"](words)


def build_parser(description: str | None = __doc__, prog: str | None = None):
    """The parser of this command, with the options of the page."""
    parser = make_parser(description, "[CHECKPOINT] [options]", prog=prog)
    parser.add_argument("checkpoint", nargs="?", help="folder or Hub id (default: the one that comes with the page)")
    parser.add_argument("--data", metavar="FILE", help="file that the model was trained on, to show its texts")
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    return parser


if __name__ == "__main__":
    run_script(main, CONTINUES)
