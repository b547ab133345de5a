"""What happened to a card, as its Overview tells it: who did what and when, the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.pages import Page
from vibe_app.board.tasks.activity import Kind
from vibe_app.board.tasks.happened import ActivityView
from vibe_app.web.auth import acts
from vibe_app.web.card.fields import LABELS
from vibe_app.web.card.model import epoch_ms
from vibe_app.web.place import Place, place_of
from vibe_app.wiring import services

PAGE = 10
"""How many are shown at first, and how many more with each press."""
MOST = 500
"""How many are shown at most: what is in a tab's State travels with each new connection."""
CUT = 300
"""Characters of a comment or a reason from which on it is taken for one that goes on."""
NOBODY = "Somebody"

TOLD: Mapping[str, tuple[str, str]] = {
    "made": ("plus", "made the card"),
    "moved": ("arrow-right", "moved it from {from} to {to}"),
    "edited": ("pencil", "changed {fields}"),
    "assigned": ("user-round", "gave it to"),
    "assigned:nobody": ("user-round", "took it from its assignee"),
    "archived": ("archive", "put it into the archive"),
    "unarchived": ("archive-restore", "took it out of the archive"),
    "deleted": ("trash-2", "deleted it"),
    "restored": ("undo-2", "brought it back"),
    "restored:change": ("undo-2", "restored its change"),
    "executed": ("zap", "executed it"),
    "executed:follow_up": ("message-square", "told the agent to go on"),
    "executed:solve": ("git-merge", "had the agent solve the conflicts"),
    "stopped": ("square", "stopped the run"),
    "finished:completed": ("circle-check", "completed"),
    "finished:failed": ("circle-x", "failed"),
    "finished:cancelled": ("circle-slash", "was cancelled"),
    "commented": ("message-square", "commented on"),
    "accepted": ("check", "accepted its change"),
    "discarded": ("trash-2", "discarded its change"),
}
"""A mark and words for what can happen, by kind and, where that says more, by what of it."""
MARKS = tuple(dict.fromkeys(mark for mark, _ in TOLD.values()))
_FIELDS = {name: label.lower() for name, label in LABELS.items()} | {"needs": "what it waits for"}


@dataclass
class Happened:
    """One thing that happened: `who` `did` it to `what`, with what was `said`, in the run `run`."""

    id: str
    mark: str
    who: str
    did: str
    what: str = ""
    said: str = ""
    run: str = ""
    at: int = 0


class ActivityState(rx.State):
    """What of it is shown."""

    rows: list[Happened] = []
    more: int = 0
    """How many older ones there are that can be shown."""
    shown: int = PAGE
    """How many are read."""

    @acts
    async def show_more(self, actor: Actor):
        """Show older ones."""
        self.shown = min(self.shown + PAGE, MOST)
        read = await read_activity(actor, place_of(self), self.shown)
        if read is not None:
            show_activity(self, read)


async def read_activity(actor: Actor, place: Place, most: int = PAGE) -> Page[ActivityView] | None:
    """Return the newest things that happened to the card of an address, None where that names none."""
    if place.project is None or place.task is None:
        return None
    return await services().activity.read(actor, place.project, place.task, page_size=min(most, MOST))


def show_activity(state: ActivityState, read: Page[ActivityView]) -> None:
    """Put what was read on the screen; what is there already does not travel again."""
    rows = [happened(each) for each in read.items]
    if getattr(state.rows, "__wrapped__", state.rows) != rows:
        state.rows = rows
    state.more = max(0, min(read.total_count, MOST) - len(rows))


def happened(view: ActivityView) -> Happened:
    """Say one thing that happened in words; what people and agents wrote stays apart from ours."""
    details, kind = view.details, view.kind.value
    of = {
        Kind.FINISHED: details.get("status"),
        Kind.EXECUTED: details.get("kind"),
        Kind.RESTORED: details.get("what"),
        Kind.ASSIGNED: "" if details.get("assignee") else "nobody",
    }.get(view.kind)
    mark, did = TOLD.get(f"{kind}:{of}") or TOLD.get(kind) or ("circle", kind)
    said = str(details.get("body") or details.get("error") or "")
    nobody = "The run" if view.kind is Kind.FINISHED else NOBODY
    return Happened(
        id=view.id,
        mark=mark,
        who=view.actor.name if view.actor else nobody,
        did=did.format_map(_facts(details)),
        what=str((details.get("assignee") or {}).get("name") or details.get("place") or ""),
        said=f"{said}…" if len(said) >= CUT else said,
        run=str(details.get("session_id") or ""),
        at=epoch_ms(view.at),
    )


def _facts(details: Mapping[str, Any]) -> dict[str, str]:
    columns = {name: TaskStatus(details[name]).column for name in ("from", "to") if name in details}
    *others, last = [_FIELDS.get(each, str(each)) for each in details.get("fields") or ["it"]]
    return columns | {"fields": f"{', '.join(others)} and {last}" if others else last}
