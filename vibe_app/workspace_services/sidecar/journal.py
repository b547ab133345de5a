r"""A session's events on disk: append-only, one file a session, one JSON object a line.

The first line, the header, says which prompt was accepted (by its hash) and which
OpenCode session works on it. Each further line is an event with the translator's
marks; the last one also holds how the session ended.

What is kept when: a line is written before any reader sees its event, so whatever was
shown survives the death of the sidecar (the kernel has it). Header and end are also
forced to the disk (fsync), the events between are not: only a crash of the whole
machine can take the newest of them, and then the run itself is gone too. Forcing
each batch would cost a disk's turn 20 times a second and protect nothing more.
A line that was cut by a crash is dropped when the file is opened again.

Beside a live session's journal lies `<session_id>.end`, a few blank kilobytes: room that is
already taken, so that the end can still be written where the disk has become full.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from pydantic import BaseModel, ValidationError

from vibe_app import inside
from vibe_app.inside import Spot
from vibe_app.shapes import shaped
from vibe_app.wire import Event, Failure, SidecarStatus, Steps, Usage

LARGEST_SUMMARY = 64 << 10
"""Bytes of an agent's last message that are kept."""
_RESERVED = 4096
_TAIL = 6 * LARGEST_SUMMARY
"""Bytes from the end of a journal that hold its last line, but for an error of uncommon length."""


class Header(BaseModel):
    """What was accepted: written and forced to the disk before OpenCode gets the prompt.

    What it has a default for, journals of earlier versions lack.
    """

    version: int = 1
    session_id: str
    prompt_sha256: str
    opencode_session: str
    spends_for: str | None = None
    """The session of the board whose limits hold for it."""
    tree: int | None = None
    """The number of the card in whose tree it works; None in the workspace itself."""
    began_anew: bool = False
    """Whether the conversation that it was to go on with was gone."""
    heard: bool = False
    """Whether the conversation has the prompt already, from an attempt that was lost."""
    after: dict[str, str] = {}
    """The last message of the conversation, and of each of its sub-agents', from before this run."""
    stale: list[str] = []
    """What waited for an answer already, and nobody waits for any more."""
    todos: str = ""
    """What the agent's list of things to do was like, as `steps.fingerprint` says."""
    spent: Usage = Usage()
    """What the conversation had consumed."""
    setup: str = ""
    """The OpenCode session in which the tree is prepared; empty where nothing is to be prepared."""


class End(BaseModel):
    """How a session ended; part of its last line."""

    status: SidecarStatus
    heard: bool = True
    error: str | None = None
    failure: Failure | None = None
    usage: Usage = Usage()
    asking: bool = False
    retry_at: datetime | None = None
    steps: Steps | None = None
    summary: str = ""


class Line(NamedTuple):
    """An event with what must be stored beside it."""

    event: Event
    marks: dict[str, Any]
    end: End | None = None


class _Record(TypedDict, total=False):
    marks: dict[str, object]


@dataclass
class Contents:
    """All that a journal says."""

    header: Header
    events: list[Event] = field(default_factory=list[Event])
    marks: dict[str, Any] = field(default_factory=dict[str, Any])
    end: End | None = None
    size: int = 0
    """Bytes up to the end of the last whole line."""


