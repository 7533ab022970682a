"""Upload of a model folder to the Hub, with errors that say what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HTTPError,  # of the HTTP client that huggingface_hub uses
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.hf_api import ModelInfo, SpaceInfo

TAG = re.compile(r"\w[\w.-]*")


@contextmanager
def hub_errors_explained(repo_id: str) -> Iterator[None]:
    """
    Turn errors of the Hub's client into one sentence each.

    Raises:
        PermissionError: There is no token, or it does not have the permission.
        ConnectionError: The Hub cannot be reached, the connection broke, or the Hub had an internal error.
        FileNotFoundError: The repository does not exist, or is not visible with this token.
    """
    try:
        yield
    except LocalTokenNotFoundError:
        raise PermissionError("there is no token for the Hub: `hf auth login` stores one, or set HF_TOKEN") from None
    except OfflineModeIsEnabled:
        raise ConnectionError("the Hub cannot be reached because HF_HUB_OFFLINE=1 is set") from None
    except (HTTPError, RuntimeError) as error:
        raise _explanation(error, repo_id) from error


def _explanation(error: Exception, repo_id: str) -> OSError:
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, HTTPError):
        error = error.__cause__  # raised by an upload in a thread
    if not isinstance(error, HfHubHTTPError):
        reason = str(error).strip() or type(error).__name__
        return ConnectionError(
            f"the connection to {constants.ENDPOINT} failed ({reason}): the same command continues the upload"
        )
    status = error.response.status_code
    reason = (error.server_message or str(error)).strip().splitlines()[0]
    if status == 401:
        return PermissionError(f"the Hub does not accept the token ({reason}): `hf auth login` stores another one")
    if status == 403:
        return PermissionError(
            f"the token has no permission to write to {repo_id!r} ({reason}): it needs the role `write`, and the name "
            "must begin with your user name or that of one of your organizations"
        )
    if status == 404:
        return FileNotFoundError(f"the Hub has no {repo_id!r}, or it is not visible with this token ({reason})")
    return ConnectionError(f"the Hub refused {repo_id!r} with status {status}: {reason}")


def check_token(repo_id: str, token: str | None = None) -> None:
    """
    Ask the Hub whether the token is valid and can write, before any work is done.

    Raises:
        PermissionError, ConnectionError: As in [`hub_errors_explained`].
    """
    if (token or get_token()) is None:
        raise PermissionError("there is no token for the Hub: `hf auth login` stores one, or set HF_TOKEN")
    with hub_errors_explained(repo_id):
        role = HfApi(token=token).whoami().get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":  # what a fine-grained token can write to is known only when it is tried
        raise PermissionError("the token can only read: `hf auth login` stores another one, with the role `write`")


def open_repository(
    hub: HfApi, repo_id: str, *, private: bool | None, repo_type: str = "model", **options: str
) -> ModelInfo | SpaceInfo:
    """
    Get a repository, and create it if it does not exist.

    Args:
        hub (`HfApi`): The Hub's client, with a token.
        repo_id (`str`): `"owner/name"`, or `"name"` for the owner of the token.
        private (`bool`, *optional*): Whether the repository must be private or must be public. With `None`, a new one
            is public and an existing one is accepted as it is.
        repo_type (`str`, *optional*, defaults to `"model"`): As in `HfApi.create_repo`.
        options: Further arguments of `HfApi.create_repo`.

    Raises:
        ValueError: The name is not valid, or the existing repository is public although a private one is requested, or
            the other way round.
    """
    place = hub.create_repo(repo_id, repo_type=repo_type, private=bool(private), exist_ok=True, **options)
    info = hub.repo_info(place.repo_id, repo_type=repo_type)
    if private is not None and bool(info.private) != private:
        found, requested = ("public", "private") if private else ("private", "public")
        raise ValueError(
            f"{info.id!r} exists and is {found}, but a {requested} repository was requested: choose another name, "
            f"change its visibility on the Hub, or request a {found} repository"
        )
    return info


def names_in(info: ModelInfo | SpaceInfo) -> set[str]:
    """The paths of a repository's files."""
    return {file.rfilename for file in info.siblings or ()}


def refuse_other_model(hub: HfApi, info: ModelInfo, model_type: str) -> None:
    """Raise `ValueError` if the repository holds a model of another type, whose files would remain in it."""
    if "config.json" not in names_in(info):
        return
    config = json.loads(Path(hub.hf_hub_download(info.id, "config.json")).read_text("utf-8"))
    if config.get("model_type") != model_type:
        found = config.get("model_type")
        raise ValueError(f"{info.id!r} holds another model, with model_type {found!r}: choose another name")


def upload_model(
    hub: HfApi, repo_id: str, folder: Path, patterns: Sequence[str], *, tag: str | None = None, message: str
) -> str:
    """
    Upload the files at the top of a folder that match a pattern, in one commit.

    After an interruption, the same call continues the upload: large files that the Hub already has, and files that
    have not changed, are not sent again. Weights of an earlier upload are deleted.

    Args:
        hub (`HfApi`): The Hub's client, with a token.
        repo_id (`str`): The repository.
        folder (`Path`): The folder; files in its sub-folders are not uploaded.
        patterns (`Sequence[str]`): Patterns of file names.
        tag (`str`, *optional*): A tag for this upload, with which it can be loaded by `revision=tag`.
        message (`str`): The commit message.

    Returns:
        `str`: The id of the commit.

    Raises:
        ValueError: The tag exists and names another upload.
    """
    commit = hub.upload_folder(
        repo_id=repo_id,
        folder_path=folder,
        allow_patterns=list(patterns),
        ignore_patterns=["*/*"],
        delete_patterns=["model*.safetensors", "model.safetensors.index.json"],  # those of an earlier upload
        commit_message=message,
    )
    if tag is not None:
        _tag(hub, repo_id, tag, commit.oid)
    return commit.oid


def check_tag(tag: str | None) -> None:
    """Raise `ValueError` if a tag is not a valid name of a revision."""
    if tag is not None and (not TAG.fullmatch(tag) or tag == constants.DEFAULT_REVISION):
        raise ValueError(f"revision must consist of letters, digits, '.', '_' and '-' and not be 'main', got {tag!r}")


def _tag(hub: HfApi, repo_id: str, tag: str, commit: str) -> None:
    hub.create_tag(repo_id, tag=tag, revision=commit, exist_ok=True)
    tags = {item.name: item.target_commit for item in hub.list_repo_refs(repo_id).tags}
    if tags.get(tag) != commit:
        raise ValueError(
            f"revision {tag!r} of {repo_id!r} already names an earlier upload: the new files are on the branch main, "
            "choose another revision for them"
        )
