"""The page as a Space: that of the command `ldebm page`, by default with what lies in this folder.

    python spaces_app/app.py                                  # the checkpoints in this folder
    python spaces_app/app.py outputs/mine --port 7861         # as `ldebm page`; or LDEBM_CHECKPOINT=…
"""

from functools import partial
from pathlib import Path

from ldebm_hf.commands.options import run_script
from ldebm_hf.commands.page import main
from ldebm_hf.training.saved_runs import shipped_checkpoints

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    checkpoints = [str(folder) for folder in shipped_checkpoints(HERE)]
    run_script(partial(main, checkpoints=checkpoints, priors=HERE / "priors"))
