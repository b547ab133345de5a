"""The output of a session as server-sent events, over real connections."""

from __future__ import annotations

import asyncio
import json
import random
import re
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from httpx_sse import EventSource, aconnect_sse

from tests.api.conftest import Board, serving
from tests.conftest import BOTH
from tests.fakes import FakeRuntime, Script
from tests.waiting import eventually
from vibe_app.api import output
from vibe_app.api.metrics import OPEN_STREAMS
from vibe_app.wire import Event, EventType, iso, now
from vibe_app.wiring import Services

Seen = list[tuple[int, str, str]]


@pytest.fixture
def runtime(request: pytest.FixtureRequest) -> FakeRuntime:
    """Workspaces that play the script of the test's parameter."""
    return FakeRuntime(getattr(request, "param", Script()))


def script(played: Script) -> pytest.MarkDecorator:
    """Run a test on workspaces whose sidecars play this script."""
    return pytest.mark.parametrize("runtime", [played], indirect=True, ids=[""])


@pytest.fixture
async def reader(address: str, board: Board) -> Any:
    """A viewer's client of the real server, without a limit for silence."""
    headers = {"Authorization": f"Bearer {board.tokens['viewer']}"}
    async with httpx.AsyncClient(base_url=f"{address}/api", headers=headers, timeout=30) as client:
        yield client


async def execute(board: Board) -> tuple[str, str]:
    """Execute a new card; return the path and the id of its session."""
    task = await board.task()
    session = (await board.editor.post(f"{task}/execute")).json()["session_id"]
    return f"{task}/output", session


async def stored(parts: Services, session: str) -> Seen:
    """Return the logged of a session that is over."""
    seen: Seen = []
    async for batch in parts.event_log.follow(UUID(session)):
        seen += [(event.seq, event.type.value, event.text) for event in batch.events]
    return seen


async def read(client: httpx.AsyncClient, path: str, session: str, **options: Any) -> Seen:
    """Return what a stream sends until it is closed."""
    params = {"session_id": session} | options.pop("params", {})
    seen: Seen = []
    async with aconnect_sse(client, "GET", path, params=params, **options) as source:
        async for event in source.aiter_sse():
            data = event.json()
            seen.append((int(event.id), data["type"], data["text"]))
    return seen


@script(Script(events=[("status", "Reading", 0), ("output", "é\n\u2028</b>", 0), ("error", "no\rway", 0)]))
async def test_the_bytes_of_a_stream(board: Board, reader: httpx.AsyncClient) -> None:
    path, session = await execute(board)
    answer = await reader.get(path, params={"session_id": session})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "content-length" not in answer.headers
    assert answer.text.startswith("retry: 1000\n")
    *frames, end = answer.text.removeprefix("retry: 1000\n").split("\n\n")
    assert end == ""
    texts = []
    for number, frame in enumerate(frames, start=1):
        seq, kind, data = frame.split("\n")
        assert (seq, kind) == (f"id: {number}", "event: message")
        body = json.loads(data.removeprefix("data: "))
        assert body.keys() == {"type", "text", "timestamp"}
        assert body["timestamp"].endswith("Z")
        texts.append((body["type"], body["text"]))
    said = [("status", "Reading"), ("output", "é\n\u2028</b>"), ("error", "no\nway")]
    assert texts == [*said, ("done", "Session completed")]


@pytest.mark.parametrize("database_kind", BOTH)
@script(Script.lines(40, rate=100))
async def test_a_stream_opened_in_mid_run_has_the_past_and_the_rest(
    board: Board, reader: httpx.AsyncClient, parts: Services
) -> None:
    path, session = await execute(board)
    await eventually(lambda: parts.event_log.written >= 10)
    seen = await read(reader, path, session)
    assert seen == await stored(parts, session)
    assert [text for _, kind, text in seen if kind == "output"] == [
        f"line {number} of 40\n" for number in range(1, 41)
    ]
    assert seen[-1][1:] == ("done", "Session completed")
    assert await read(reader, path, session) == seen


