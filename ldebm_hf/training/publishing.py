"""What a run says of itself: its facts, its model card, and both with the model on the Hub."""

from __future__ import annotations

import json
import logging
import os
import platform
import shlex
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from accelerate import Accelerator
from huggingface_hub import HfApi
from huggingface_hub.utils import validate_repo_id

from ..data import Corpus
from ..files.atomic import write_text
from ..model.configuration_ldebm import LDEBMConfig
from ..model.modeling_ldebm import LDEBMModel
from ..reports.data_origin import is_on_hub
from ..reports.hub_upload import (
    check_tag,
    check_token,
    hub_errors_explained,
    open_repository,
    refuse_other_model,
    upload_model,
)
from ..reports.model_card import is_untouched, model_card, public_settings, sealed
from ..reports.run_record import CURVES, EVALUATION, FACTS, LIKELIHOOD, METRICS, SETTINGS, RunRecord
from .settings import TrainingSettings

logger = logging.getLogger(__name__)

CARD = "README.md"
PACKAGES = ("ldebm_hf", "torch", "transformers", "tokenizers", "accelerate", "datasets", "safetensors", "numpy",
            "faiss-cpu", "faiss-gpu", "huggingface_hub")  # fmt: skip
PUSHED = (
    *("config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json"),
    *("tokenizer*.json", "special_tokens_map.json", "vocab*", "*.py"),
    *(CARD, SETTINGS, FACTS, METRICS, CURVES, EVALUATION, LIKELIHOOD, "guidance.png"),
)
"""What goes to the Hub of a run's folder: no checkpoints, and no report, which quotes many training texts.

Files go as they are, but for `settings.yaml`, which there names no folders of this machine."""


