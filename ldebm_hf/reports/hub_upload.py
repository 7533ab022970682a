"""Folders to the Hub, into repositories that are private unless asked otherwise; errors say what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HTTPError,  # of the client that huggingface_hub speaks through, whichever that is
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.hf_api import ModelInfo, SpaceInfo

TAG = re.compile(r"\w[\w.-]*")


@contextmanager
def hub_errors_explained(repo_id: str) -> Iterator[None]:
    """Turn what the Hub's client raises into one sentence.

    Raises:
        PermissionError: there is no token, or none that may do it.
        ConnectionError: the Hub cannot be reached, the connection broke, or the Hub has a trouble of its own.
        FileNotFoundError: there is no such repository, or none for this token.
    """
    try:
        yield
    except LocalTokenNotFoundError:
        raise PermissionError("there is no token for the Hub: `hf auth login` stores one, or set HF_TOKEN") from None
    except OfflineModeIsEnabled:
        raise ConnectionError("the Hub is switched off by HF_HUB_OFFLINE=1") from None
    except (HTTPError, RuntimeError) as error:
        raise _explanation(error, repo_id) from error


def _explanation(error: Exception, repo_id: str) -> OSError:
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, HTTPError):
        error = error.__cause__  # of an upload in a thread
    if not isinstance(error, HfHubHTTPError):
        reason = str(error).strip() or type(error).__name__
        return ConnectionError(
            f"the connection to {constants.ENDPOINT} failed ({reason}): the same command goes on where it stopped"
        )
    status = error.response.status_code
    said = (error.server_message or str(error)).strip().splitlines()[0]
    if status == 401:
        return PermissionError(f"the Hub does not know the token ({said}): `hf auth login` stores another one")
    if status == 403:
        return PermissionError(
            f"the token may not write to {repo_id!r} ({said}): it needs the role `write`, and the name must begin "
            "with your user name or that of an organization of yours"
        )
    if status == 404:
        return FileNotFoundError(f"the Hub has no {repo_id!r}, or not for this token ({said})")
    return ConnectionError(f"the Hub refused {repo_id!r} with status {status}: {said}")


def check_token(repo_id: str, token: str | None = None) -> None:
    """Ask the Hub whose the token is and whether it may write anything, before any work is done.

    Raises:
        PermissionError, ConnectionError: as in [`hub_errors_explained`].
    """
    if (token or get_token()) is None:
        raise PermissionError("there is no token for the Hub: `hf auth login` stores one, or set HF_TOKEN")
    with hub_errors_explained(repo_id):
        role = HfApi(token=token).whoami().get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":  # a fine-grained one may write here or there, which only the repository knows
        raise PermissionError("the token may only read: `hf auth login` stores another one, of the role `write`")


def open_repository(
    hub: HfApi, repo_id: str, *, private: bool | None, repo_type: str = "model", **options: str
) -> ModelInfo | SpaceInfo:
    """The repository, created where there is none.

    Args:
        hub (`HfApi`): Which knows the token.
        repo_id (`str`): `"owner/name"`, or `"name"` for the owner of the token.
        private (`bool`, *optional*): Whether only its owner may see it; `None` makes a new one public and takes one
            that exists as it is.
        repo_type (`str`, *optional*, defaults to `"model"`), options: As for `HfApi.create_repo`.

    Raises:
        ValueError: no such name is possible, or the repository exists and is public where a private one is asked for,
            or private where a public one is.
    """
    place = hub.create_repo(repo_id, repo_type=repo_type, private=bool(private), exist_ok=True, **options)
    info = hub.repo_info(place.repo_id, repo_type=repo_type)
    if private is not None and bool(info.private) != private:
        found, asked = ("public", "private") if private else ("private", "public")
        raise ValueError(
            f"{info.id!r} exists and is {found}, and a {asked} repository was asked for: choose another name, change "
            f"it in the repository's settings on the Hub, or say that it shall be {found}"
        )
    return info


def names_in(info: ModelInfo | SpaceInfo) -> set[str]:
    """The paths of a repository's files."""
    return {file.rfilename for file in info.siblings or ()}


def refuse_other_model(hub: HfApi, info: ModelInfo, model_type: str) -> None:
    """Raise ValueError if the repository holds a model of another kind, which a push would mix with this one."""
    if "config.json" not in names_in(info):
        return
    config = json.loads(Path(hub.hf_hub_download(info.id, "config.json")).read_text("utf-8"))
    if config.get("model_type") != model_type:
        found = config.get("model_type")
        raise ValueError(f"{info.id!r} holds another model, of model_type {found!r}: choose another name")


def upload_model(
    hub: HfApi, repo_id: str, folder: Path, patterns: Sequence[str], *, tag: str | None = None, message: str
) -> str:
    """Make those files of the folder itself that match a pattern the repository's, in one commit.

    Cut short, the same call goes on: large files that the Hub has, and files that are as before, are not sent again.

    Args:
        tag (`str`, *optional*): A name for the state after this upload, to be loaded by `revision=tag`.

    Returns:
        `str`: The commit's id.

    Raises:
        ValueError: the tag is no name for a tag, or names another state already.
    """
    commit = hub.upload_folder(
        repo_id=repo_id,
        folder_path=folder,
        allow_patterns=list(patterns),
        ignore_patterns=["*/*"],
        delete_patterns=["model*.safetensors", "model.safetensors.index.json"],  # of a larger or smaller model before
        commit_message=message,
    )
    if tag is not None:
        _tag(hub, repo_id, tag, commit.oid)
    return commit.oid


def check_tag(tag: str | None) -> None:
    """Raise ValueError for what cannot be the name of a revision."""
    if tag is not None and (not TAG.fullmatch(tag) or tag == constants.DEFAULT_REVISION):
        raise ValueError(f"revision must be of letters, digits, '.', '_' and '-', and other than 'main'; got {tag!r}")


def _tag(hub: HfApi, repo_id: str, tag: str, commit: str) -> None:
    hub.create_tag(repo_id, tag=tag, revision=commit, exist_ok=True)
    tags = {item.name: item.target_commit for item in hub.list_repo_refs(repo_id).tags}
    if tags.get(tag) != commit:
        raise ValueError(
            f"revision {tag!r} of {repo_id!r} names an earlier upload and stays: the files are in its branch main, "
            "give them another revision"
        )