class Journal:
    """The open journal of a live session.

    Args:
        spot: Where it lies.
        descriptor: The open file, positioned at its end.
        size: Bytes of it that are whole lines.
    """

    def __init__(self, spot: Spot, descriptor: int, size: int) -> None:
        self._spot = spot
        self._descriptor = descriptor
        self._size = size

    @classmethod
    def create(cls, spot: Spot, header: Header) -> Journal:
        """Start a journal and force its header to the disk.

        Raises:
            OSError: It exists already, or cannot be written.
        """
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
        journal = cls(spot, spot.open(flags, make=True), 0)
        try:
            journal._write(header.model_dump_json().encode() + b"\n")
            os.fsync(journal._descriptor)
            _reserve_of(spot).write(b" " * _RESERVED)
            _sync_folder(spot)
        except OSError:
            journal.discard()
            raise
        return journal

    @classmethod
    def reopen(cls, spot: Spot, contents: Contents) -> Journal:
        """Go on with a journal that `read` has read, after cutting off a torn last line.

        Raises:
            OSError: It cannot be written.
        """
        descriptor = spot.open(os.O_WRONLY | os.O_APPEND)
        os.ftruncate(descriptor, contents.size)
        return cls(spot, descriptor, contents.size)

    def append(self, lines: Sequence[Line]) -> None:
        """Write events; those with an end are forced to the disk. All of them are written, or none.

        Raises:
            OSError: They cannot be written, for example because the disk is full.
        """
        self._write(b"".join(_encode(line) for line in lines))
        if lines and lines[-1].end:
            os.fsync(self._descriptor)

    def append_end(self, line: Line) -> None:
        """Write the last line, in the reserved room where there is no other.

        Raises:
            OSError: It cannot be written even there.
        """
        try:
            self.append([line])
        except OSError:
            brief = line.end and line._replace(end=line.end.model_copy(update={"summary": ""}))
            with os.fdopen(_reserve_of(self._spot).open(os.O_RDWR), "r+b") as reserve:
                reserve.write(_encode(brief or line).rstrip().ljust(_RESERVED))
                reserve.flush()
                os.fsync(reserve.fileno())
        else:
            _reserve_of(self._spot).remove()

    def close(self) -> None:
        """Let go of the file of a session that goes on without this process."""
        os.close(self._descriptor)

    def finish(self, header: Header, everything: Sequence[Line]) -> None:
        """Let go of the file; write it anew from `everything` where somebody removed it meanwhile.

        An agent may well run `git clean -fdx`, and with it remove what it is journaled in.

        Raises:
            OSError: It had to be written anew and cannot be.
        """
        try:
            own = os.fstat(self._descriptor).st_ino
        finally:
            os.close(self._descriptor)
        try:
            kept = self._spot.stat().st_ino == own
        except OSError:
            kept = False
        if not kept:
            self._spot.remove()
            replacement = Journal.create(self._spot, header)
            try:
                replacement.append(everything)
                _reserve_of(self._spot).remove()
            finally:
                os.close(replacement._descriptor)

    def discard(self) -> None:
        """Remove the journal: nothing in it was ever promised to anybody."""
        os.close(self._descriptor)
        self._spot.remove()
        _reserve_of(self._spot).remove()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            # A full disk takes part of a line; shortening a file needs no space.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)


def read(spot: Spot) -> Contents:
    """Read a journal; whatever follows the first line that is not whole and in order is ignored.

    Raises:
        OSError: It cannot be read.
        ValueError: It has no usable header.
    """
    lines = spot.read().split(b"\n")[:-1]
    try:
        contents = Contents(Header.model_validate_json(lines[0] if lines else b""))
    except ValidationError as error:
        raise ValueError(f"{spot.path.name} has no usable header") from error
    contents.size = len(lines[0]) + 1
    for raw in lines[1:]:
        line = _decode(raw)
        if line is None or line.event.seq != len(contents.events) + 1 or contents.end:
            break
        contents.events.append(line.event)
        contents.marks |= line.marks
        contents.end = line.end
        contents.size += len(raw) + 1
    if contents.end is None:
        last = None
        with contextlib.suppress(OSError):
            last = _decode(_reserve_of(spot).read())
        if last and last.end and last.event.seq == len(contents.events) + 1:
            contents.events.append(last.event)
            contents.end = last.end
    return contents


def is_over(spot: Spot) -> bool:
    """Tell by the end of a journal alone that its session is over.

    False says nothing: whoever must know it then reads the whole.

    Raises:
        OSError: It cannot be read.
    """
    with os.fdopen(spot.open(os.O_RDONLY), "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        lines = file.read(_TAIL).split(b"\n")
    line = _decode(lines[-2]) if len(lines) > 1 and not lines[-1] else None
    return line is not None and line.end is not None


def remove(spot: Spot) -> None:
    """Remove a journal with what lies beside it.

    Raises:
        OSError: It cannot be removed.
    """
    spot.remove()
    _reserve_of(spot).remove()


def _reserve_of(spot: Spot) -> Spot:
    return spot.named(spot.path.with_suffix(".end").name)


def _encode(line: Line) -> bytes:
    record = line.event.model_dump(mode="json")
    if line.marks:
        record["marks"] = line.marks
    if line.end:
        record["end"] = line.end.model_dump(mode="json")
    # ASCII only: lone surrogates inside marks have no UTF-8 form.
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"


def _decode(raw: bytes) -> Line | None:
    try:
        record = json.loads(raw)
        end = End.model_validate(record["end"]) if "end" in record else None
        return Line(Event.model_validate(record), shaped(_Record, record).get("marks") or {}, end)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _sync_folder(spot: Spot) -> None:
    with inside.folder(spot.root, spot.way[:-1]) as descriptor:
        os.fsync(descriptor)
