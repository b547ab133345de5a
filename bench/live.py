"""Two hundred sessions at once on one replica, twenty of them watched: what is lost, and how late a line is.

The server is the real one on its compiled pages; the sidecars are played by a
process of their own. Two of those who watch are pages in Chromium; the others
are tabs without a browser, as twenty browsers would take the machine for themselves.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime

import psutil
from playwright.async_api import Browser, Page

from bench.browser import chromium, window
from bench.databases import KINDS, database
from bench.figures import Figure, percentile, spread
from bench.panel import open_panel
from bench.server import App, NotReady, app
from bench.sidecars import Sidecars, line, sidecars
from bench.tabs import Recorder, Tab

SESSIONS, RATE, PANELS, PAGES = 200, 10, 20, 2
LATE_MS = 500


@dataclass(frozen=True)
class Card:
    """A card that runs: its path below /api and its session."""

    path: str
    session_id: str


async def begin(served: App, projects: int, each: int) -> list[list[Card]]:
    """Make projects, and execute so many cards in each; return them once all run."""
    turns = asyncio.Semaphore(4)

    async def execute(project: str, number: int) -> Card:
        async with turns:
            task = await served.task(project, f"Card {number}: say many lines")
            return Card(task, (await served.ask("POST", f"{task}/execute"))["session_id"])

    paths = [await served.project(f"Project {number}") for number in range(projects)]
    cards = [await asyncio.gather(*(execute(path, number) for number in range(each))) for path in paths]
    for path in paths:
        await until_live(served, path, each, "running")
    return cards


async def until_live(served: App, project: str, count: int, *statuses: str, seconds: float = 60) -> None:
    """Return once exactly so many sessions of a project are in one of these statuses.

    Raises:
        NotReady: They are not within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        active = (await served.ask("GET", f"{project}/sessions?active=true&page_size=100"))["sessions"]
        if sum(session["status"] in statuses for session in active) == count:
            return
        if time.monotonic() > deadline:
            raise NotReady(f"{len(active)} sessions of {project} are live where {count} were expected.")
        await asyncio.sleep(0.2)


async def stored(served: App, card: Card) -> list[tuple[str, float]]:
    """Return a session's stored lines, each with when it was said in milliseconds since 1970."""
    lines: list[tuple[str, float]] = []
    async with served.api.stream("GET", f"{card.path}/output?session_id={card.session_id}") as answer:
        async for row in answer.aiter_lines():
            if row.startswith("data: ") and (event := json.loads(row[6:]))["type"] == "output":
                lines.append((event["text"], datetime.fromisoformat(event["timestamp"]).timestamp() * 1000))
    return lines


def wrong(lines: list[tuple[str, float]], count: int) -> int:
    """Return how many of the numbered lines are missing, there twice or out of place."""
    in_place = sum(text == line(number) for number, (text, _) in enumerate(lines, 1))
    return max(len(lines), count) - in_place


def spent(process: psutil.Process) -> float:
    """Return the seconds of processor that a process has used."""
    return sum(process.cpu_times()[:2])


@dataclass(frozen=True)
class Watched:
    """What those who watch have seen, with delays in milliseconds."""

    pages: list[float]
    tabs: list[float]
    gaps: int
    unlike: int
    """Tabs that did not get each event once and in order."""


@dataclass(frozen=True)
class Spoken:
    """How it went while all spoke: seconds, and percentages of a core."""

    seconds: float
    server: float
    sidecars: float


