"""What was missed while the event stream was away is told before what happens meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import eventually
from vibe_app.wire import EventType
from vibe_app.workspace_services.sidecar import journal
from vibe_app.workspace_services.sidecar.commands import Commands
from vibe_app.workspace_services.sidecar.journal import Header
from vibe_app.workspace_services.sidecar.opencode import OpenCodeGone
from vibe_app.workspace_services.sidecar.run import Run, Surroundings
from vibe_app.workspace_services.sidecar.sessions import Session
from vibe_app.workspace_services.sidecar.sweep import Meant
from vibe_app.workspace_services.sidecar.watch import Signal, Watch

OURS = "ses_ours"


def text(number: int) -> dict[str, Any]:
    return {
        "id": f"prt_{number}",
        "messageID": f"msg_{number}",
        "sessionID": OURS,
        "type": "text",
        "text": f"said {number}\n",
        "time": {"start": number, "end": number},
    }


def message(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"msg_{number}", "sessionID": OURS, "role": "assistant", **more}


def happened(number: int) -> list[dict[str, Any]]:
    """The events of a message that was said whole."""
    return [
        {"type": "message.updated", "properties": {"sessionID": OURS, "info": message(number)}},
        {"type": "message.part.updated", "properties": {"sessionID": OURS, "part": text(number)}},
    ]


class OpenCodeAway:
    """An OpenCode that does not answer at first, whose transcript then has what was missed.

    Args:
        times: How often it is asked in vain.
        said: The number of the last message of its transcript.
        asks: Whether it has a permission open.
    """

    def __init__(self, times: int, said: int, *, asks: bool = False) -> None:
        self.times, self.said, self.asks = times, said, asks
        self.busy = True
        self.folder = Path("/")

    async def todos(self, _: str) -> list[dict[str, Any]]:
        return []

    async def statuses(self) -> dict[str, Any]:
        if self.times:
            self.times -= 1
            raise OpenCodeGone("Nobody answers.")
        return {OURS: {"type": "busy"}} if self.busy else {}

    async def pending(self, kind: str) -> list[dict[str, Any]]:
        asked = {"id": "per_1", "sessionID": OURS, "permission": "bash", "patterns": ["rm"]}
        return [asked] if self.asks and kind == "permission" else []

    async def messages(self, _: str) -> list[dict[str, Any]]:
        last = {} if self.busy else {"finish": "stop", "time": {"created": 1, "completed": 2}}
        return [
            {"info": message(number, **(last if number == self.said else {})), "parts": [text(number)]}
            for number in range(1, self.said + 1)
        ]

    async def children(self, _: str) -> list[dict[str, Any]]:
        return []

    async def session(self, _: str) -> dict[str, Any]:
        return {}

    async def abort(self, _: str) -> None: ...

    async def reject_permission(self, *_: str) -> None:
        self.asks = False


class NoOutputs:
    """Keeps no output that was too long."""

    async def fill(self, _: Any) -> None: ...


async def nothing(*_: Any) -> list[str]:
    return []


def run_of(client: OpenCodeAway, watch: Watch, folder: Path) -> Run:
    header = Header(session_id="one", prompt_sha256="", opencode_session=OURS)
    client.folder = folder
    around = Surroundings(
        watch,
        nothing,
        lambda _: Meant(),
        Commands(nothing, nothing),
        NoOutputs(),  # type: ignore[arg-type]
        lambda: False,
        600.0,
    )
    return Run(Session(header, None, journal.Contents(header)), client, around)  # type: ignore[arg-type]


async def said_of(client: OpenCodeAway, folder: Path, *items: Any, ends: bool) -> list[str]:
    """Return the run's output once `items` came out of the stream and OpenCode was idle, or went away."""
    watch = Watch(client)  # type: ignore[arg-type]
    run = run_of(client, watch, folder)
    task = run.begin()
    for item in items:
        watch._tell(item)

    if ends:
        await eventually(lambda: any("said 3" in event.text for event in run.session.events))
        client.busy = False
        watch._tell({"type": "session.idle", "properties": {"sessionID": OURS}})
    else:
        watch._tell(Signal.LOST)
    await asyncio.wait_for(task, 10)
    told = [event.text for event in run.session.events if event.type is not EventType.DONE]
    return [line for text in told for line in text.splitlines()]


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_what_was_missed_is_told_before_what_happens_meanwhile(times: int, tmp_path: Path) -> None:
    client = OpenCodeAway(times, said=2)
    said = await said_of(client, tmp_path, Signal.RESYNC, *happened(3), ends=True)
    assert [line for line in said if line.startswith("said")] == ["said 1", "said 2", "said 3"]


async def test_what_was_missed_is_told_before_what_is_asked_now(tmp_path: Path) -> None:
    client = OpenCodeAway(0, said=2, asks=True)
    said = await said_of(client, tmp_path, Signal.RESYNC, *happened(3), ends=True)
    refused = next(number for number, line in enumerate(said) if "permission" in line.lower())
    assert refused > said.index("said 2")


async def test_what_happened_is_told_even_where_it_is_never_known_what_was_missed(tmp_path: Path) -> None:
    client = OpenCodeAway(10**9, said=2)
    said = await said_of(client, tmp_path, Signal.RESYNC, *happened(3), ends=False)
    assert [line for line in said if line.startswith("said")] == ["said 3"]
