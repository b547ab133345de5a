"""OpenCode, or whoever holds its place, says something of another kind than it should: nothing breaks."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workspace_services.sidecar.test_translate import NAMES, own_session, recorded, transcript
from vibe_app.shapes import shaped
from vibe_app.wire import Usage
from vibe_app.workspace_services.sidecar import verdict
from vibe_app.workspace_services.sidecar.commands import Commands
from vibe_app.workspace_services.sidecar.last_answer import unmade_call
from vibe_app.workspace_services.sidecar.opencode import OpenCode, OpenCodeError
from vibe_app.workspace_services.sidecar.opencode_json import Event, Message, SessionInfo
from vibe_app.workspace_services.sidecar.progress import Progress
from vibe_app.workspace_services.sidecar.translate import Translator
from vibe_app.workspace_services.sidecar.waiting import Waits

ODD = [None, True, -1, 10**400, 1e300, float("nan"), "word", [], [None, [None]], {}, {"x": None}]
# One of each: a talk with all kinds of tools, one that asks, one that is refused, one with a sub-agent.
TALKS = ["basic", "edit", "question", "ask", "err429", "err400", "task", "badtool"]
Way = tuple[str | int, ...]


def ways(value: object, before: Way = ()) -> Iterator[Way]:
    """Every place in a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*before, key)
        yield from ways(each, (*before, key))


def changed(value: dict[str, Any], way: Way, odd: object) -> dict[str, Any]:
    """A copy with something else in one place."""
    made = copy.deepcopy(value)
    place: Any = made
    for key in way[:-1]:
        place = place[key]
    place[way[-1]] = odd
    return made


def told(session: str, events: list[Any], messages: list[Any]) -> list[tuple[str, str]]:
    """What a run makes of events and a transcript, through everything that reads them."""
    translator, progress, waits = Translator(session, "/workspace"), Progress("/workspace", 0.0), Waits()
    commands = Commands(lambda: asyncio.sleep(0, []), lambda _: asyncio.sleep(0, []))
    said = []
    for event in shaped(list[Event], events):
        properties = event.get("properties") or {}
        said += translator.feed(event, 0.0)
        progress.feed(event, 0.0)
        waits.status(session, properties.get("status") or {}, 0.0)
        waits.verdict(0.0, 1_800_000_000.0)
        commands.saw("run", properties.get("part") or {})
    known = shaped(list[Message], messages)
    said += translator.transcript(known)
    progress.transcript(session, known, 0.0)
    progress.stuck(0.0)
    verdict.judge(known, translator.error)
    infos = [(event.get("properties") or {}).get("info") for event in shaped(list[Event], events)]
    verdict.usage_of([info for info in infos if info])
    return [(emission.type, emission.text) for emission in said]


@pytest.mark.parametrize("name", NAMES)
def test_the_shapes_leave_out_nothing_that_is_read(name: str) -> None:
    events = recorded(name)
    session = own_session(events)
    plain = Translator(session, "/workspace")
    said = [emission for event in copy.deepcopy(events) for emission in plain.feed(event)]
    said += plain.transcript(transcript(copy.deepcopy(events), session))
    assert told(session, events, transcript(events, session)) == [(each.type, each.text) for each in said]


@pytest.mark.parametrize("name", TALKS)
def test_something_odd_in_any_place_breaks_nothing(name: str) -> None:
    events = recorded(name)
    session = own_session(events)
    messages = transcript(events, session)
    seen = set()
    known: list[dict[str, Any]] = []
    for event in events:
        for way in ways(event):
            kind = (event["type"], (event["properties"].get("part") or {}).get("type"), way)
            if kind in seen:
                continue
            seen.add(kind)
            for odd in ODD:
                told(session, [*known, changed(event, way, odd), event], messages[-1:])
        if event["type"] in ("session.created", "message.updated"):
            known.append(event)
    assert len(seen) > 50


@pytest.mark.parametrize("odd", [value for value in ODD if isinstance(value, int | float)], ids=range(5))
def test_what_a_run_is_said_to_have_used_stays_within_bounds(odd: float) -> None:
    tokens = {"input": odd, "output": odd, "reasoning": 3.0, "cache": {"read": odd, "write": 2}}
    claimed = {"cost": odd, "tokens": tokens}
    used = verdict.usage_of(shaped(list[SessionInfo], [claimed, None, claimed]))
    assert 4 <= used.tokens_input <= 2**31 - 1
    assert 6 <= used.tokens_output <= 2**31 - 1
    assert Usage.model_validate_json(used.model_dump_json()) == used


def test_a_provider_that_is_away_for_ever_is_asked_again_within_a_year() -> None:
    waits, now = Waits(), 1_800_000_000.0
    waits.status("s", {"type": "retry", "message": "later", "next": 9e18}, 0.0)
    found = waits.verdict(0.0, now)
    assert found
    assert found.retry_at
    assert found.retry_at.timestamp() == now + 366 * 24 * 3600


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_marks_that_somebody_else_wrote_break_nothing(odd: object) -> None:
    events = recorded("slide")
    session = own_session(events)
    held = {"rows": ["a", None], "at": [9, -9], "counts": [-5, 0, 0, 0], "pen": "", "seen": ["b", "c", "d"]}
    keys = {e["properties"]["part"]["id"] for e in events if e["type"] == "message.part.updated"}
    for mark in (odd, {"n": odd, "a": odd, "s": odd, "h": odd, "r": odd}, {"r": {"rows": odd}}, {"r": held}):
        marks = {"line": odd, "child:x": odd, **{f"says:{key}": odd for key in keys}}
        marks |= dict.fromkeys(keys, mark)
        translator = Translator(session, "/workspace", marks)
        for event in shaped(list[Event], events)[:60]:
            translator.feed(event)
        translator.settle()


@pytest.mark.parametrize(
    "text",
    ['{"name": ["bash"], "input": {}}', '{"name": {}, "input": ""}', '{"a": ' * 1200 + "1" + "}" * 1200],
)
def test_an_answer_that_looks_like_a_call_is_none(text: str) -> None:
    assert unmade_call(text) == ""


@pytest.mark.parametrize("body", ["null", "7", '"word"', "[null, 7]", '{"id": null}'])
async def test_an_answer_of_another_kind_is_an_empty_one(body: str, tmp_path: Path) -> None:
    async with await asyncio.start_server(answering(body), "127.0.0.1", 0) as server:
        client = OpenCode(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", tmp_path)
        assert (
            await client.messages("s") == await client.children("s") == await client.pending("question") == []
        )
        assert await client.statuses() == await client.session("s") == {}
        with pytest.raises(OpenCodeError, match="without an id"):
            await client.create_session("title", [])
        await client.close()


@pytest.mark.parametrize("body", ["[" * 100_000, "9" * 5000, "<html>"], ids=["deep", "long", "html"])
async def test_an_answer_that_cannot_be_read_is_an_error_of_opencode(body: str, tmp_path: Path) -> None:
    async with await asyncio.start_server(answering(body), "127.0.0.1", 0) as server:
        client = OpenCode(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", tmp_path)
        with pytest.raises(OpenCodeError, match="not JSON"):
            await client.messages("s")
        await client.close()


def answering(body: str) -> Any:
    """A server that gives one answer to whatever it is asked."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    answer = f"{head}connection: close\r\n\r\n{body}".encode()

    async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    return answer_all
