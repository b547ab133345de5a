"""What an accepted change becomes: the commit that is planned for it, and why there is none, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vibe_app.accounts.models import User
from vibe_app.board.changes.models import Change
from vibe_app.board.tasks.models import Task
from vibe_app.wire.git import LeftOut, Person, PlanMerge

_NAMED = 5
_SLUG = 40
_AGENT = "OpenCode <opencode@localhost>"
_NOBODY = Person(name="Vibe", email="vibe@localhost")


def plan_of(change: Change, task: Task, person: User | None, *, keep: bool) -> PlanMerge:
    """Return what is to be planned for a change that somebody accepts.

    Args:
        change: The change, with what was said of its commit in its intent.
        task: Its card.
        person: Who accepts it, the author; Vibe where that account is gone.
        keep: Whether the commit is to be kept although the base branch is not moved to it.
    """
    details = change.intent_details or {}
    said = str(details.get("message") or "").strip() or task.title
    return PlanMerge(
        number=task.number or 0,
        base=change.base_commit,
        revision=change.revision or "",
        strategy=details.get("strategy") or "squash",
        message=f"{said}\n\nVibe-Task: {task.number}\nCo-authored-by: {_AGENT}\n",
        author=Person(name=person.name, email=person.email) if person else _NOBODY,
        keep=keep,
    )


def branch_of(task: Task) -> str:
    """Return the branch of a card's pull request: `vibe/14-write-a-readme`."""
    slug = re.sub(r"[^a-z0-9]+", "-", task.title.lower())[:_SLUG].strip("-")
    return f"vibe/{task.number}-{slug or 'card'}"


def lost(left_out: Sequence[LeftOut]) -> str:
    """Say what would be lost by a decision."""
    named = ", ".join(f"{each.path} ({each.why})" for each in left_out[:_NAMED])
    rest = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
    return f"This is in no checkpoint and would be lost: {named}{rest}. Do it anyway, or take it out first."


def conflicting(branch: str, paths: Sequence[str]) -> str:
    """Say in which files a change conflicts with its base branch."""
    named = ", ".join(paths[:_NAMED])
    rest = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return f"It conflicts with what {branch} holds by now, in {named}{rest}. Let the agent solve that."
