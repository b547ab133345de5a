"""Whatever a workspace's service says, the API answers with a sentence, and never with a fault of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.conftest import Board, serving
from tests.fakes import FakeRuntime

VERBS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "list": ("GET", "", {}),
    "read": ("GET", "/content", {"params": {"path": "a"}}),
    "search": ("GET", "/search", {"params": {"query": "a"}}),
    "changed": ("GET", "/changed", {"params": {"since": "2026-11-22T09:30:00Z"}}),
    "write": ("PUT", "/content", {"params": {"path": "a"}, "content": b"x"}),
    "make_folder": ("POST", "/folder", {"json": {"path": "a"}}),
    "move": ("POST", "/move", {"json": {"path": "a", "to": "b"}}),
    "delete": ("DELETE", "", {"params": {"path": "a"}}),
    "download": ("GET", "/download", {"params": {"path": "a"}}),
    "archive": ("GET", "/archive", {}),
    "output": ("GET", "/outputs/tool_1", {}),
}
STREAMED = ("download", "archive", "output")
STRANGE = ("The file browser sent what is not a message of ours.", "unreachable")
NOBODY = ("Something other than the workspace answers: restart the workspace.", "not_a_service")


class Liar:
    """A service whose every answer is the one that it was given."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


@pytest.fixture
async def liar(board: Board, runtime: FakeRuntime) -> AsyncIterator[Liar]:
    liar = Liar()
    async with serving(liar) as url:
        runtime.files_url = runtime.sidecar_url = url
        yield liar


@pytest.mark.parametrize("name", [name for name in VERBS if name not in STREAMED])
async def test_an_answer_that_does_not_fit(board: Board, liar: Liar, name: str) -> None:
    method, path, more = VERBS[name]
    entry = {"name": "a", "path": "a", "type": "file", "size": 10**400, "modified": "x", "line": 10**400}
    bodies: list[Any] = [
        None,
        [],
        {},
        {"path": None, "entries": None, "results": None, "truncated": None},
        {"path": ["a"], "entries": [entry], "total_count": 1, "results": [entry], "truncated": False},
        {"path": 5, "size": -1, "version": "é", "offset": "0", "encoding": 8, "content": []},
    ]
    raws = [b"", b"not JSON", b"\xff", *(json.dumps(body).encode() for body in bodies)]
    for status, raw in [(200, raw) for raw in raws] + [(302, b""), (416, b"{}")]:
        liar.status, liar.body = status, raw
        answer = await board.editor.request(method, f"{board.path}/files{path}", **more)
        assert (answer.status_code, *answer.json().values()) == (502, *STRANGE), (status, raw)


@pytest.mark.parametrize("name", VERBS)
async def test_a_refusal_that_is_none(board: Board, liar: Liar, name: str) -> None:
    method, path, more = VERBS[name]
    refusals: list[Any] = [
        {"error": 5, "code": "exists"},
        {"error": "No.", "code": None},
        {"error": "", "code": "exists"},
        {"error": "No.", "code": "x\r\ny"},
        {"error": "No."},
        {"error": "\ud800", "code": "exists"},
        [],
    ]
    for status in (400, 404, 409, 500, 599):
        for raw in (b"", b"<html>", *(json.dumps(refusal).encode() for refusal in refusals)):
            liar.status, liar.body = status, raw
            answer = await board.editor.request(method, f"{board.path}/files{path}", **more)
            assert (answer.status_code, *answer.json().values()) == (502, *NOBODY), (status, raw)


@pytest.mark.parametrize("name", STREAMED)
async def test_content_is_what_the_board_says_it_is(board: Board, liar: Liar, name: str) -> None:
    method, path, more = VERBS[name]
    kind = {"archive": "application/gzip", "output": "text/plain; charset=utf-8"}
    liar.body = b"<h1>Sign in</h1>"
    liar.headers = [
        (b"content-type", b"text/html"),
        (b"etag", "“€”".encode()),
        (b"content-disposition", b"inline; filename=\xff"),
        (b"content-security-policy", b"default-src *"),
        (b"set-cookie", b"vibe_login=x"),
    ]
    answer = await board.viewer.request(method, f"{board.path}/files{path}", **more)
    assert (answer.status_code, answer.content) == (200, liar.body)
    assert answer.headers["content-type"] == kind.get(name, "application/octet-stream")
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert not {"etag", "set-cookie"} & answer.headers.keys()
    for status in (204, 302, 304):
        liar.status, liar.body = status, b""
        answer = await board.viewer.request(method, f"{board.path}/files{path}", **more)
        assert (answer.status_code, *answer.json().values()) == (502, *STRANGE), status
