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
_ROOMS = r"""rehearse: run mkdir -p src && printf 'NAMES = [\n    "North",\n    "South",\n]\n' > src/rooms.py
rehearse: say The offices are numbered in src/rooms.py."""
_SHADE = r"""rehearse: run printf '.free { color: green; }\n' > style.css
rehearse: say Free rooms are green."""

_SIGN = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M1 1h7v7z"/></svg>'


@dataclass(frozen=True)
class Card:
    """A card of the sample, and what becomes of it.

    Attributes:
        becomes: How its run ends, or nothing where it has none.
        then: What is done with it afterwards: a verb of its change, or the column where it goes.
    """

    title: str
    description: str = ""
    priority: str = "normal"
    labels: tuple[str, ...] = ()
    becomes: str = ""
    then: str = ""


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
    Card("Name the offices", _ROOMS, "low", (), "completed", "accept"),
    Card("Colour the free rooms", _SHADE, "low", ("print",), "completed", "discard"),
)
_MONTHS = "for n in $(seq 1 400); do echo week $n: $((300 + n * 7)) bookings; sleep 8; done"
_YEAR = f"""rehearse: say I look at what there is, then bring in one week after the other.
rehearse: run git log --oneline | head -3
rehearse: call bash {{"command": "{_MONTHS}", "description": "Import", "timeout": 3600000}}"""
LIVE = Card(
    "Import bookings of last year", f"Some files have the old columns.\n\n{_YEAR}", "high", ("import",)
)
STOPPED = Card("Warm the cache at night", "rehearse: hang", "low", ("speed",), "cancelled")
QUEUED = Card("Count the imported bookings", "rehearse: say There are 4,812.", "normal", ("import",))

_WORD = "Raumbelegungsplanungsverwaltungsvorschrift"
HARD_FILE = f"docs/{_WORD}/{_WORD} der {_WORD} قاعة 会議室.md"
_LINES = f"{_WORD * 8}\\n\\nقاعة 12\\n会議室 🏢\\n"
_HARD_RUN = f"""rehearse: run mkdir -p 'docs/{_WORD}' && printf '{_LINES}' > '{HARD_FILE}'
rehearse: run cat '{HARD_FILE}' && echo {_WORD * 6}
rehearse: say احجز قاعة. 会議室 {_WORD * 4} 🏢"""
HARD = (
    Card(
        f"{_WORD * 2} and then a sentence that goes on, word after word, until the title is as long as a "
        "title can be, two hundred",
        f"One word is as long as a line: {_WORD * 4}.\n\n{_HARD_RUN}",
        "urgent",
        (*(f"label-{number}" for number in range(1, 19)), "قاعة", "a label that is far too long to fit"),
        "completed",
    ),
    Card("احجز قاعة الاجتماعات ليوم الاثنين (room 12)", "اكتبها بالعربية.", "high", ("قاعة",)),
    Card("会議室の予約を一週間分まとめて印刷できるようにする", "一週間分。", "normal", ("印刷",)),
    Card("🏢🏫🏛️ Offices, schools and halls 👩‍👩‍👧‍👦 each with a sign 🪧", "", "low", ("🏢",)),
)
"""Cards whose texts are hard to show, in a project and for a person of such names."""


async def people(admin: Api) -> dict[str, str]:
    """Make everybody an account beside the administrator's; return their ids by name."""
    found: dict[str, str] = {}
    for name, shown in list(PEOPLE.items())[1:]:
        account = {"email": f"{name}@example.org", "name": shown, "password": PASSWORD}
        found[name] = (await admin("POST", "/users", json=account))["id"]
    return found


async def project(admin: Api) -> str:
    """Make the project with its cards, each as it becomes; return the project's id."""
    made = await admin("POST", "/projects", json={"name": PROJECT, "description": "Rooms and desks."})
    path = f"/projects/{made['id']}"
    for card in CARDS:
        await _done(admin, path, card)
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


async def waiting(admin: Api, project_id: str) -> None:
    """Beside the card that runs, make one whose run was stopped, and one whose run waits for a place."""
    path = f"/projects/{project_id}"
    await _done(admin, path, STOPPED)
    await admin("PATCH", path, json={"session_limit": 1})
    await admin("POST", f"{await _card(admin, path, QUEUED)}/execute")


async def talk(admin: Api, project_id: str, task_id: str) -> None:
    """Comment on the first line of a card's change."""
    task = f"/projects/{project_id}/tasks/{task_id}"
    change = await admin("GET", f"{task}/change")
    words = "Say in a word why it is 1: the offices begin on Monday."
    comment = {"revision": change["revision"], "path": "src/week.py", "line": 1, "body": words}
    await admin("POST", f"{task}/change/comments", json=comment)


async def files(admin: Api, project_id: str) -> None:
    """Put files of several kinds into the project's folder."""
    texts = {
        "README.md": "# Calendar\n\nRooms and desks, **booked by the week**.\n\n- North\n- South\n",
        "docs/booking.md": "# Booking\n\nA room is booked from Monday on.\n",
        "src/export.py": 'def export(week: int) -> bytes:\n    """Make a PDF of it."""\n    return b""\n',
        "static/sign.svg": _SIGN,
    }
    for path, text in texts.items():
        where = {"path": path, "parents": "true"}
        await admin("PUT", f"/projects/{project_id}/files/content", params=where, content=text)


async def hard(admin: Api) -> str:
    """Make the project whose texts are hard to show, with a person of a long name; return its id."""
    name = f"{_WORD} für الاجتماعات und 会議室 🏢"
    made = await admin("POST", "/projects", json={"name": name, "key": "ROOMS"})
    path = f"/projects/{made['id']}"
    account = {"email": f"{_WORD.lower()}@example.org", "name": f"Eve {_WORD} {_WORD}", "password": PASSWORD}
    person = (await admin("POST", "/users", json=account))["id"]
    await admin("POST", f"{path}/members", json={"user_id": person, "role": "editor"})
    for card in HARD:
        await _done(admin, path, card)
    long = (await cards(admin, made["id"]))[HARD[0].title]
    seen = (await admin("GET", f"{path}/tasks/{long}"))["version"]
    more = {"assignee_id": person, "due_on": "2030-12-24", "version": seen}
    await admin("PATCH", f"{path}/tasks/{long}", json=more)
    where = {"path": HARD_FILE, "parents": "true"}
    await admin("PUT", f"{path}/files/content", params=where, content=f"# {_WORD * 4}\n\nقاعة 12\n")
    return made["id"]


async def stop(admin: Api, project_id: str, task_id: str) -> None:
    """Stop what a card runs, and return once it has ended; on a slow machine it may have ended by itself."""
    task = f"/projects/{project_id}/tasks/{task_id}"
    if (await admin("GET", task))["session"]["status"] not in ("running", "pending"):
        return
    await admin("POST", f"{task}/stop")
    await eventually(lambda: _is(admin, task, "cancelled"), seconds=30)


async def _done(admin: Api, path: str, card: Card) -> None:
    """Make a card, and have become of it what is to."""
    task = await _card(admin, path, card)
    if not card.becomes:
        return
    await admin("POST", f"{task}/execute")
    if card.becomes == "cancelled":
        await eventually(lambda: _is(admin, task, "running"), seconds=120)
        await admin("POST", f"{task}/stop")
    await eventually(lambda: _is(admin, task, card.becomes), seconds=120)
    if card.then in ("accept", "discard"):
        revision = (await admin("GET", f"{task}/change"))["revision"]
        await admin("POST", f"{task}/change/{card.then}", json={"revision": revision})
    elif card.then:
        await admin("POST", f"{task}/move", json={"status": card.then})


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
