"""The facts and the model card of a run, and how both get to the Hub together with the model."""

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
from ..data.hub import is_hub_id
from ..files.atomic import write_text
from ..model.base_model_files import OWN_CODE, base_model_folders
from ..model.configuration_ldebm import LDEBMConfig
from ..model.modeling_ldebm import LDEBMModel
from ..reports.estimator_file import estimator_file_of
from ..reports.hub_upload import (
    check_tag,
    check_token,
    hub_errors_explained,
    open_repository,
    refuse_other_model,
    upload_model,
)
from ..reports.model_card import is_untouched, model_card, public_settings, sealed
from ..reports.run_record import CURVES, ESTIMATOR, EVALUATION, FACTS, LIKELIHOOD, METRICS, SETTINGS, RunRecord
from .settings import TrainingSettings

logger = logging.getLogger(__name__)

CARD = "README.md"
PACKAGES = ("ldebm_hf", "torch", "transformers", "tokenizers", "accelerate", "datasets", "safetensors", "numpy",
            "faiss-cpu", "faiss-gpu", "huggingface_hub")  # fmt: skip
PUSHED = ("config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json",
          "tokenizer*.json", "encoder_tokenizer*.json", "special_tokens_map.json", "vocab*", "*.py",
          CARD, SETTINGS, FACTS, METRICS, CURVES, EVALUATION, LIKELIHOOD, ESTIMATOR, "guidance.png")  # fmt: skip
"""The files of a run's folder that are pushed to the Hub: no checkpoints, and no report, which quotes training texts.

They are pushed as they are, except for `settings.yaml`, from which the folders of this machine are removed, and for
`estimator.json`, of which only the labels are.
"""


def run_facts(corpus: Corpus, source: str, model: LDEBMModel, accelerator: Accelerator) -> dict[str, Any]:
    """The contents of `run.json`: what is known at the start of a run and is in no other file of its folder.

    Args:
        corpus (`Corpus`): What the model is trained on.
        source (`str`): Where the corpus was read from, `data.source` of the settings.
        model ([`LDEBMModel`]): The model.
        accelerator (`Accelerator`): The run's.

    Returns:
        `dict` of `corpus` (`name`, `license`, `hub_id`, which is `None` for data that are not from the Hub, `notes`,
        and `splits` with the `size` and number of `labelled` examples of each), `parameters` (their number),
        `environment` (versions by package) and `hardware` (`device`, `processes` and `threads`).
    """
    facts = {"name": corpus.name, "license": corpus.license, "hub_id": source if is_hub_id(source) else None}
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
    """Write the model card of a folder, unless somebody has edited the one that is there.

    Args:
        folder (`Path`): A folder with a model and the record of its run, as far as there is one.
        place (`str`, *optional*): The Hub id that the code on the card loads. Defaults to the folder.
        file (`Path`, *optional*): The file of the card. Defaults to the folder's `README.md`.

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
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = True,
    revision: str | None = None,
    token: str | None = None,
    merge: bool = False,
    trust_remote_code: bool = False,
) -> str:
    """Push a model to the Hub with its tokenizer, code, scores and a new model card.

    If a push is interrupted, the same call continues it.

    Args:
        folder (`str` or `Path`): A folder that training or `save_pretrained` has written.
        repo_id (`str`): `"owner/name"`, or `"name"` for a repository of the owner of the token. It is created if it
            does not exist; otherwise the push becomes its next commit.
        private (`bool`, *optional*, defaults to `True`): Whether only its owner can see it.
        revision (`str`, *optional*): A tag for this commit, for `from_pretrained(…, revision=…)`.
        token (`str`, *optional*): Defaults to what `hf auth login` stored, or the variable `HF_TOKEN`.
        merge (`bool`, *optional*, defaults to `False`): Whether the weights of a pretrained encoder and decoder are
            pushed too, so that the model needs no other one. The folder itself stays as it is. Code of their own is
            not pushed.
        trust_remote_code (`bool`, *optional*, defaults to `False`): Whether that code may be run, to merge them.

    Returns:
        `str`: The address of the repository.

    Raises:
        ValueError: the folder has no model or no code; a base model is a folder of this machine, without `merge`; the
            repository is not as private as asked for, or holds something else; the revision is the tag of another
            commit.
        PermissionError, ConnectionError, FileNotFoundError: as in [`hub_errors_explained`].
    """
    folder = Path(folder)
    record = RunRecord.read(folder)
    check_tag(revision)
    if not record.has_code:
        raise ValueError(
            f"folder must hold the code of the model, which is used where ldebm_hf is not installed, and "
            f"{str(folder)!r} does not: LDEBMModel.from_pretrained(folder).save_pretrained(another_folder) writes it"
        )
    if not any(folder.glob("model*.safetensors")):
        raise ValueError(f"folder must hold the model's weights (model.safetensors), and {str(folder)!r} does not")
    for name, value in base_model_folders(record.config).items():
        if OWN_CODE in getattr(record.config, name.replace("name_or_path", "config")):
            raise ValueError(
                f"{name}={value!r} is a folder of this machine with code of its own, which is not pushed: push the "
                "base model with its code first, and train with its id on the Hub"
            )
        if not merge and not record.config.includes_base_models:
            raise ValueError(
                f"{name}={value!r} is a folder of this machine, in which nobody else finds the base model: merge its "
                "weights into what is pushed (merge=True, or the option --merge)"
            )
    check_token(repo_id, token)
    hub = HfApi(token=token)
    with hub_errors_explained(repo_id):
        repository = open_repository(hub, repo_id, private=private)
        refuse_other_model(hub, repository, LDEBMConfig.model_type)
        if is_edited := _is_edited(folder / CARD):
            logger.warning("%s has been edited and is pushed as it is", folder / CARD)
        with TemporaryDirectory() as staged:
            _stage(folder, Path(staged), record)
            if merge or base_model_folders(record.config):
                _stage_with_base_models(folder, Path(staged), trust_remote_code)
            if not is_edited:
                Path(staged, CARD).unlink(missing_ok=True)  # only the link to the folder's card
                Path(staged, CARD).write_text(sealed(model_card(record, repository.id)), encoding="utf-8")
            message = "Upload model and record of its run"
            upload_model(hub, repository.id, Path(staged), PUSHED, tag=revision, message=message)
        write_card(folder, repository.id)  # now with the name of the repository
    return f"{hub.endpoint}/{repository.id}"


def _stage(folder: Path, staged: Path, record: RunRecord) -> None:
    """Fill an empty folder with what is pushed of a run's folder. Files are linked, not copied."""
    for file in folder.resolve().iterdir():
        if file.is_file() and file.name not in (SETTINGS, ESTIMATOR):
            (staged / file.name).symlink_to(file)
    if settings := public_settings(record):
        (staged / SETTINGS).write_text(settings, encoding="utf-8")
    if fitted := estimator_file_of(folder):
        fitted.public().write(staged / ESTIMATOR)


