"""Which requests a page receives: small ones to its buttons, without files."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 2**15
"""Bytes of the largest request; texts have a few hundred characters."""
BUTTONS = ("queue/join", "call/", "run/", "api/", "cancel", "reset")
"""How the addresses of requests to buttons go on after the prefix of the API."""
API_PREFIX = "/gradio_api/"
MARKS_OF_A_FILE = {"path", "url", "meta"}
"""Keys of an object that Gradio takes for a file: it copies the file, or downloads it."""


class RequestGuard:
    """
    ASGI middleware of a page without file inputs. It refuses uploads, files in the inputs of a button, and large
    requests, before anything is stored.

    Args:
        app (callable): The page's ASGI application.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        address = scope["path"]
        if API_PREFIX not in address or not address.partition(API_PREFIX)[2].startswith(BUTTONS):
            await _refuse(send, 404, "This page takes no files, only requests to its buttons.")
            return
        body = await _read(receive)
        if body is None:
            await _refuse(send, 413, f"A request to this page may have at most {MAX_BODY} bytes.")
        elif _has_file(body):
            await _refuse(send, 400, "The inputs of this page are texts and numbers, not files.")
        else:
            await self.app(scope, _replay(body, receive), send)


async def _read(receive: Receive) -> bytes | None:
    """The body of a request; `None` if it is too large, or the visitor has gone."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY:
            return None
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """A function that gives the body that was read, and after it what comes later."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> MutableMapping[str, Any]:
        return left.pop() if left else await receive()

    return replay


def _has_file(body: bytes) -> bool:
    """Whether JSON contains an object that Gradio takes for a file. Other content is left to Gradio to refuse."""
    try:
        open_values = [json.loads(body)]
    except (ValueError, RecursionError):
        return False
    while open_values:
        value = open_values.pop()
        if isinstance(value, dict):
            if MARKS_OF_A_FILE & value.keys():
                return True
            open_values += value.values()
        elif isinstance(value, list):
            open_values += value
    return False


async def _refuse(send: Send, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": sentence}).encode()})
