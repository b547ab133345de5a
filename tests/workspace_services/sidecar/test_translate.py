"""The translator against what real OpenCode sent, whole and cut at every point."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from vibe_app.wire import EventType, Failure, SidecarStatus
from vibe_app.workspace_services.sidecar import verdict
from vibe_app.workspace_services.sidecar.translate import Emission, Translator, merged

STREAMS = Path(__file__).parent / "streams"
NAMES = sorted(path.stem for path in STREAMS.glob("*.jsonl"))
# The model's endpoint kept failing until the recording stopped, or OpenCode was killed.
UNFINISHED = {"err500", "cutoff", "kill"}


@cache
def recorded(name: str) -> list[dict[str, Any]]:
    return [json.loads(line)["data"] for line in (STREAMS / f"{name}.jsonl").read_text().splitlines()]


def own_session(events: list[dict[str, Any]]) -> str:
    return next(e["properties"]["info"]["id"] for e in events if e["type"] == "session.created")


def transcript(events: list[dict[str, Any]], session: str) -> list[dict[str, Any]]:
    """What `GET /session/{id}/message` would answer after these events: deltas are not kept by OpenCode."""
    messages: dict[str, dict[str, Any]] = {}
    for event in events:
        properties = event["properties"]
        if properties.get("sessionID") != session:
            continue
        if event["type"] == "message.updated":
            info = properties["info"]
            messages.setdefault(info["id"], {"parts": {}})["info"] = info
        elif event["type"] == "message.part.updated":
            part = properties["part"]
            messages.setdefault(part["messageID"], {"parts": {}})["parts"][part["id"]] = part
    return [{"info": m["info"], "parts": list(m["parts"].values())} for m in messages.values()]


def translator(
    events: list[dict[str, Any]], marks: dict[str, Any] | None = None, **options: Any
) -> Translator:
    return Translator(own_session(events), "/workspace", marks, **options)


def by_part(emissions: list[Emission]) -> dict[str, str]:
    """The shown text of each part, without newlines: where lines break depends on what came between."""
    shown: dict[str, str] = defaultdict(str)
    for emission in emissions:
        if emission.type is EventType.OUTPUT:
            for key, mark in emission.marks.items():
                if (
                    isinstance(mark, dict) and "f" not in mark
                ):  # a finished part's mark may travel with the next text
                    shown[key] += emission.text.replace("\n", "")
    return {key: text for key, text in shown.items() if text}


def lines(emissions: list[Emission]) -> Counter[tuple[str, str]]:
    return Counter((e.type.value, e.text) for e in emissions if e.type is not EventType.OUTPUT)


def expected(events: list[dict[str, Any]]) -> dict[str, str]:
    """What each text and each command finally said, read from the events without the translator."""
    session, roles, final = own_session(events), {}, {}
    for event in events:
        properties = event["properties"]
        if event["type"] == "message.updated":
            roles[properties["info"]["id"]] = properties["info"]["role"]
        part = properties.get("part", {})
        if part.get("sessionID") != session or roles.get(part.get("messageID")) != "assistant":
            continue
        if part["type"] == "text":
            final[part["id"]] = part["text"]
        elif part.get("tool") == "bash" and part["state"]["status"] in ("running", "completed"):
            final[part["id"]] = part["state"].get("metadata", {}).get("output", "")
    return {key: text.replace("\n", "") for key, text in final.items() if text}


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"slide"} - UNFINISHED - {"midhang"}))
def test_every_text_and_every_command_is_shown_whole_and_once(name: str) -> None:
    events = recorded(name)
    reader = translator(events)
    shown = by_part([emission for event in events for emission in reader.feed(event)])
    for part, text in expected(events).items():
        assert shown[part] == text


@pytest.mark.parametrize("name", NAMES)
def test_feeding_everything_twice_says_nothing_twice(name: str) -> None:
    events = recorded(name)
    reader = translator(events)
    for event in events:
        reader.feed(event)
    reader.gap()
    assert [emission for event in events for emission in reader.feed(event)] == []
    assert reader.transcript(transcript(events, own_session(events))) == []


@pytest.mark.parametrize("missed", [0, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_reader_restored_at_any_point_completes_the_same_story(name: str, missed: int) -> None:
    events = recorded(name)
    session = own_session(events)
    whole_reader = translator(events, cap=10**9)
    whole = [emission for event in events for emission in whole_reader.feed(event)]
    children = {e["properties"]["info"]["id"] for e in events if e["type"] == "session.created"} - {session}
    for cut in range(2, len(events), 1 if len(events) < 150 else 3):
        first = translator(events, cap=10**9)
        before = [emission for event in events[:cut] for emission in first.feed(event)]
        marks: dict[str, Any] = {}
        for emission in before:
            marks |= json.loads(json.dumps(emission.marks))
        second = translator(events, marks, cap=10**9)
        after = []
        for event in events[:cut]:
            if event["type"] in ("session.created", "session.updated"):
                after += second.feed(event)
        for known in (session, *children):
            after += second.transcript(transcript(events[: cut + missed], known))
        for event in events[cut + missed :]:
            after += second.feed(event)
        for known in (session, *children):
            after += second.transcript(transcript(events, known))
        told = by_part(before + after)
        for part, text in by_part(whole).items():
            if name in UNFINISHED | {"midhang"}:  # a text cut off by a fault exists in its deltas only
                assert text.startswith(told.get(part, "")), (cut, part)
            else:
                assert told[part] == text, (cut, part)
        assert not lines(before + after) - lines(whole), cut
        # What waits for an answer, and a retry, are asked for separately after a reconnect.
        missing = lines(whole) - lines(before + after)
        assert not [
            text for _, text in missing if not text.startswith(("InvalidRequest: ", "The model did not"))
        ], cut


def test_the_basic_story_reads_like_this() -> None:
    events = recorded("basic")
    reader = translator(events)
    story = [
        (entry.type.value, entry.text)
        for entry in merged(emission for event in events for emission in reader.feed(event))
    ]
    assert story[:6] == [
        ("status", "Model: scripted/basic"),
        ("status", "Thinking"),
        ("output", "I will create the README.\n"),
        ("status", "write: README.md"),
        ("status", "Created README.md"),
        ("output", "Now list.\n"),
    ]
    assert story[6] == ("status", "bash: ls -la && sleep 2 && echo done")
    assert story[7][1].startswith("total 28\n")
    assert story[7][1].endswith("src\ndone\nAll done: README.md created.\n")


def test_long_output_is_followed_through_its_sliding_window() -> None:
    events = recorded("slide")
    reader = translator(events, cap=10**9)
    shown = "".join(e.text for event in events for e in reader.feed(event) if e.type is EventType.OUTPUT)
    assert shown == "".join(f"line {n:06} of a long output\n" for n in range(1, 4401)) + "done\n"


def test_a_long_output_is_capped_visibly_and_its_end_is_shown() -> None:
    events = recorded("slide")
    reader = translator(events)
    shown = "".join(e.text for event in events for e in reader.feed(event) if e.type is EventType.OUTPUT)
    assert len(shown) < 75_000
    assert shown.startswith("line 000001 of a long output\n")
    parts = re.fullmatch(r"(.*)\[.*\]\n\[([0-9,]+) lines are left out here.*\]\n(.*)", shown, re.DOTALL)
    assert parts
    assert sum(text.count("\n") for text in parts.group(1, 3)) + int(parts[2].replace(",", "")) == 4401
    assert shown.endswith("line 004399 of a long output\nline 004400 of a long output\ndone\n")


def bash(tail: str, status: str = "running", **extra: Any) -> dict[str, Any]:
    metadata = {"output": tail, "exit": 0, "truncated": False} | extra.pop("metadata", {})
    state = {"status": status, "input": {"command": "x"}, "metadata": metadata, **extra}
    return part({"type": "tool", "tool": "bash", "id": "p1", "state": state})


def part(value: dict[str, Any]) -> dict[str, Any]:
    value |= {"sessionID": "s", "messageID": "m"}
    return {"type": "message.part.updated", "properties": {"sessionID": "s", "part": value}}


def small() -> Translator:
    reader = Translator("s", "/workspace")
    info = {"id": "m", "role": "assistant", "sessionID": "s"}
    reader.feed({"type": "message.updated", "properties": {"sessionID": "s", "info": info}})
    return reader


def shown(emissions: list[Emission]) -> str:
    return "".join(e.text for e in emissions if e.type is EventType.OUTPUT)


def test_output_that_comes_in_one_gush_is_shown_whole_when_the_command_ends() -> None:
    full = "".join(f"{n}\n" for n in range(8000))
    tail = "...\n\n" + full[-30_000:]
    reader = small()
    told = shown(reader.feed(bash("0\n")))
    told += shown(reader.feed(bash(tail)))
    told += shown(reader.feed(bash(tail, "completed", output=full)))
    assert told == full


def test_output_beyond_what_opencode_keeps_says_that_a_part_is_missing() -> None:
    reader = small()
    told = shown(reader.feed(bash("first\n")))
    tail = "...\n\n" + "y" * 29_999 + "\n"
    told += shown(reader.feed(bash(tail, "completed", output="cut", metadata={"truncated": True})))
    assert told.startswith("first\n[a part of the output came too fast and is left out here]\nyyy")


@pytest.mark.parametrize(
    "text",
    [
        "a\x1b[31mred\x1b[0m b",
        "title\x1b]0;owned\x07 after",
        "clip\x1b]52;c;AAAA\x1b\\ after",
        "line\r\nnext\rlast",
        "move\x1b[2J\x1b[10;10Hhere",
        "charset\x1b(B end",
        "smile 😀 end",
        "dcs\x1bPq#0\x1b\\ after \x9b31m",
        "bidi \u202eevil\u202c",
    ],
)
def test_nothing_slips_through_between_two_deltas(text: str) -> None:
    def told(pieces: list[str]) -> str:
        reader = small()
        value = {"type": "text", "id": "t", "text": "", "time": {"start": 1}}
        out = reader.feed(part(dict(value)))
        for piece in pieces:
            properties = {"sessionID": "s", "messageID": "m", "partID": "t", "field": "text", "delta": piece}
            out += reader.feed({"type": "message.part.delta", "properties": properties})
        out += reader.feed(part(value | {"text": text, "time": {"start": 1, "end": 2}}))
        return shown(out)

    whole = told([text])
    assert "\x07" not in whole
    assert "\r" not in whole
    units = text.encode("utf-16-le")
    halves = [units[i : i + 2].decode("utf-16-le", "surrogatepass") for i in range(0, len(units), 2)]
    assert told(halves) == whole
    for cut in range(1, len(halves)):
        assert told(["".join(halves[:cut]), "".join(halves[cut:])]) == whole


def test_events_of_other_sessions_are_not_ours() -> None:
    reader = Translator("another", "/workspace")
    assert [emission for event in recorded("basic") for emission in reader.feed(event)] == []


def test_a_sub_agents_tools_are_status_lines_under_its_title() -> None:
    reader = small()
    info = {"id": "child", "parentID": "s", "title": "look it up (@general subagent)"}
    reader.feed({"type": "session.created", "properties": {"sessionID": "child", "info": info}})
    message = {"id": "cm", "role": "assistant", "sessionID": "child"}
    reader.feed({"type": "message.updated", "properties": {"sessionID": "child", "info": message}})
    state = {"status": "running", "input": {"pattern": "*.py"}}
    tool = {
        "type": "tool",
        "tool": "glob",
        "id": "g",
        "sessionID": "child",
        "messageID": "cm",
        "state": state,
    }
    told = reader.feed({"type": "message.part.updated", "properties": {"sessionID": "child", "part": tool}})
    assert [(e.type, e.text) for e in told] == [(EventType.STATUS, "look it up › glob: *.py")]


def command(key: str, text: str, status: str = "running") -> dict[str, Any]:
    """A report of one of several commands."""
    state = {
        "status": status,
        "input": {"command": f"make {key}"},
        "metadata": {"output": text, "exit": 1},
        "output": text,
    }
    return part({"type": "tool", "tool": "bash", "id": key, "state": state})


def test_lines_of_two_commands_at_once_carry_their_commands() -> None:
    reader = small()
    reports = [
        command("a", "a1\n"),
        command("b", "b1\nb2 be"),
        command("a", "a1\na2\n"),
        command("b", "b1\nb2 begun\n", "completed"),
        command("a", "a1\na2\na3\n", "completed"),
        command("c", "c1\n", "completed"),
    ]
    told = [entry for report in reports for entry in reader.feed(report)]
    assert shown(told).splitlines() == [
        "a1",
        "make b › b1",
        "make b › b2 be",
        "make a › a2",
        "make b › gun",
        "make a › a3",
        "c1",
    ]
    ends = ["make b › bash: exit status 1", "make a › bash: exit status 1", "bash: exit status 1"]
    assert [entry.text for entry in told if entry.type is EventType.ERROR] == ends


def test_a_sub_agents_words_come_once_under_its_title_and_a_namesake_has_a_number() -> None:
    reader = small()
    for child in ("c1", "c2"):
        info = {"id": child, "parentID": "s", "title": "look (@general subagent)"}
        reader.feed({"type": "session.created", "properties": {"sessionID": child, "info": info}})
        message = {"id": f"m-{child}", "role": "assistant", "sessionID": child}
        reader.feed({"type": "message.updated", "properties": {"sessionID": child, "info": message}})
    told = []
    for child in ("c1", "c2"):
        text = {"type": "text", "id": f"t-{child}", "text": f"I am {child}\n", "time": {"end": 1}}
        text |= {"sessionID": child, "messageID": f"m-{child}"}
        told += reader.feed(
            {"type": "message.part.updated", "properties": {"sessionID": child, "part": text}}
        )
    state = {
        "status": "completed",
        "input": {"description": "look"},
        "metadata": {"sessionId": "c1"},
        "output": "<task_result>\nI am c1\n</task_result>",
    }
    told += reader.feed(part({"type": "tool", "tool": "task", "id": "p", "state": state}))
    assert shown(told) == "look › I am c1\nlook (2) › I am c2\n"


@pytest.mark.parametrize(
    ("name", "status", "failure", "words"),
    [
        ("basic", SidecarStatus.COMPLETED, None, ""),
        ("err429", SidecarStatus.COMPLETED, None, ""),
        ("badtool", SidecarStatus.COMPLETED, None, ""),
        ("err400", SidecarStatus.FAILED, Failure.PROVIDER_REFUSED, "refused the request (400)"),
        ("ctxlen", SidecarStatus.FAILED, Failure.PROVIDER_REFUSED, "too long for the model's context"),
        ("malformed", SidecarStatus.FAILED, Failure.BROKEN, "could not be used"),
        ("midhang", SidecarStatus.FAILED, Failure.PROVIDER_BUSY, "SSE read timed out"),
    ],
)
def test_how_it_ended_is_read_from_the_transcript(
    name: str, status: SidecarStatus, failure: Failure | None, words: str
) -> None:
    events = recorded(name)
    found = verdict.judge(transcript(events, own_session(events)), None)
    assert found is not None
    assert (found.status, found.failure) == (status, failure)
    assert words in (found.error or "")


def test_a_run_without_an_end_has_no_verdict_yet() -> None:
    events = recorded("basic")
    cut = next(i for i, event in enumerate(events) if "running" in json.dumps(event))
    assert verdict.judge(transcript(events[:cut], own_session(events)), None) is None


def test_retries_are_told_once_each() -> None:
    events = recorded("err500")
    reader = translator(events)
    told = [e.text for event in events for e in reader.feed(event, 1795338247205)]
    assert told[1] == "The model did not answer (scripted 500); trying again in 2 s (attempt 1 failed)"
    assert sum("trying again" in text for text in told) == 5
