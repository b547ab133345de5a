"""Everything that a soak leaves behind: what was said, what stands in the database, who did what.

It is gathered once, when all is over, and written out whole where a check fails.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import SQLModel, col

from soak import history
from soak.people import Asked
from soak.processes import Fault
from vibe_app.board.projects.models import Project
from vibe_app.board.sessions.models import Session, SessionEvent
from vibe_app.board.tasks.models import Task
from vibe_app.db import Database
from vibe_app.inside import Spot
from vibe_app.wire import EventType, iso
from vibe_app.workspace_services.sidecar import journal

Line = tuple[str, str, str]
"""An event's type, text and time stamp."""


@dataclass
class Said:
    """What one session of a sidecar said, in its order.

    Args:
        lines: All of it, its `done` included.
        began: When the agent started; None where that is not known.
    """

    lines: list[Line]
    began: str | None = None

    @property
    def ended(self) -> str | None:
        """When it was done; None while it is not."""
        return self.lines[-1][2] if self.lines and self.lines[-1][0] == EventType.DONE else None

    @property
    def spoken(self) -> list[Line]:
        """All but its `done`."""
        return self.lines[:-1] if self.ended else self.lines


@dataclass
class Evidence:
    """What the checks are given.

    Args:
        sessions, tasks, projects: Every row.
        events: The logged of each session.
        moves: The history of the sessions' rows.
        said: What the sidecars said, by the id that they know.
        asked: What people asked for, by session.
        stops: The cards on which somebody pressed Stop.
        faults: What was done to replicas.
        installation_limit: How many may run at once.
    """

    sessions: Sequence[Session] = ()
    tasks: Sequence[Task] = ()
    projects: Sequence[Project] = ()
    events: dict[UUID, list[SessionEvent]] = field(default_factory=dict)
    moves: Sequence[history.Move] = ()
    said: dict[str, Said] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)
    stops: set[str] = field(default_factory=set)
    faults: Sequence[Fault] = ()
    installation_limit: int = 0


async def stored(database: Database) -> Evidence:
    """Read all that the database holds."""
    async with database.read() as db:
        sessions = (await db.scalars(select(Session).order_by(col(Session.created_at)))).all()
        tasks = (await db.scalars(select(Task))).all()
        projects = (await db.scalars(select(Project))).all()
        rows = await db.scalars(
            select(SessionEvent).order_by(col(SessionEvent.session_id), col(SessionEvent.seq))
        )
        events: dict[UUID, list[SessionEvent]] = {session.id: [] for session in sessions}
        for row in rows:
            events.setdefault(row.session_id, []).append(row)
    return Evidence(sessions, tasks, projects, events, await history.moves(database))


def recorded(folder: Path) -> dict[str, Said]:
    """Read what scripted workspaces wrote down."""
    said: dict[str, Said] = {}
    for path in folder.glob("*.jsonl"):
        start, *lines = [json.loads(line) for line in path.read_text().splitlines()]
        told = [(line["type"], line["text"], line["timestamp"]) for line in lines]
        said[path.stem] = Said(told, start["start"])
    return said


async def keep_journals(workspaces: Path, kept: Path) -> None:
    """Link the journals of real sidecars into a folder, until cancelled: a workspace keeps none for long."""

    def link() -> None:
        kept.mkdir(exist_ok=True)
        for path in workspaces.glob("*/.opencode/sessions/*.jsonl"):
            with suppress(FileExistsError, FileNotFoundError):
                os.link(path, kept / path.name)

    while True:
        await asyncio.to_thread(link)
        await asyncio.sleep(0.2)


def journaled(kept: Path) -> dict[str, Said]:
    """Read the journals that were kept."""
    said: dict[str, Said] = {}
    for path in kept.glob("*.jsonl"):
        events = journal.read(Spot(path.parent, (path.name,))).events
        said[path.stem] = Said([(event.type.value, event.text, iso(event.timestamp)) for event in events])
    return said


def write_out(evidence: Evidence, folder: Path) -> None:
    """Write everything into a folder, one file for each kind of thing."""
    rows: dict[str, list[Any]] = {
        "sessions": [_plain(row) for row in evidence.sessions],
        "tasks": [_plain(row) for row in evidence.tasks],
        "projects": [_plain(row) for row in evidence.projects],
        "events": [_plain(row) for logged in evidence.events.values() for row in logged],
        "history": [asdict(move) for move in evidence.moves],
        "faults": [asdict(fault) for fault in evidence.faults],
        "said": [{"id": name, **asdict(said)} for name, said in evidence.said.items()],
        "read": [
            {"session_id": name, "seen": reader.seen}
            for name, asked in evidence.asked.items()
            for reader in asked.readers
        ],
    }
    for name, each in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row, default=str) + "\n" for row in each))


def _plain(row: SQLModel) -> dict[str, Any]:
    return {
        name: iso(value) if isinstance(value, datetime) else value for name, value in row.model_dump().items()
    }
