"""Where a browser is: the address of a page, taken apart. Pure.

Everything of a project lives under `/p/<project>`: the base branch's files are `/files` below it, those of
a card `/trees/<number>/files`; a card is `/t/<task>` below it, with `/overview`, `/output`, `/changes`,
`/history` or `/run/<session>` for what its drawer shows; without one of these the card says which of them
is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import reflex as rx

from vibe_app.errors import NotFound
from vibe_app.wire import whole

TABS = ("overview", "output", "changes", "history")
_ONCE = {"details": "overview"}
"""What tabs were called in the addresses of earlier versions."""


@dataclass(frozen=True)
class Place:
    """What an address names; None, or no tab, where it names nothing or nothing that could be."""

    project: UUID | None = None
    task: UUID | None = None
    tab: str = ""
    session: UUID | None = None
    tree: int = 0


def parse_place(path: str) -> Place:
    """Read the path of an address."""
    parts = path.strip("/").split("/")
    if len(parts) < 2 or parts[0] != "p":
        return Place()
    project = _uuid(parts[1])
    if project is None or len(parts) < 4 or parts[2] not in ("t", "trees"):
        return Place(project)
    if parts[2] == "trees":
        digits = parts[3] if parts[3].isascii() and parts[3].isdecimal() else "0"
        return Place(project, tree=min(whole(digits), 2**31 - 1))
    rest = parts[4:]
    named = _ONCE.get(rest[0], rest[0]) if rest else ""
    session = _uuid(rest[1]) if len(rest) > 1 and named == "run" else None
    tab = "output" if session else named if named in TABS else ""
    return Place(project, task=_uuid(parts[3]), tab=tab, session=session)


def place_of(state: rx.State) -> Place:
    """Return where the browser of this state is."""
    return parse_place(state.router.url.path)


def project_here(state: rx.State) -> UUID:
    """Return the project that the address of the browser names.

    Raises:
        NotFound: It names none.
    """
    project = place_of(state).project
    if project is None:
        raise NotFound("This address names no project.")
    return project


def card_here(state: rx.State) -> tuple[UUID, UUID]:
    """Return project and card that the address of the browser names.

    Raises:
        NotFound: It names none.
    """
    place = place_of(state)
    if place.project is None or place.task is None:
        raise NotFound("This address names no task.")
    return place.project, place.task


def known(text: object) -> UUID:
    """Read an id that a browser sent: any browser can send anything.

    Raises:
        NotFound: It is none, so nothing has it.
    """
    try:
        return UUID(str(text))
    except ValueError:
        raise NotFound("This is not here, or not any more. Reload the page.") from None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
