"""How the proxy forwards: with an upstream that behaves as it should, and as it should not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from tests.api.conftest import serving
from tests.waiting import eventually
from vibe_app.workspace_services.common.serving import Listening
from vibe_app.workspace_services.session_proxy.app import Config, create_app

PASSWORD = "opencodes-own"


class Upstream:
    """Stands in for OpenCode: remembers what it was asked, and answers what a test wants."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.status = 200
        self.headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
        self.pieces: list[bytes] = [b"{}"]
        self.breaks = False
        self.endless = False
        self.readers = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        self.asked.append({"path": scope["path"], "query": query, "headers": headers, "body": body})
        self.readers += 1
        try:
            await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
            for piece in self.pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            if self.breaks:
                raise ConnectionResetError
            while self.endless and (await receive())["type"] != "http.disconnect":
                pass
            if not self.endless:
                await send({"type": "http.response.body", "body": b""})
        finally:
            self.readers -= 1


@asynccontextmanager
async def proxying(url: str) -> AsyncIterator[str]:
    """Run a proxy before an upstream, in a workspace with the tree of card 1; yields its address."""
    with TemporaryDirectory() as workspace:
        os.makedirs(f"{workspace}/tasks/1")
        os.symlink("1", f"{workspace}/tasks/3")
        app = create_app(Config(workspace, Listening("token"), url, PASSWORD))
        async with app.router.lifespan_context(app), serving(app) as proxy:
            yield proxy


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def client(upstream: Upstream) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(upstream) as url,
        proxying(url) as proxy,
        httpx.AsyncClient(
            base_url=proxy,
            headers={"Authorization": "Bearer token"},
            params={"task": "1"},
            trust_env=False,
            timeout=10,
        ) as client,
    ):
        yield client


@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Basic wrong", "Basic b3BlbmNvZGU6d3Jvbmc=", "token"]
)
async def test_nobody_passes_without_the_token(
    client: httpx.AsyncClient, upstream: Upstream, header: str | None
) -> None:
    headers = {"Authorization": header} if header else {}
    del client.headers["Authorization"]
    for path in ("/session", "/", "/pty", "/config"):
        answer = await client.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Basic ")
    assert (await client.get("/health", headers=headers)).status_code == 200
    assert upstream.asked == []