def run_facts(corpus: Corpus, source: str, model: LDEBMModel, accelerator: Accelerator) -> dict[str, Any]:
    """What is known when a run starts and is nowhere else in its folder, as `run.json` has it.

    `corpus` with `name`, `license`, `hub_id` (`None` for data from elsewhere), `notes` and by split `size` and
    `labelled`; `parameters`; `environment` by package; `hardware` with `device`, `processes` and `threads`.

    Args:
        source (`str`): Where the corpus was read from, `data.source` of the settings.
    """
    facts = {"name": corpus.name, "license": corpus.license, "hub_id": source if is_on_hub(source) else None}
    splits = {name: {"size": len(split), "labelled": split.num_labelled} for name, split in corpus.splits.items()}
    device = accelerator.device
    return {
        "corpus": facts | {"splits": splits, "notes": list(corpus.notes)},
        "parameters": model.num_parameters(),
        "environment": {"python": platform.python_version(), "platform": platform.platform()} | _versions(),
        "hardware": {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "processes": accelerator.num_processes,
            "threads": torch.get_num_threads(),
        },
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write_card(folder: Path, place: str | None = None, file: Path | None = None) -> bool:
    """Write the model card of a folder, unless a person has edited the one that is there.

    Args:
        folder (`Path`): With a model, and what else of a run there is.
        place (`str`, *optional*): The Hub id that the card's code shall load; default the folder as it is given.
        file (`Path`, *optional*): Default the folder's `README.md`.

    Returns:
        `bool`: Whether it was written.

    Raises:
        ValueError: the folder holds no model of this package.
    """
    file = file or folder / CARD
    if _is_edited(file):
        return False
    pictures = os.path.relpath(folder, file.parent)
    card = model_card(RunRecord.read(folder), place, "" if pictures == "." else f"{Path(pictures).as_posix()}/")
    write_text(file, sealed(card))
    return True


def _is_edited(card: Path) -> bool:
    return card.is_file() and not is_untouched(card.read_text("utf-8"))


def push(
    folder: str | Path, repo_id: str, *, private: bool = True, revision: str | None = None, token: str | None = None
) -> str:
    """Put a model with tokenizer, code, results and a fresh card on the Hub.

    Cut short, the same call goes on where it stopped.

    Args:
        folder (`str` or `Path`): As training or `save_pretrained` leaves it.
        repo_id (`str`): `"owner/name"`, or `"name"` for the owner of the token. Created where there is none; else the
            push becomes its next commit.
        private (`bool`, *optional*, defaults to `True`): Whether only its owner may see it.
        revision (`str`, *optional*): A tag for this state, to be loaded by `from_pretrained(…, revision=…)`.
        token (`str`, *optional*): Default what `hf auth login` stored, or the variable `HF_TOKEN`.

    Returns:
        `str`: The address of the repository.

    Raises:
        ValueError: a folder without a model or its code; a repository that is public where a private one is asked for
            or the other way round, or that holds something else; a revision that names another state.
        PermissionError, ConnectionError, FileNotFoundError: as in [`hub_errors_explained`].
    """
    folder = Path(folder)
    record = RunRecord.read(folder)
    check_tag(revision)
    if not record.has_code:
        raise ValueError(
            f"folder must hold the model's code for those who have no ldebm_hf, and {str(folder)!r} does not: "
            "LDEBMModel.from_pretrained(folder).save_pretrained(another_folder) writes it"
        )
    if not any(folder.glob("model*.safetensors")):
        raise ValueError(f"folder must hold the model's weights (model.safetensors), and {str(folder)!r} does not")
    check_token(repo_id, token)
    hub = HfApi(token=token)
    with hub_errors_explained(repo_id):
        repository = open_repository(hub, repo_id, private=private)
        refuse_other_model(hub, repository, LDEBMConfig.model_type)
        if is_edited := _is_edited(folder / CARD):
            logger.warning("%s was edited by hand and is pushed as it is", folder / CARD)
        with TemporaryDirectory() as staged:
            _stage(folder, Path(staged), record)
            if not is_edited:
                Path(staged, CARD).unlink(missing_ok=True)  # a link to the folder's own
                Path(staged, CARD).write_text(sealed(model_card(record, repository.id)), encoding="utf-8")
            message = "Upload model and record of its run"
            upload_model(hub, repository.id, Path(staged), PUSHED, tag=revision, message=message)
        write_card(folder, repository.id)  # names the Hub's repository once the model is there
    return f"{hub.endpoint}/{repository.id}"


def _stage(folder: Path, staged: Path, record: RunRecord) -> None:
    """Put into an empty folder what the Hub shall get of a run's; large files are not copied."""
    for file in folder.resolve().iterdir():
        if file.is_file() and file.name != SETTINGS:
            (staged / file.name).symlink_to(file)
    if settings := public_settings(record):
        (staged / SETTINGS).write_text(settings, encoding="utf-8")


def push_command(training: TrainingSettings) -> list[str]:
    """The arguments of examples/push_to_hub.py that push a run as its settings say."""
    arguments = [training.output_dir, hub_name(training)]
    arguments += [] if training.hub_private_repo else ["--public"]
    return arguments + (["--revision", training.hub_revision] if training.hub_revision else [])


def hub_name(training: TrainingSettings) -> str:
    """The repository that a run is pushed to: without a name of its own it is called like the folder."""
    return training.hub_model_id or Path(training.output_dir).resolve().name


def check_push(training: TrainingSettings) -> None:
    """Find out before training whether it can be pushed; a Hub that cannot be reached now may be there at the end.

    Raises:
        ValueError: a name that no repository can have, or a revision that cannot be one.
        PermissionError: there is no token, or one that the Hub does not know.
    """
    if not training.push_to_hub:
        return
    name = hub_name(training)
    try:
        validate_repo_id(name)
    except ValueError as error:
        raise ValueError(f"hub_model_id (default: the name of output_dir) cannot be {name!r}: {error}") from error
    check_tag(training.hub_revision)
    try:
        check_token(name)
    except ConnectionError as error:
        logger.warning("%s; it will be tried again when training has ended", error)


def publish(training: TrainingSettings, say: Callable[[str], None]) -> None:
    """Write the card of a finished run and, if its settings say so, push it. Whatever fails, the run is not lost."""
    folder = Path(training.output_dir)
    try:
        if not write_card(folder):
            say(f"{folder / CARD} was edited by hand and stays as it is")
    except Exception as error:  # the model is finished and in its place, whatever is odd about the rest of the folder
        logger.warning("could not write the model card: %r", error)
    if not training.push_to_hub:
        return
    private, revision = training.hub_private_repo, training.hub_revision
    try:
        say(f"pushed to {push(folder, hub_name(training), private=private, revision=revision)}")
    except Exception as error:  # a network has more ways to fail than there are names for
        say(f"not pushed: {error}\nThe model is safe in {folder}; this pushes it:")
        say("  python examples/push_to_hub.py " + shlex.join(push_command(training)))


def write_facts(file: Path, facts: dict[str, Any]) -> None:
    write_text(file, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
