"""A task's sessions, newest first, 20 a page, each a card that opens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import SessionKind, SessionStatus
from vibe_app.board.pages import Page
from vibe_app.board.sessions.schemas import SessionPreview, SessionView
from vibe_app.board.spending.wording import cost_words, limits_words, tokens_of
from vibe_app.web.auth import acts
from vibe_app.web.card.model import epoch_ms, is_live, spent, waiting_words
from vibe_app.web.place import Place, known, place_of
from vibe_app.wiring import services

PAGE_SIZE = 20
PREVIEW_CHARS = 200
TEXT_CHARS = 200_000
"""Characters of a text that is shown whole: a tab's State is sent again with each new connection."""


@dataclass
class SessionRow:
    """A session in the list, without its long texts."""

    id: str
    short: str
    status: str
    stopping: bool
    waiting: str
    created: int
    started: int
    completed: int
    duration: str
    preview: str
    model: str
    tokens: str
    cost: str
    limits: str
    attempt: int
    quiet: int
    asking: bool
    kind: str = ""
    """What began it, in words."""
    person: str = ""
    message: str = ""
    """What a person wrote, of a run that went on."""
    comments: int = 0
    summary: str = ""
    files: int = 0
    additions: int = 0
    deletions: int = 0
    nothing: bool = False
    """It changed nothing."""


@dataclass(frozen=True)
class HistoryPage:
    """What was read for the list: a page of sessions with previews, and the one that is open, whole."""

    sessions: Page[SessionPreview]
    opened: SessionView | None
    names: dict[UUID, str] = field(default_factory=dict[UUID, str])
    comments: Mapping[UUID, int] = field(default_factory=dict[UUID, int])
    """How many comments each of them took along."""


_KINDS = {
    SessionKind.EXECUTE: "Executed",
    SessionKind.FOLLOW_UP: "Follow-up",
    SessionKind.SOLVE: "Solve conflicts",
}


def session_row(session: SessionPreview, person: str = "", comments: int = 0) -> SessionRow:
    """Make the row of a session.

    Args:
        session: What to show.
        person: Who began it.
        comments: How many comments it took along.
    """
    words = session.output or session.error or session.last_line
    preview = " ".join(words[: 4 * PREVIEW_CHARS].split())[:PREVIEW_CHARS]
    return SessionRow(
        id=str(session.id),
        short=str(session.id)[:8],
        status=session.status.value,
        stopping=session.stop_requested and is_live(session),
        waiting=waiting_words(session.queue_position, session.waiting_for)
        if is_live(session) and (session.status is SessionStatus.PENDING or session.waiting_for)
        else "",
        created=epoch_ms(session.created_at),
        started=epoch_ms(session.started_at),
        completed=epoch_ms(session.completed_at),
        duration=spent(session.duration_ms),
        preview=preview,
        model="Rehearsal model" if session.model == "rehearsal" else session.model,
        tokens=_tokens(session),
        cost=cost_words(session) if session.cost != 0 else "",
        limits=limits_words(session.limits),
        attempt=session.attempt,
        quiet=epoch_ms(session.quiet_since),
        asking=bool(session.asking),
        kind=_KINDS[session.kind],
        person=person,
        message=(session.message or "") if session.kind is SessionKind.FOLLOW_UP else "",
        comments=comments,
        summary=session.summary or "",
        files=session.round_files or 0,
        additions=session.round_additions or 0,
        deletions=session.round_deletions or 0,
        nothing=session.round_files == 0 and not is_live(session),
    )


def _tokens(session: SessionPreview) -> str:
    """Say how many tokens a session used, by kind."""
    if not tokens_of(session):
        return ""
    kinds = {
        "reasoning": session.tokens_reasoning,
        "from a cache": session.tokens_cache_read,
        "into a cache": session.tokens_cache_write,
    }
    words = [f"{session.tokens_input or 0:,} tokens in, {session.tokens_output or 0:,} out"]
    return ", ".join(words + [f"{count:,} {name}" for name, count in kinds.items() if count])


class HistoryState(rx.State):
    """One page of the list, and the long texts of the one that is open."""

    rows: list[SessionRow] = []
    total: int = 0
    page: int = 1
    loaded: bool = False
    open_id: str = ""
    prompt: str = ""
    output: str = ""
    error: str = ""

    @acts
    async def toggle(self, actor: Actor, session_id: str):
        """Open a session's card, or close it."""
        if self.open_id == session_id:
            self.open_id = ""
            return
        place = place_of(self)
        if place.project is None or place.task is None:
            return
        session = await services().sessions.read(actor, place.project, place.task, known(session_id))
        self.open_id = session_id
        _show_texts(self, session)

    @acts
    async def turn(self, actor: Actor, by: int):
        """Show another page."""
        self.page = min(max(1, self.page + by), self.pages)
        self.open_id = ""
        read = await read_history(actor, place_of(self), self.page)
        if read is not None:
            show_history(self, read)

    @acts
    async def delete(self, actor: Actor, session_id: str):
        """Delete a session that is over, and show what is left."""
        place = place_of(self)
        if place.project is None or place.task is None:
            return None
        await services().sessions.delete(actor, place.project, place.task, known(session_id))
        if self.open_id == session_id:
            self.open_id = ""
        if len(self.rows) == 1 and self.page > 1:
            self.page -= 1
        read = await read_history(actor, place, self.page)
        if read is not None:
            show_history(self, read)
        return rx.toast.success("Run deleted.")

    @rx.var
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-self.total // PAGE_SIZE))


def show_history(state: HistoryState, read: HistoryPage) -> None:
    """Put a page of sessions on the screen; the open one's texts follow."""
    rows = [
        session_row(
            session,
            read.names.get(session.created_by, "") if session.created_by else "",
            read.comments.get(session.id, 0),
        )
        for session in read.sessions.items
    ]
    if state.rows != rows:
        state.rows = rows
    state.total, state.loaded = read.sessions.total_count, True
    if read.opened is not None and str(read.opened.id) == state.open_id:
        _show_texts(state, read.opened)


def _show_texts(state: HistoryState, session: SessionView) -> None:
    texts = (within_reason(session.prompt), within_reason(session.output), session.error or "")
    if texts != (state.prompt, state.output, state.error):
        state.prompt, state.output, state.error = texts


def within_reason(text: str) -> str:
    """Return a text as it is shown: the beginning of one that is very long, with a word on the rest."""
    if len(text) <= TEXT_CHARS:
        return text
    left = len(text) - TEXT_CHARS
    return f"{text[:TEXT_CHARS]}\n\n… and {left:,} characters more. “Show it in the terminal” has all of it."


async def read_history(actor: Actor, place: Place, page: int, open_id: str = "") -> HistoryPage | None:
    """Return one page of the sessions of the task that an address names, None where it names none.

    Args:
        actor: Who asks.
        place: The address.
        page: Which page.
        open_id: The session whose whole texts are shown, if any.
    """
    if place.project is None or place.task is None:
        return None
    verbs = services().sessions
    sessions = await verbs.history(actor, place.project, place.task, page, PAGE_SIZE)
    opened = None
    if any(str(session.id) == open_id for session in sessions.items):
        opened = await verbs.read(actor, place.project, place.task, known(open_id))
    comments = await services().comments.list(actor, place.project, place.task)
    people = {session.created_by for session in sessions.items if session.created_by}
    names = {each: user.name for each, user in (await services().users.names(people)).items()}
    taken = Counter(each.session_id for each in comments if each.session_id)
    return HistoryPage(sessions, opened, names, taken)