@script(Script.lines(20))
async def test_continuing_after_an_id(board: Board, reader: httpx.AsyncClient, parts: Services) -> None:
    path, session = await execute(board)
    whole = await read(reader, path, session)
    assert await read(reader, path, session, params={"after": 7}) == whole[7:]
    assert await read(reader, path, session, headers={"Last-Event-ID": "7"}) == whole[7:]
    both = await read(reader, path, session, params={"after": 3}, headers={"Last-Event-ID": "12"})
    assert both == whole[12:]
    end = await reader.get(path, params={"session_id": session, "after": len(whole)})
    assert (end.status_code, end.content) == (204, b"")


@pytest.mark.parametrize("database_kind", BOTH)
@script(Script.lines(1500, rate=500))
async def test_cut_connections_lose_and_repeat_nothing(
    board: Board, reader: httpx.AsyncClient, parts: Services
) -> None:
    path, session = await execute(board)
    dice = random.Random(20)
    seen: Seen = []
    received = b""
    for _ in range(50):
        headers = {"Last-Event-ID": str(seen[-1][0])} if seen else {}
        rest = dice.randrange(1, 6000)
        async with reader.stream("GET", path, params={"session_id": session}, headers=headers) as answer:
            received = b""
            async for chunk in answer.aiter_raw():
                received += chunk[:rest]
                rest -= len(chunk)
                if rest <= 0:
                    break
        # Only whole events count, as for a browser: the rest was cut off.
        for frame in received.removeprefix(b"retry: 1000\n").split(b"\n\n")[:-1]:
            seq, _, data = frame.decode().split("\n")
            body = json.loads(data.removeprefix("data: "))
            seen.append((int(seq.removeprefix("id: ")), body["type"], body["text"]))
        if seen and seen[-1][1] == "done":
            break
    assert 0 < len(seen) < 1501, "the cuts should leave something for the last connection"
    seen += await read(reader, path, session, headers={"Last-Event-ID": str(seen[-1][0])})
    assert seen == await stored(parts, session)
    assert [number for number, _, _ in seen] == list(range(1, 1502))


@script(Script.endless())
async def test_a_stream_that_cannot_be(board: Board, reader: httpx.AsyncClient) -> None:
    path, session = await execute(board)
    other, _ = await execute(board)
    for params, status, code in (
        ({}, 400, "invalid_request"),
        ({"session_id": ""}, 400, "invalid_request"),
        ({"session_id": "42"}, 400, "invalid_request"),
        ({"session_id": session, "after": "x"}, 400, "invalid_request"),
        ({"session_id": session, "after": -1}, 400, "invalid_request"),
        ({"session_id": session, "after": 2**31}, 400, "invalid_request"),
        ({"session_id": session, "after": 2**31 - 1}, 400, "invalid_last_event_id"),
        ({"session_id": str(uuid4())}, 404, "session_not_found"),
    ):
        answer = await reader.get(path, params=params)
        assert (answer.status_code, answer.json()["code"]) == (status, code), params
    answer = await reader.get(path, params={"session_id": session}, headers={"Last-Event-ID": "abc"})
    assert answer.status_code == 400
    answer = await reader.get(other, params={"session_id": session})
    assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")


@script(Script.lines(3))
async def test_a_browser_reads_with_its_cookie(board: Board, address: str) -> None:
    path, session = await execute(board)
    cookies = {"vibe_login": board.logins["viewer"].cookie}
    key = {"key": board.logins["viewer"].key}  # an EventSource sends no header of its own
    async with httpx.AsyncClient(base_url=f"{address}/api", cookies=cookies, params=key) as browser:
        assert len(await read(browser, path, session)) == 4
        stranger = await board.stranger.get(path, params={"session_id": session})
        assert stranger.status_code == 403


