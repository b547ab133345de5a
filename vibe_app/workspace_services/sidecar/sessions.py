"""The sessions of this workspace: started once each, found again after a restart, readable by many.

A `Session` is the record (what its readers see); a `Run` in `run.py` is the work on a
live one. Every event is in the journal before a reader sees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from vibe_app import inside
from vibe_app.disk import disk_full, means_full
from vibe_app.errors import Conflict, NotFound, Unavailable
from vibe_app.inside import Spot
from vibe_app.wire import Event, EventType, SessionState, SidecarStatus, Steps, now
from vibe_app.workspace_services.sidecar import journal as journals
from vibe_app.workspace_services.sidecar.journal import End, Header, Journal, Line

logger = logging.getLogger(__name__)

_BATCH = 500
_FOLDER = (".opencode", "sessions")
PREPARED = "prepared"
"""The mark of the event that says that the tree is prepared."""


class Session:
    """What is known of one session, and the place where its readers wait.

    Args:
        header: What was accepted.
        journal: The open journal of a live session, None for a finished one.
        contents: What an earlier process wrote.
    """

    def __init__(self, header: Header, journal: Journal | None, contents: journals.Contents) -> None:
        self.header = header
        self.events: list[Event] = contents.events
        self.marks: dict[str, Any] = contents.marks
        self.end: End | None = contents.end
        self.steps: Steps | None = None
        """How far the agent is on its own list, while the session is live."""
        self.prepared = not header.setup or PREPARED in contents.marks
        """Whether the tree is prepared, if it was to be."""
        self.heard = header.heard
        """Whether the conversation is known to have the prompt."""
        self._journal = journal
        self._changed = asyncio.Event()

    @property
    def id(self) -> str:
        """The session's id, as the app gave it."""
        return self.header.session_id

    def state(self) -> SessionState:
        """What the app is told when it asks."""
        end = self.end or End(status=SidecarStatus.RUNNING, heard=self.heard)
        return SessionState(
            session_id=self.id,
            status=end.status,
            last_seq=len(self.events),
            heard=end.heard,
            error=end.error,
            failure=end.failure,
            usage=end.usage,
            asking=end.asking,
            retry_at=end.retry_at,
            conversation=self.header.opencode_session,
            began_anew=self.header.began_anew,
            prepared=self.prepared,
            steps=end.steps or self.steps,
            summary=end.summary,
        )

    def append(self, entries: Sequence[tuple[EventType, str, dict[str, Any]]]) -> None:
        """Number entries, write them, then show them to the readers.

        Raises:
            OSError: They cannot be written; then no reader sees them.
        """
        moment, first = now(), len(self.events) + 1
        lines = [
            Line(Event(seq=first + index, type=kind, text=text, timestamp=moment), marks)
            for index, (kind, text, marks) in enumerate(entries)
        ]
        if self._journal is not None:
            self._journal.append(lines)
        self.prepared = self.prepared or any(PREPARED in line.marks for line in lines)
        self._shown([line.event for line in lines])

    def finish(self, words: str, end: End) -> None:
        """Write the last event and how the session ended; kept in memory where the disk is full."""
        event = Event(seq=len(self.events) + 1, type=EventType.DONE, text=words, timestamp=now())
        last = Line(event, {}, end)
        everything = [Line(earlier, {}) for earlier in self.events] + [last]
        journal, self._journal = self._journal, None
        if journal is not None:
            try:
                journal.append_end(last)
            except OSError as error:
                logger.error("session %s: its end cannot be written: %s", self.id, error)
            try:
                journal.finish(self.header, everything)
            except OSError as error:
                logger.error("session %s: its journal cannot be restored: %s", self.id, error)
        self.end = end
        self._shown([event])

    def let_go(self) -> None:
        """Close the journal of a session that goes on without this process."""
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def discard(self) -> None:
        """Forget a session that was never accepted."""
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.discard()

    async def follow(self, after: int, silence: float) -> AsyncGenerator[Sequence[Event]]:
        """Yield the events after number `after` in order, past and live, until the end.

        A reader only keeps its place: nothing queues up for one that reads slowly.

        Args:
            after: The last number that the reader has.
            silence: Seconds after which an empty batch says that nothing happened.
        """
        place = max(0, after)
        while True:
            changed = self._changed
            if place < len(self.events):
                batch = self.events[place : place + _BATCH]
                place += len(batch)
                yield batch
            elif self.end is not None:
                return
            else:
                try:
                    await asyncio.wait_for(changed.wait(), silence)
                except TimeoutError:
                    yield []

    def _shown(self, events: Sequence[Event]) -> None:
        self.events.extend(events)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class SessionStore:
    """The sessions by id: live ones in memory, finished ones in their journals.

    Args:
        workspace: The workspace; the journals lie in `.opencode/sessions`.
    """

    _KEPT = 16

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._sessions: dict[str, Session] = {}

    @staticmethod
    def fingerprint(prompt: str) -> str:
        """The hash by which a prompt is recognised."""
        return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()

    def find(self, session_id: str) -> Session | None:
        """Return a session, or None when there is none (or its journal is beyond reading)."""
        if session := self._sessions.get(session_id):
            return session
        try:
            contents = journals.read(self._spot(session_id))
        except (OSError, ValueError):
            return None
        if contents.header.session_id != session_id or contents.end is None:
            return None
        session = Session(contents.header, None, contents)
        self._keep(session)
        return session

    def get(self, session_id: str) -> Session:
        """Return a session.

        Raises:
            NotFound: There is none.
        """
        if session := self.find(session_id):
            return session
        raise NotFound(f"This workspace knows no session {session_id}.")

    def same(self, session_id: str, prompt: str) -> Session | None:
        """Return the session that was accepted under an id earlier, if any.

        Raises:
            Conflict: It was accepted with another prompt.
        """
        session = self.find(session_id)
        if session and session.header.prompt_sha256 != self.fingerprint(prompt):
            raise Conflict(f"Session {session_id} was started with another prompt.", "prompt_differs")
        return session

    def create(self, header: Header) -> Session:
        """Start the record of a new session.

        Raises:
            Unavailable: The workspace cannot be written.
        """
        spot = self._spot(header.session_id)
        try:
            # What lies there is a journal whose header never became whole: nothing was promised.
            spot.remove()
            journal = Journal.create(spot, header)
        except OSError as error:
            if means_full(error):
                raise disk_full("The session cannot be started.") from error
            raise Unavailable(
                f"The workspace cannot be written: {error.strerror}.", "workspace_unwritable"
            ) from error
        session = Session(header, journal, journals.Contents(header))
        self._keep(session)
        return session

    def forget(self, session: Session) -> None:
        """Remove a session that was never accepted."""
        self._sessions.pop(session.id, None)
        session.discard()

    def unfinished(self) -> list[Session]:
        """Open the sessions that were live when an earlier process of this workspace ended."""
        found: list[Session] = []
        for session_id in self._written():
            with contextlib.suppress(OSError, ValueError):
                spot = self._spot(session_id)
                if journals.is_over(spot):
                    continue
                contents = journals.read(spot)
                if contents.end is None and session_id == contents.header.session_id:
                    session = Session(contents.header, Journal.reopen(spot, contents), contents)
                    self._keep(session)
                    found.append(session)
        return found

    def kept(self) -> list[str]:
        """Return the ids of the sessions that are over and whose journals are still here."""
        return [
            session_id
            for session_id in self._written()
            if (session := self._sessions.get(session_id)) is None or session.end is not None
        ]

    def drop(self, session_id: str) -> None:
        """Delete the journal of a session that is over, as whoever asked holds all that it says.

        Raises:
            Conflict: The session is not over.
            Unavailable: It cannot be deleted.
        """
        session = self._sessions.get(session_id)
        if session is not None and session.end is None:
            raise Conflict(f"Session {session_id} is not over: stop it first.", "session_live")
        if session_id not in self._written():
            return
        try:
            journals.remove(self._spot(session_id))
        except OSError as error:
            raise Unavailable(
                f"The workspace cannot be written: {error.strerror}.", "workspace_unwritable"
            ) from error
        self._sessions.pop(session_id, None)

    def _written(self) -> list[str]:
        try:
            with inside.folder(self._workspace, _FOLDER) as folder:
                return sorted(name[:-6] for name in os.listdir(folder) if name.endswith(".jsonl"))
        except OSError:
            return []

    def _spot(self, session_id: str) -> Spot:
        return Spot(self._workspace, (*_FOLDER, f"{session_id}.jsonl"))

    def _keep(self, session: Session) -> None:
        self._sessions[session.id] = session
        finished = [known for known in self._sessions.values() if known.end is not None]
        for old in finished[: -self._KEPT]:
            del self._sessions[old.id]