def _stage_with_base_models(folder: Path, staged: Path, trust_remote_code: bool) -> None:
    """Replace the model of a staged folder by the same model with the weights of its base models, and no folders."""
    model = LDEBMModel.from_pretrained(folder, trust_remote_code=trust_remote_code)
    for name in base_model_folders(model.config):
        setattr(model.config, name, None)
    for file in [*staged.glob("model*.safetensors"), *staged.glob("model.safetensors.index.json")]:
        file.unlink()
    with TemporaryDirectory(dir=staged) as merged:
        model.save_pretrained(merged, include_base_models=True)
        for file in Path(merged).iterdir():
            file.replace(staged / file.name)


def push_command(training: TrainingSettings) -> list[str]:
    """The arguments of `ldebm push` that push a run as its settings say."""
    arguments = [training.output_dir, hub_name(training)]
    if not training.hub_private_repo:
        arguments.append("--public")
    return arguments


def hub_name(training: TrainingSettings) -> str:
    """The repository that a run is pushed to, by default with the name of its folder."""
    return training.hub_model_id or Path(training.output_dir).resolve().name


def check_push(training: TrainingSettings) -> None:
    """Find out before training whether the model can be pushed. If the Hub cannot be reached, only warn.

    Raises:
        ValueError: no repository can have this name.
        PermissionError: there is no token, or the Hub does not accept it.
    """
    if not training.push_to_hub:
        return
    name = hub_name(training)
    try:
        validate_repo_id(name)
    except ValueError as error:
        raise ValueError(f"hub_model_id (default: the name of output_dir) cannot be {name!r}: {error}") from error
    try:
        check_token(name)
    except ConnectionError as error:
        logger.warning("%s; this is tried again at the end of training", error)


def publish(training: TrainingSettings, say: Callable[[str], None]) -> None:
    """Write the card of a finished run and, if its settings say so, push it. Errors are reported, not raised."""
    folder = Path(training.output_dir)
    try:
        if not write_card(folder):
            say(f"{folder / CARD} has been edited and stays as it is")
    except Exception as error:  # the model itself is complete, whatever is wrong with the rest of the folder
        logger.warning("could not write the model card: %r", error)
    if not training.push_to_hub:
        return
    try:
        say(f"pushed to {push(folder, hub_name(training), private=training.hub_private_repo)}")
    except Exception as error:  # a network can fail in many ways
        say(f"not pushed: {error}\nThe model is in {folder}. To push it, run")
        say("  ldebm push " + shlex.join(push_command(training)))


def write_facts(file: Path, facts: dict[str, Any]) -> None:
    """Write the facts of a run as JSON."""
    write_text(file, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
