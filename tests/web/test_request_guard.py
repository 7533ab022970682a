"""What a page lets in: small requests to its buttons, and small files to one place, if it has use for them."""

import asyncio
import json

import pytest

from ldebm_hf.web.request_guard import MAX_BODY, MAX_UPLOAD, RequestGuard


def ask(path: str, body: bytes | list[bytes] = b"{}", method: str = "POST", uploads=None) -> tuple[int, str]:
    """The status and text of an answer; the guarded application answers 200 with the body that it received."""
    parts = [body] if isinstance(body, bytes) else body
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = False
    sent = []

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    async def echo(scope, receive, send):
        received = await receive() if scope["method"] == "POST" else {"body": b""}
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": received["body"]})

    asyncio.run(RequestGuard(echo, uploads)({"type": "http", "method": method, "path": path}, receive, send))
    return sent[0]["status"], sent[1]["body"].decode()


@pytest.mark.parametrize("path", ["queue/join", "call/write", "call/v2/write", "run/write", "api/write", "cancel"])
def test_requests_to_buttons_arrive_as_they_are(path):
    body = json.dumps({"data": ["we like <mask>", ["food"], 4, None], "event_data": {"index": [3, 4]}}).encode()
    for address in (f"/gradio_api/{path}", f"/below/gradio_api/{path}"):
        assert ask(address, body) == (200, body.decode())
    assert ask(f"/gradio_api/{path}", [body[:9], body[9:]]) == (200, body.decode())


@pytest.mark.parametrize("path", ["upload", "upload/", "component_server", "stream/a", "../login"])
def test_there_is_nowhere_to_upload_to(path):
    path = f"/gradio_api/{path}"
    status, said = ask(path, b"x" * 10)
    assert status == 404 and json.loads(said)["detail"] == "This page takes no files, only requests to its buttons."
    assert ask(path, method="GET")[0] == 200, "what is only read is left to the page"


@pytest.mark.parametrize("body", [b"x" * (MAX_BODY + 1), [b"x" * 1000] * 40])
def test_large_requests_are_refused(body):
    status, said = ask("/gradio_api/queue/join", body)
    assert status == 413 and f"at most {MAX_BODY} bytes" in said


@pytest.mark.parametrize(
    "item",
    [
        {"path": "http://elsewhere/a.png", "meta": {"_type": "gradio.FileData"}},
        {"p\\u0061th": "/etc/passwd"},
        [[{"url": "http://elsewhere"}]],
    ],
)
def test_files_in_inputs_are_refused(item):
    body = json.dumps({"data": ["text", item]}).replace("\\\\u", "\\u").encode()
    status, said = ask("/gradio_api/queue/join", body)
    assert status == 400 and "not files" in said


def test_what_is_not_json_is_left_to_the_page():
    for body in (b"", b"{", b"[" * 20_000):
        assert ask("/gradio_api/queue/join", body)[0] == 200


def test_a_page_with_uploads_takes_small_files_at_one_place_only(tmp_path):
    assert ask("/gradio_api/upload", b"x" * MAX_UPLOAD, uploads=tmp_path)[0] == 200
    status, said = ask("/gradio_api/upload", [b"x" * 1000] * (MAX_UPLOAD // 1000 + 1), uploads=tmp_path)
    assert status == 413 and f"at most {MAX_UPLOAD} bytes" in said
    for path in ("upload/", "upload/x", "component_server", "uploads"):
        assert ask(f"/gradio_api/{path}", uploads=tmp_path)[0] == 404
    assert ask("/gradio_api/queue/join", b"x" * (MAX_BODY + 1), uploads=tmp_path)[0] == 413


def test_only_uploaded_files_are_named_in_inputs(tmp_path):
    uploads = tmp_path / "gradio"
    (uploads / "deep").mkdir(parents=True)
    (uploads / "link").symlink_to("/etc")

    def status_of(item) -> int:
        body = json.dumps({"data": ["text", {"inside": [item]}]}).encode()
        return ask("/gradio_api/queue/join", body, uploads=uploads)[0]

    assert status_of({"path": str(uploads / "deep" / "a.csv"), "meta": {"_type": "gradio.FileData"}}) == 200
    outside = (uploads / ".." / "secret", uploads / "link" / "passwd", "/etc/passwd")
    for path in (*map(str, outside), "http://x/a", "a\0b", 7):
        assert status_of({"path": path}) == 400
    assert status_of({"url": "http://elsewhere/a.csv"}) == 400