class Stage:
    """A server with sessions, and those who watch some of them."""

    def __init__(self, served: App, playing: Sidecars, browser: Browser) -> None:
        self._served = served
        self._playing = playing
        self._browser = browser
        self._pages: list[Page] = []
        self._tabs: list[Tab] = []

    async def watch(self, cards: Sequence[Card], stack: AsyncExitStack) -> None:
        """Open these cards' drawers, some of them in Chromium."""
        self._cards = cards
        words: Recorder | None = None
        for card in cards[:PAGES]:
            context = await window(self._browser, self._served)
            words = words or Recorder(context)
            self._pages.append(await open_panel(context, self._served, card.path))
        assert words is not None
        for card in cards[PAGES:]:
            tab = Tab(self._served, card.path, card.session_id)
            await stack.enter_async_context(tab.opened(words.words(cards[0].path, card.path)))
            await asyncio.wait_for(tab.answered.wait(), 30)
            self._tabs.append(tab)

    async def speak(self, count: int) -> Spoken:
        """Have all sessions say so many lines."""
        processes = [psutil.Process(each.pid) for each in (self._served.process, self._playing.process)]
        before, began = [spent(each) for each in processes], time.monotonic()
        await self._playing.speak(count, RATE)
        seconds = time.monotonic() - began
        server, sidecars = (
            100 * (spent(each) - first) / seconds for each, first in zip(processes, before, strict=True)
        )
        return Spoken(seconds, server, sidecars)

    async def seen(self, count: int) -> Watched:
        """Return what those who watch have seen, once they have seen the end."""
        late: list[float] = []
        for page, card in zip(self._pages, self._cards, strict=False):
            await page.wait_for_function(f"probe.last === {count}", timeout=60_000)
            shown = (await page.evaluate("probe.lines"))[1:]
            lines = await stored(self._served, card)
            late += [at - said for at, (_, said) in zip(shown, lines, strict=True)]
        for tab in self._tabs:
            await asyncio.wait_for(tab.over.wait(), 60)
        return Watched(
            late,
            [delay for tab in self._tabs for delay in tab.delays],
            sum(tab.gaps for tab in self._tabs),
            sum(tab.seqs != list(range(1, count + 2)) for tab in self._tabs),
        )


async def live(kind: str, sessions: int, seconds: int) -> list[Figure]:
    """Measure on one kind of database."""
    count, each = seconds * RATE, sessions // PANELS
    limits = {"VIBE_INSTALLATION_LIMIT": str(sessions), "VIBE_PROJECT_LIMIT": str(each)}
    async with AsyncExitStack() as stack:
        variables = stack.enter_context(database(kind))
        playing = stack.enter_context(sidecars())
        served = await stack.enter_async_context(app(playing.endpoint, **limits, **variables))
        stage = Stage(served, playing, await stack.enter_async_context(chromium()))
        projects = await begin(served, PANELS, each)
        await stage.watch([cards[0] for cards in projects], stack)
        await asyncio.sleep(2)  # all of them have come to rest
        spoken = await stage.speak(count)
        seen = await stage.seen(count)
        for cards in projects:
            await until_live(served, cards[0].path.partition("/tasks")[0], 0, "pending", "running")
        lost = sum([wrong(await stored(served, card), count) for cards in projects for card in cards])
    load = f"the server took {spoken.server:.0f} % of a core, the played sidecars {spoken.sidecars:.0f} %"
    return [
        Figure(
            f"{kind}: {sessions} sessions, {RATE} lines a second each: lines lost, doubled or misplaced",
            lost,
            limit=0,
            note=f"{sessions * count:,} lines in {spoken.seconds:.1f} s; {load}",
        ),
        Figure(
            "  tabs that did not get each event once, in order",
            seen.unlike,
            limit=0,
            note=f"of {PANELS - PAGES}; asked again for what did not go on: {seen.gaps} times",
        ),
        Figure(
            f"  p95 from event to text, {PAGES} panels in Chromium",
            percentile(seen.pages),
            "ms",
            LATE_MS,
            spread(seen.pages),
        ),
        Figure(
            f"  p95 from event to the socket, {PANELS - PAGES} tabs without a browser",
            percentile(seen.tabs),
            "ms",
            LATE_MS,
            spread(seen.tabs),
        ),
    ]


async def run(quick: bool) -> list[Figure]:
    """Measure on both."""
    sessions, seconds = (40, 10) if quick else (SESSIONS, 30)
    return [figure for kind in KINDS for figure in await live(kind, sessions, seconds)]