@script(Script.endless())
async def test_silence_is_filled_with_comments(
    board: Board, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "KEEP_ALIVE", 0.05)
    path, session = await execute(board)
    async with reader.stream("GET", path, params={"session_id": session}) as answer:
        received = b""
        async for chunk in answer.aiter_raw():
            received += chunk
            if b"\n\n: nothing new\n: nothing new\n" in received:
                break
    # It may have been silent before its first word, too.
    assert received.replace(b": nothing new\n", b"").startswith(b"retry: 1000\nid: 1\n")


@script(Script.endless())
async def test_a_reader_that_goes_away_is_noticed(board: Board, reader: httpx.AsyncClient) -> None:
    path, session = await execute(board)
    before = OPEN_STREAMS._value.get()
    async with reader.stream("GET", path, params={"session_id": session}) as answer:
        await anext(answer.aiter_raw())
        assert OPEN_STREAMS._value.get() == before + 1
    await eventually(lambda: OPEN_STREAMS._value.get() == before, 2)


@script(Script(events=[("output", "x" * 60_000, 0.0)] * 400))
async def test_a_reader_that_is_too_slow_is_closed_and_resumes(
    board: Board, address: str, reader: httpx.AsyncClient, parts: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "SLOW", 0.3)
    path, session = await execute(board)
    await board.session_is(path.removesuffix("/output"), "completed")
    before = OPEN_STREAMS._value.get()
    parts_of_url = urlsplit(address)
    slow, writer = await asyncio.open_connection(parts_of_url.hostname, parts_of_url.port, limit=1024)
    writer.write(
        f"GET /api{path}?session_id={session} HTTP/1.1\r\nHost: board.test\r\n"
        f"Authorization: Bearer {board.tokens['viewer']}\r\n\r\n".encode()
    )
    await eventually(lambda: OPEN_STREAMS._value.get() == before + 1)
    await eventually(lambda: OPEN_STREAMS._value.get() == before)
    received = b""
    while chunk := await slow.read(1 << 20):
        received += chunk
    writer.close()
    assert len(received) < 24_000_000
    last = received.count(b"\n\n")
    assert [int(seq) for seq in re.findall(rb"id: (\d+)\n", received)][:last] == list(range(1, last + 1))
    monkeypatch.setattr(output, "SLOW", 30.0)
    rest = await read(reader, path, session, params={"after": last})
    assert [number for number, _, _ in rest] == list(range(last + 1, 402))


@script(Script.endless())
async def test_a_server_that_stops_does_not_wait_for_readers(app: Any, board: Board) -> None:
    path, session = await execute(board)
    headers = {"Authorization": f"Bearer {board.tokens['viewer']}"}
    async with httpx.AsyncClient(headers=headers) as client:
        async with asyncio.timeout(10), serving(app) as url:
            url = f"{url}/api{path}"
            answer = await client.send(
                client.build_request("GET", url, params={"session_id": session}), stream=True
            )
            events = EventSource(answer).aiter_sse()
            assert (await anext(events)).id == "1"
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(events)
        await answer.aclose()


@script(Script.lines(20_000))
async def test_twenty_thousand_lines_as_fast_as_they_come(
    board: Board, reader: httpx.AsyncClient, parts: Services
) -> None:
    path, session = await execute(board)
    answers = await asyncio.gather(*(read(reader, path, session) for _ in range(3)))
    whole = await stored(parts, session)
    assert len(whole) == 20_001
    assert all(seen == whole for seen in answers)


def test_events_travel_in_pieces() -> None:
    moment = now()
    events = [
        Event(seq=number, type=EventType.OUTPUT, text="x" * 1000, timestamp=moment)
        for number in range(1, 1001)
    ]
    pieces = list(output.encoded(events))
    assert 3 <= len(pieces) <= 6
    assert max(map(len, pieces)) < output.CHUNK + 2000
    joined = b"".join(pieces)
    assert joined.count(b"\n\n") == 1000
    assert f'"timestamp": "{iso(moment)}"'.encode() in joined
    assert list(output.encoded([])) == []
