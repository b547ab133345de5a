"""The HTTP interface without OpenCode: what must hold when it is not there, and for readers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from vibe_app.wire import SidecarStatus
from vibe_app.workspace_services.sidecar import app as sidecar
from vibe_app.workspace_services.sidecar.app import Config, create_app
from vibe_app.workspace_services.sidecar.commands import Commands
from vibe_app.workspace_services.sidecar.journal import End, Header
from vibe_app.workspace_services.sidecar.sessions import SessionStore
from vibe_app.workspace_services.sidecar.watch import Watch


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    config = Config(tmp_path, "project", "token", opencode_url="http://127.0.0.1:9", rehearsal_key="key")
    app = create_app(config)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://sidecar",
            headers={"Authorization": "Bearer token"},
        ) as client,
    ):
        yield client


async def test_without_opencode_it_is_alive_but_not_ready_and_starts_nothing(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.get("/health")).status_code == 200
    for answer in (
        await client.get("/ready"),
        await client.post("/sessions", json={"session_id": "one", "prompt": "p"}),
    ):
        assert answer.status_code == 503
        assert answer.json()["error"].startswith("OpenCode is not ready")
    assert (await client.get("/sessions/one")).status_code == 404


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic token", "Bearer tokén"])
async def test_every_call_but_health_wants_the_token(client: httpx.AsyncClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode()}
    del client.headers["Authorization"]
    for path in ("/sessions", "/sessions/one", "/sessions/one/stream"):
        answer = await client.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert (await client.get("/health", headers=headers)).status_code == 200


async def test_the_rehearsal_model_wants_its_own_key(client: httpx.AsyncClient) -> None:
    assert (await client.get("/rehearsal/v1/models")).status_code == 401
    client.headers["Authorization"] = "Bearer key"
    assert (await client.get("/rehearsal/v1/models")).json()["data"][0]["id"] == "rehearsal"
    answer = await client.post("/rehearsal/v1/chat/completions", content=b"[]")
    assert answer.status_code == 400


async def test_a_reader_who_has_seen_more_than_there_can_be_gets_nothing_more(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    header = Header(session_id="one", prompt_sha256="00", opencode_session="ses_1")
    session = SessionStore(tmp_path).create(header)
    session.finish("Session completed", End(status=SidecarStatus.COMPLETED))
    for last, status in (("0", 200), ("9" * 5000, 200), ("x", 400)):
        answer = await client.get("/sessions/one/stream", headers={"Last-Event-ID": last})
        assert answer.status_code == status
        assert ("Session completed" in answer.text) is (last == "0")


@pytest.mark.parametrize(("of", "loop"), [(Watch, "run"), (Commands, "watch")])
async def test_a_loop_that_breaks_is_started_again(
    of: type, loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    faults, again = [ZeroDivisionError("what nobody thought of")], asyncio.Event()

    async def broken_once(_: Any) -> None:
        if faults:
            raise faults.pop()
        again.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(of, loop, broken_once)
    app = create_app(Config(tmp_path, "project", "token", opencode_url="http://127.0.0.1:9"))
    async with app.router.lifespan_context(app):
        await asyncio.wait_for(again.wait(), 10)
    assert "what nobody thought of" in caplog.text


async def test_a_reader_that_takes_nothing_is_closed_and_never_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sidecar, "_SLOW_READER", 0.05)
    sent: list[dict[str, Any]] = []
    asked = 0

    async def frames() -> AsyncIterator[bytes]:
        nonlocal asked
        for number in range(1000):
            asked += 1
            yield b"%d" % number

    async def send(message: Any) -> None:
        if len(sent) == 4:
            await asyncio.Event().wait()  # its buffers are full and it reads nothing
        sent.append(message)

    await sidecar._EventStream(frames()).stream_response(send)
    assert [message.get("body") for message in sent[1:]] == [b"0", b"1", b"2"]
    assert asked == 4  # nothing was made ready for a reader who does not read
    assert all(message.get("more_body", True) for message in sent)
