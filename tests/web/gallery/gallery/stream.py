"""A page that streams made-up output into the terminal, as the panel's State does."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from typing import Any

import reflex as rx

from vibe_app.web.kit.terminal_rows import Rows, zone_of
from vibe_app.web.kit.terminal_window import terminal_window
from vibe_app.wire import Event, EventType

EVENTS: dict[str, list[list[Any]]] = {}

# A line in three chunks, colours over an interruption in mid-line, escapes that must not survive.
ODD = [
    ("o", "one "),
    ("o", "two "),
    ("o", "three\nred: \x1b[31mstill"),
    ("s", "A status"),
    ("o", " red\x1b[0m\n"),
    ("e", "An error with <b>markup</b> and </script>"),
    ("o", "\x1b[2J\x1b]0;title\x07\x1b[10;10Hkept\n"),
    ("o", "wide: 漢字 ✅\n"),
    ("o", "[9 lines are left out here; all of it is kept as tool_22142b51]\n"),
    ("d", "Session completed"),
]


KEPT = re.compile("is kept as (tool_[A-Za-z0-9]+)")
KINDS = {kind.value[0]: kind for kind in EventType}


def event(number: int, letter: str, moment: int, text: str) -> Event:
    return Event(
        seq=number, type=KINDS[letter], text=text, timestamp=datetime.fromtimestamp(moment / 1000, UTC)
    )


class StreamState(rx.State):
    session_id: str = "s1"
    batch: dict[str, Any] = {}
    live: bool = False
    clicks: int = 0
    gaps: list[str] = []
    rate: int = 200
    total: int = 300

    @rx.event
    def click(self):
        self.clicks += 1

    @rx.event
    def choose(self, session_id: str):
        self.session_id = session_id

    @rx.event
    def set_run(self, form: dict[str, str]):
        self.rate = int(form["rate"])
        self.total = int(form["total"])
        self.session_id = form["session"]
        return StreamState.run

    @rx.event(background=True)
    async def run(self):
        async with self:
            self.live = True
            session, rate, total = self.session_id, self.rate, self.total
        events_of = EVENTS.setdefault(session, [])
        started = time.time()
        while len(events_of) < total:
            due = total if not rate else min(total, int((time.time() - started) * rate) + 1)
            for number in range(len(events_of) + 1, due + 1):
                at = int(time.time() * 1000)
                if number % 40 == 1:
                    events_of.append([number, "s", at, f"Running a tool, step {number}"])
                elif number % 97 == 0:
                    events_of.append([number, "e", at, f"A tool failed at {number}: no such file"])
                else:
                    events_of.append(
                        [number, "o", at, f"L{number} {at} \x1b[32m{'x' * 20}\x1b[0m {'word ' * 8}\n"]
                    )
            await asyncio.sleep(0.02)
        events_of.append([len(events_of) + 1, "d", int(time.time() * 1000), "Session completed"])
        async with self:
            self.live = False

    @rx.event(background=True, supersedes=True)
    async def follow(self, session_id: str, last: int, carry: str, columns: int, zone: str, minutes: int):
        async with self:
            self.gaps = [*self.gaps, f"{session_id}:{last}"][-20:]
            number = int(self.batch.get("n", 0))
        rows = Rows(columns, zone_of(zone, minutes), KEPT, "/whole/")
        if last:
            rows.resume(carry)
        first = True
        while True:
            events_of = EVENTS.setdefault(session_id, [])
            events = events_of[last : last + 1000]
            if events or first:
                first = False
                number += 1
                made = [[each[0], rows.of(event(*each))] for each in events]
                async with self:
                    self.batch = {"s": session_id, "n": number, "a": last, "e": made, "k": rows.carry}
                last += len(events)
            await asyncio.sleep(0.05)

    @rx.event
    def arrive(self):
        """Say that nobody follows for this connection."""
        self.batch = {"s": "", "n": time.time_ns() // 1_000_000}

    @rx.event
    def write(self, session_id: str, entries: list[tuple[str, str]]):
        """Show a session of entries of one letter and a text each: the same however often it is asked."""
        self.session_id = session_id
        now = int(time.time() * 1000)
        EVENTS[session_id] = [[number, letter, now, text] for number, (letter, text) in enumerate(entries, 1)]

    @rx.event
    def skip(self):
        """Pretend that a batch was lost on its way."""
        self.batch = {"s": self.session_id, "n": -1, "a": 10**9, "e": []}


def stream() -> rx.Component:
    return rx.el.main(
        rx.el.h1("Terminal"),
        rx.el.form(
            rx.el.input(name="session", default_value="s1", aria_label="session"),
            rx.el.input(name="rate", default_value="200", aria_label="rate"),
            rx.el.input(name="total", default_value="300", aria_label="total"),
            rx.el.button("Run", type="submit", id="run"),
            on_submit=StreamState.set_run,
        ),
        rx.el.button("Click ", StreamState.clicks, on_click=StreamState.click, id="click"),
        rx.el.button("Other session", on_click=StreamState.choose("s2"), id="other"),
        rx.el.button("Lose one", on_click=StreamState.skip, id="lose"),
        rx.el.button("Odd text", on_click=StreamState.write("odd", ODD), id="odd"),
        rx.el.div(StreamState.gaps.to_string(), id="gaps"),
        rx.el.div(
            terminal_window(
                StreamState.session_id,
                StreamState.batch,
                "Add a README file",
                StreamState.live,
                "session.txt",
                StreamState.follow,
            ),
            style={"height": "480px", "display": "flex", "max_width": "900px"},
        ),
        style={"padding": "12px"},
    )
