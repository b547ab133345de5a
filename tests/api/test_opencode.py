"""The proxy to a workspace's OpenCode through the API: the real proxy, before a stand-in for OpenCode."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from tests.api.conftest import Board, Connect, serving
from tests.fakes import FakeRuntime
from tests.waiting import eventually
from tests.workspace_services.session_proxy.test_app import Upstream
from vibe_app.wiring import Services
from vibe_app.workspace_services.common.serving import Listening
from vibe_app.workspace_services.session_proxy.app import Config, create_app
from vibe_app.workspaces.usage import used

PASSWORD = "opencodes-own"


@pytest.fixture
def workspace(tmp_path: Path) -> str:
    """A workspace in which card 7 has a tree."""
    (tmp_path / "tasks" / "7").mkdir(parents=True)
    return str(tmp_path)


@pytest.fixture
async def upstream(runtime: FakeRuntime, service_token: str, workspace: str) -> AsyncIterator[Upstream]:
    """What stands in for OpenCode, with the workspace's proxy before it."""
    upstream = Upstream()
    async with serving(upstream) as url:
        app = create_app(Config(workspace, Listening(service_token), url, PASSWORD))
        async with app.router.lifespan_context(app), serving(app) as proxy:
            runtime.proxy_url = proxy
            yield upstream


async def test_an_editor_talks_with_opencode(board: Board, upstream: Upstream) -> None:
    upstream.pieces = [b'[{"id": ', b'"ses_1"}]']
    answer = await board.editor.get(f"{board.path}/opencode/session?limit=5&task=7")
    assert (answer.status_code, answer.json()) == (200, [{"id": "ses_1"}])
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    body = {"parts": [{"type": "text", "text": "hi"}]}
    told = await board.editor.post(f"{board.path}/opencode/session/ses_1/prompt_async?task=7", json=body)
    assert told.status_code == 200
    first, second = upstream.asked
    assert (first["path"], first["query"]) == ("/session", "limit=5")
    assert second["body"] == b'{"parts":[{"type":"text","text":"hi"}]}'
    for asked in upstream.asked:
        assert asked["headers"]["authorization"].startswith("Basic ")
        assert board.tokens["editor"] not in str(asked)
    assert PASSWORD not in answer.text + str(answer.headers)


async def test_refusals_of_opencode_and_of_the_proxy(board: Board, upstream: Upstream) -> None:
    upstream.status, upstream.pieces = 404, [b'{"name": "NotFoundError"}']
    own = await board.editor.get(f"{board.path}/opencode/session/ses_none?task=7")
    assert (own.status_code, own.json()) == (404, {"name": "NotFoundError"})
    shell = await board.editor.post(
        f"{board.path}/opencode/session/ses_1/shell?task=7", json={"command": "id"}
    )
    assert (shell.status_code, shell.json()["code"]) == (403, "does_not_pass")
    rules = await board.editor.post(f"{board.path}/opencode/session?task=7", json={"permission": []})
    assert (rules.status_code, rules.json()["code"]) == (400, "invalid_request")
    upstream.status, upstream.headers = 200, [(b"content-type", b"text/html")]
    for page in ("", "assets/index.js", "some/page"):
        answer = await board.editor.get(f"{board.path}/opencode/{page}?task=7")
        assert (answer.status_code, answer.json()["code"]) == (400, "not_an_interface")
    viewer = await board.viewer.get(f"{board.path}/opencode/session")
    assert (viewer.status_code, viewer.json()["code"]) == (403, "role_too_low")


async def test_its_events_stream_and_keep_the_workspace_awake(
    board: Board, upstream: Upstream, address: str, parts: Services
) -> None:
    upstream.headers = [(b"content-type", b"text/event-stream")]
    upstream.pieces, upstream.endless = [b"data: 1\n\n"], True
    headers = {"Authorization": f"Bearer {board.tokens['editor']}"}
    async with (
        httpx.AsyncClient(base_url=f"{address}/api", headers=headers, trust_env=False) as client,
        client.stream("GET", f"{board.path}/opencode/event?task=7") as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        pieces = answer.aiter_raw()  # one that nobody holds closes the answer
        assert await anext(pieces) == b"data: 1\n\n"
        assert upstream.readers == 1
        async with parts.database.read() as db:
            assert await used(db) == {UUID(board.project)}
        assert parts.usage._holds == {UUID(board.project): 1}, "and for as long as it is read"
    await eventually(lambda: upstream.readers == 0)
    await eventually(lambda: not parts.usage._holds)


async def test_with_the_cookie_it_is_asked_from_the_apps_own_pages(
    board: Board, upstream: Upstream, connect: Connect
) -> None:
    client = board.browse(connect(), "editor")
    path = f"{board.path}/opencode/session?task=7"
    for headers in ({}, {"Origin": "null"}, {"Origin": "http://evil.example"}):
        answer = await client.post(path, json={}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    assert upstream.asked == []
    assert (await client.post(path, json={}, headers={"Origin": "http://board.test"})).status_code == 200
    assert "vibe_login" not in str(upstream.asked)


async def test_opencode_is_away(
    board: Board, upstream: Upstream, runtime: FakeRuntime, service_token: str, workspace: str
) -> None:
    app = create_app(Config(workspace, Listening(service_token), "http://127.0.0.1:1"))
    async with app.router.lifespan_context(app), serving(app) as proxy:
        runtime.proxy_url = proxy
        answer = await board.editor.get(f"{board.path}/opencode/session?task=7")
        assert (answer.status_code, answer.json()["code"]) == (502, "opencode_unreachable")
    runtime.proxy_url = ""
    await board.restarted()
    answer = await board.editor.get(f"{board.path}/opencode/session?task=7")
    assert (answer.status_code, answer.json()["code"]) == (502, "no_such_service")


async def test_without_a_card_nobody_knows_in_which_tree(board: Board, upstream: Upstream) -> None:
    answer = await board.editor.get(f"{board.path}/opencode/session")
    assert (answer.status_code, answer.json()["code"]) == (400, "task_missing")
    assert upstream.asked == []