async def test_a_browser_may_give_the_token_as_a_password(client: httpx.AsyncClient) -> None:
    del client.headers["Authorization"]
    assert (await client.get("/session", auth=("anybody", "token"))).status_code == 200
    foreign = await client.get("/session", auth=("x", "token"), headers={"Sec-Fetch-Site": "cross-site"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "foreign_origin")


async def test_only_what_is_meant_goes_up_and_comes_down(
    client: httpx.AsyncClient, upstream: Upstream
) -> None:
    upstream.headers += [
        *((b"set-cookie", b"a=b"), (b"www-authenticate", b"Basic"), (b"access-control-allow-origin", b"*")),
        (b"x-secret", PASSWORD.encode()),
    ]
    client.params = httpx.QueryParams()
    answer = await client.post(
        "/session/ses_1/prompt_async?directory=/etc&auth_token=x&limit=3&workspace=w&task=1",
        json={"parts": []},
        headers={
            "X-OpenCode-Directory": "/etc",
            "Cookie": "vibe_login=secret",
            "X-Forwarded-For": "1.2.3.4",
            "Connection": "keep-alive, x-hop",
            "X-Hop": "1",
            "Accept-Encoding": "gzip",
        },
    )
    (asked,) = upstream.asked
    assert (asked["path"], asked["query"], asked["body"]) == (
        "/session/ses_1/prompt_async",
        "limit=3",
        b'{"parts":[]}',
    )
    assert asked["headers"]["x-opencode-directory"].endswith("/tasks/1")
    assert asked["headers"]["authorization"] == httpx.BasicAuth("opencode", PASSWORD)._auth_header
    assert asked["headers"]["accept-encoding"] == "identity"
    assert not {"cookie", "x-forwarded-for", "x-hop"} & asked["headers"].keys()
    assert not {"set-cookie", "www-authenticate", "access-control-allow-origin", "x-secret"} & set(
        answer.headers
    )
    assert PASSWORD not in str(answer.headers)


async def test_whoever_names_no_card_is_told_so(client: httpx.AsyncClient, upstream: Upstream) -> None:
    client.params = httpx.QueryParams()
    for query in (
        "",
        "?task=",
        "?task=0",
        "?task=one",
        "?task=1/../..",
        "?directory=/etc",
        "?task=12345678901",
    ):
        answer = await client.get(f"/session{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "task_missing"), query
        assert "?task=7" in answer.json()["error"]
    for number in (2, 3):
        answer = await client.get(f"/session?task={number}")
        assert answer.status_code == 404
        assert f"Card {number} has no tree" in answer.json()["error"]
    assert upstream.asked == []
    # What is the same for all cards needs none.
    assert (await client.get("/global/health")).status_code == 200


async def test_opencode_s_page_names_a_card_by_its_tree(
    client: httpx.AsyncClient, upstream: Upstream
) -> None:
    await client.get("/session")
    tree = upstream.asked.pop()["headers"]["x-opencode-directory"]
    client.params = httpx.QueryParams()
    assert (await client.get("/session", params={"directory": tree})).status_code == 200
    assert (await client.get("/session", headers={"x-opencode-directory": tree})).status_code == 200
    assert [asked["headers"]["x-opencode-directory"] for asked in upstream.asked] == [tree, tree]
    assert (await client.get("/session", params={"directory": f"{tree}/below"})).status_code == 400


async def test_streams_come_as_they_are_made_and_end_with_their_reader(
    client: httpx.AsyncClient, upstream: Upstream
) -> None:
    upstream.headers = [(b"content-type", b"text/event-stream")]
    upstream.pieces, upstream.endless = [b"data: 1\n\n", b"data: 2\n\n"], True
    async with client.stream("GET", "/event") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        seen = b""
        async for piece in answer.aiter_raw():
            seen += piece
            if seen == b"data: 1\n\ndata: 2\n\n":
                break
        assert upstream.readers == 1
    await eventually(lambda: upstream.readers == 0)


async def test_a_turn_whose_reader_leaves_lets_the_connection_go(
    client: httpx.AsyncClient, upstream: Upstream
) -> None:
    arrived, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        arrived.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        may_answer.set()

    async with serving(slow) as url, proxying(url) as proxy:
        asking = asyncio.create_task(client.post(f"{proxy}/session/ses_1/message", json={"parts": []}))
        await asyncio.wait_for(arrived.wait(), 10)
        asking.cancel()
        await asyncio.wait_for(may_answer.wait(), 10)
        await asyncio.gather(asking, return_exceptions=True)


async def test_an_answer_that_breaks_off_is_not_taken_for_the_whole(
    client: httpx.AsyncClient, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.pieces, upstream.breaks = [b'{"half": '], True
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/session")
    assert (await client.get("/config")).status_code == 502


async def test_opencode_is_away() -> None:
    async with (
        proxying("http://127.0.0.1:1") as url,
        httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer token"}, trust_env=False) as client,
    ):
        answer = await client.get("/session?task=1")
        assert (answer.status_code, answer.json()["code"]) == (502, "opencode_unreachable")
        assert "Try again" in answer.json()["error"]
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/ready")).status_code == 503


async def test_what_opencode_should_not_answer(client: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.headers = [(b"content-type", b"text/html")]
    answer = await client.get("/session/none")
    assert (answer.status_code, answer.json()["error"]) == (
        502,
        "This OpenCode does not know /session/none.",
    )
    upstream.status = 401
    assert "restart the workspace" in (await client.get("/session")).json()["error"]
    upstream.status, upstream.headers = 404, [(b"content-type", b"application/json")]
    upstream.pieces = [b'{"name": "NotFoundError"}']
    own = await client.get("/session/none")
    assert (own.status_code, own.json(), own.headers["x-from-opencode"]) == (
        404,
        {"name": "NotFoundError"},
        "1",
    )
    upstream.status, upstream.pieces = 200, [b"not json"]
    assert (await client.get("/config")).status_code == 502


async def test_bodies_have_a_limit(client: httpx.AsyncClient, upstream: Upstream) -> None:
    answer = await client.post("/session/ses_1/message", content=b'"' + b"x" * (16 * 1024 * 1024))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert (await client.post("/session/ses_1/message", content=deep)).status_code in (400, 403)
    assert upstream.asked == []


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("SIDECAR_TOKEN", "", "SIDECAR_TOKEN must be set"),
        ("OPENCODE_URL", "127.0.0.1:3000", "OPENCODE_URL"),
        ("PORT", "0", "PORT"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL"),
    ],
)
def test_variables_that_cannot_be_used(name: str, value: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Config.from_env({"SIDECAR_TOKEN": "t", name: value})
