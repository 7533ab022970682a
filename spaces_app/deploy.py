"""Assemble the folder of a Space from this folder and the package, and upload it.

    python spaces_app/deploy.py --output_dir outputs/space       # only the folder; start it by `python app.py` there
    python spaces_app/deploy.py --repo_id me/texts --private     # to the Hub, with the token of `hf auth login`
    python spaces_app/deploy.py --repo_id me/texts --checkpoint outputs/mine         # or a Hub id, or several

The Space is created if it does not exist. Checkpoint folders are uploaded with it, and shown in the order of their
names; Hub ids become the variable `LDEBM_CHECKPOINT` of the Space.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi

from ldebm_hf.reports.hub_upload import hub_errors_explained, names_in, open_repository
from ldebm_hf.training.saved_runs import shipped_checkpoints
from ldebm_hf.web.map_texts import EXAMPLES, GIVEN_TEXTS, WRITTEN_TEXTS

HERE = Path(__file__).resolve().parent
FILES_OF_A_NEW_SPACE = {".gitattributes", "README.md"}
CHECKPOINT_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "encoder_tokenizer.json",
    "encoder_tokenizer_config.json",
    "settings.yaml",
    GIVEN_TEXTS,
    WRITTEN_TEXTS,
    EXAMPLES,
)


def assemble(folder: Path, checkpoints: Sequence[str] = ()) -> None:
    """
    Write all files of the Space into a folder that is new or empty.

    Args:
        folder (`Path`): The folder to write.
        checkpoints (`Sequence[str]`, *optional*): Checkpoint folders, which replace the checkpoint that comes with the
            page, or Hub ids, which leave it in place.

    Raises:
        ValueError: If the folder is not empty; if the checkpoints are folders as well as Hub ids; if a checkpoint
            folder contains no model, or is called like another file or folder of the page.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"output_dir must be new or empty, but {folder} contains something")
    places = folders_of(checkpoints)
    unneeded = shutil.ignore_patterns("__pycache__", "deploy.py")
    shutil.copytree(HERE, folder, dirs_exist_ok=True, ignore=unneeded)
    shutil.copytree(HERE.parent / "ldebm_hf", folder / "ldebm_hf", ignore=unneeded)
    if places:
        for shipped in shipped_checkpoints(folder):
            shutil.rmtree(shipped)
    for place in places:
        copy = folder / place.resolve().name  # the page shows this name
        if copy.exists():
            raise ValueError(
                f"checkpoint must not be called {copy.name!r}, which is the name of another one or a part of the page"
            )
        copy.mkdir()
        for name in CHECKPOINT_FILES:
            if (place / name).is_file():
                shutil.copy(place / name, copy)


def folders_of(checkpoints: Sequence[str]) -> list[Path]:
    """The checkpoints as folders; none if they are Hub ids."""
    folders = [Path(checkpoint) for checkpoint in checkpoints if Path(checkpoint).is_dir()]
    if 0 < len(folders) < len(checkpoints):
        raise ValueError(f"checkpoint must name folders or Hub ids, not both, got {' '.join(checkpoints)}")
    for folder in folders:
        if not (folder / "model.safetensors").is_file():
            raise ValueError(f"checkpoint must contain a model.safetensors, but {folder} does not")
    return folders


def upload(folder: Path, repo_id: str, checkpoints: Sequence[str] = (), private: bool = False) -> str:
    """
    Create the Space if it does not exist, replace its files by those of the folder, and return its address.

    Raises:
        ValueError: If the Space contains another page, or is public although a private one is asked for.
        PermissionError, ConnectionError, FileNotFoundError: As in `hub_errors_explained`.
    """
    hub = HfApi()
    with hub_errors_explained(repo_id):
        space = open_repository(hub, repo_id, private=private or None, repo_type="space", space_sdk="gradio")
        names = names_in(space)
        if names - FILES_OF_A_NEW_SPACE and "ldebm_hf/__init__.py" not in names:
            raise ValueError(f"{space.id!r} contains another page, which would be replaced: choose another name")
        if checkpoints and not folders_of(checkpoints):
            hub.add_space_variable(space.id, "LDEBM_CHECKPOINT", ",".join(checkpoints))
        hub.upload_folder(
            repo_id=space.id, repo_type="space", folder_path=folder, commit_message="Upload the page",
            delete_patterns="*",
        )  # fmt: skip
    return f"{hub.endpoint}/spaces/{space.id}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo_id", help="The Space to upload to, as owner/name.")
    parser.add_argument("--output_dir", type=Path, help="Keep the assembled folder here.")
    parser.add_argument(
        "--checkpoint", nargs="+", default=[], metavar="CHECKPOINT",
        help="Folders or Hub ids of the models to show. Default: the checkpoint that comes with the page.",
    )  # fmt: skip
    parser.add_argument("--private", action="store_true", help="Create the Space as a private one.")
    options = parser.parse_args(arguments)
    if not options.repo_id and not options.output_dir:
        parser.error("give --repo_id, --output_dir or both")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.output_dir or Path(temporary)
        assemble(folder, options.checkpoint)
        print(f"{sum(path.stat().st_size for path in folder.rglob('*')) / 1e6:.1f} MB in {folder}")
        if options.repo_id:
            print(upload(folder, options.repo_id, options.checkpoint, options.private))


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
