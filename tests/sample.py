"""A board to look at: made-up cards, run for real by the rehearsal model.

`make screenshots` and the comparison of looks show it. Nothing of it is invented after
the fact: what cards say came out of runs on a server of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.e2e.installation import PASSWORD, Api
from tests.waiting import eventually

PEOPLE = {"ada": "Ada", "eve": "Eve", "vic": "Vic"}
PROJECT = "Calendar"
_WEEK = r"""rehearse: run mkdir -p src && printf 'FIRST = 0\n\ndef week(day):\n    return day\n' > src/week.py
rehearse: run sed -i 's/FIRST = 0/FIRST = 1  # Monday/' src/week.py && cat src/week.py
rehearse: say Weeks start on Monday now. The constant is in src/week.py."""


@dataclass(frozen=True)
class Card:
    """A card of the sample, and what becomes of it: a run that ends so, or none."""

    title: str
    description: str = ""
    priority: str = "normal"
    labels: tuple[str, ...] = ()
    becomes: str = ""
    column: str = ""


CARDS = (
    Card("Remember the room that was booked last", "", "low", ("booking",)),
    Card("Export a week as a PDF", "One page for each room, in landscape.", "high", ("export", "print")),
    Card("Tell people when a booking moves", "By mail, at most once an hour.", "normal", ("mail",)),
    Card("Write the release notes", "", "normal", ("docs",)),
    Card("Add a README file", "Say what the calendar is for.", "normal", ("docs",), "completed"),
    Card("Start weeks on Monday", f"As the offices do.\n\n{_WEEK}", "high", ("booking",), "completed"),
    Card(
        "Fix the time zone of recurring bookings",
        "They move by an hour in March.\n\nrehearse: fail 401",
        "urgent",
        ("booking", "bug"),
        "failed",
    ),
    Card(
        "Look for slow queries",
        "rehearse: say The list of rooms asks once for each room. One join does it.",
        "normal",
        ("speed",),
        "completed",
        "HUMAN_REVIEW",
    ),
    Card("Name the offices", "rehearse: say Two offices, North and South.", "low", (), "completed", "DONE"),
)
LIVE = Card(
    "Import bookings of last year",
    "Eleven files, some with the old columns.\n\nrehearse: print 2000 lines at 2 per second",
    "high",
    ("import",),
)


async def people(admin: Api) -> None:
    """Make everybody an account beside the administrator's."""
    for name, shown in list(PEOPLE.items())[1:]:
        account = {"email": f"{name}@example.org", "name": shown, "password": PASSWORD}
        await admin("POST", "/users", json=account)


async def project(admin: Api) -> str:
    """Make the project with its cards, each as it becomes; return the project's id."""
    made = await admin("POST", "/projects", json={"name": PROJECT, "description": "Rooms and desks."})
    path = f"/projects/{made['id']}"
    for card in CARDS:
        task = await _card(admin, path, card)
        if card.becomes:
            await admin("POST", f"{task}/execute")
            await eventually(lambda task=task, card=card: _is(admin, task, card.becomes), seconds=120)
        if card.column:
            await admin("POST", f"{task}/move", json={"status": card.column})
    return made["id"]


async def cards(admin: Api, project_id: str) -> dict[str, str]:
    """Return the ids of the project's cards by title."""
    listed = (await admin("GET", f"/projects/{project_id}/tasks"))["tasks"]
    return {task["title"]: task["id"] for task in listed}


async def live(admin: Api, project_id: str) -> str:
    """Start one more card, and return its id once its agent speaks."""
    task = await _card(admin, f"/projects/{project_id}", LIVE)
    await admin("POST", f"{task}/execute")

    async def speaks() -> bool:
        session = (await admin("GET", task))["session"]
        return bool(session and session["last_line"])

    await eventually(speaks, seconds=120)
    return task.rpartition("/")[2]


async def stop(admin: Api, project_id: str, task_id: str) -> None:
    """Stop what a card runs, and return once it has ended; on a slow machine it may have ended by itself."""
    task = f"/projects/{project_id}/tasks/{task_id}"
    if (await admin("GET", task))["session"]["status"] != "running":
        return
    await admin("POST", f"{task}/stop")
    await eventually(lambda: _is(admin, task, "cancelled"), seconds=30)


async def _card(admin: Api, path: str, card: Card) -> str:
    body: dict[str, Any] = {
        "title": card.title,
        "description": card.description,
        "priority": card.priority,
        "labels": list(card.labels),
    }
    return f"{path}/tasks/{(await admin('POST', f'{path}/tasks', json=body))['id']}"


async def _is(admin: Api, task: str, status: str) -> bool:
    session = (await admin("GET", task))["session"]
    return session is not None and session["status"] == status
