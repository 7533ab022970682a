"""Which requests a page receives: small ones to its buttons, and small files to one place, if it has use for them."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 2**15
"""Bytes of the largest request; texts have a few hundred characters."""
BUTTONS = ("queue/join", "call/", "run/", "api/", "cancel", "reset")
"""How the addresses of requests to buttons go on after the prefix of the API."""
MAX_UPLOAD = 1_000_000 + 2**13
"""Bytes of the largest upload: a file of a megabyte, with what a browser writes around it."""
UPLOAD = "upload"
API_PREFIX = "/gradio_api/"
MARKS_OF_A_FILE = {"path", "url", "meta"}
"""Keys of an object that Gradio takes for a file: it copies the file, or downloads it."""


class RequestGuard:
    """
    ASGI middleware of a page. It refuses uploads, files in the inputs of a button, and large requests, before anything
    is stored. A page that takes files of visitors names the folder that Gradio keeps them in: then small uploads pass,
    and objects of inputs that name a file in that folder.

    Args:
        app (callable): The page's ASGI application.
        uploads (`Path`, *optional*): The folder of uploaded files; without it there are none.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], uploads: Path | None = None):
        self.app, self.uploads = app, uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        address = scope["path"]
        called = address.partition(API_PREFIX)[2]
        is_upload = self.uploads is not None and called == UPLOAD
        if not is_upload and not called.startswith(BUTTONS):
            await _refuse(send, 404, "This page takes no files, only requests to its buttons.")
            return
        most = MAX_UPLOAD if is_upload else MAX_BODY
        body = await _read(receive, most)
        if body is None:
            await _refuse(send, 413, f"A request to this page may have at most {most} bytes.")
        elif not is_upload and _has_file(body, self.uploads):
            await _refuse(send, 400, "The inputs of this page are texts and numbers, not files.")
        else:
            await self.app(scope, _replay(body, receive), send)


async def _read(receive: Receive, most: int) -> bytes | None:
    """The body of a request; `None` if it is too large, or the visitor has gone."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            return None
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """A function that gives the body that was read, and after it what comes later."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> MutableMapping[str, Any]:
        return left.pop() if left else await receive()

    return replay


def _has_file(body: bytes, uploads: Path | None) -> bool:
    """Whether JSON contains an object that Gradio takes for a file, other than one of those that were uploaded. Other
    content is left to Gradio to refuse."""
    try:
        open_values = [json.loads(body)]
    except (ValueError, RecursionError):
        return False
    while open_values:
        value = open_values.pop()
        if isinstance(value, dict):
            if MARKS_OF_A_FILE & value.keys() and not is_uploaded(value, uploads):
                return True
            open_values += value.values()
        elif isinstance(value, list):
            open_values += value
    return False


def is_uploaded(value: Any, uploads: Path | None) -> bool:
    """Whether what an input of a button contains names a file in the folder of uploads."""
    path = value.get("path") if isinstance(value, dict) else None
    if uploads is None or not isinstance(path, str) or "\0" in path:
        return False
    return Path(path).resolve().is_relative_to(uploads.resolve())


async def _refuse(send: Send, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": sentence}).encode()})
