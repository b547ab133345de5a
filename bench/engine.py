"""The engine without a browser, on each database: how soon it takes up and stops, how much it stores, what
idling costs.

The app's parts run in this process, around a sidecar that is played here too.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from bench.databases import KINDS, database
from bench.figures import Figure, percentile, spread
from bench.server import PERSON, data_folder
from bench.sidecars import line
from tests.elsewhere import ElsewhereRuntime
from tests.scripted import Script, ScriptedSidecar
from vibe_app.accounts.roles import Actor
from vibe_app.board.projects.schemas import NewProject, ProjectPatch
from vibe_app.board.sessions.schemas import SessionCard
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.settings import load_settings
from vibe_app.wiring import Services, build, running

STATUSES_OVER = frozenset({"completed", "failed", "cancelled"})
CLAIM_MS, STOP_MS, EVENTS, QUERIES = 25, 100, 5000, 3


@asynccontextmanager
async def engine(kind: str, script: Script) -> AsyncIterator[tuple[Services, Actor, UUID]]:
    """Run the app's parts in this process on a new database, with one person and one project."""
    with database(kind) as variables, data_folder(**variables) as folder:
        async with ScriptedSidecar(script, trusting=True) as sidecar:
            settings = load_settings(
                data=Path(folder), database_url=variables.get("VIBE_DATABASE_URL", ""), installation_limit=100
            )
            async with running(build(settings, ElsewhereRuntime(lambda _: sidecar.endpoint))) as parts:
                await parts.accounts.set_up(PERSON["email"], PERSON["name"], PERSON["password"])
                grant = await parts.accounts.login(PERSON["email"], PERSON["password"])
                actor = await parts.accounts.who(grant.token)
                project = await parts.projects.create(actor, NewProject(name="Bench"))
                await parts.projects.change(actor, project.id, ProjectPatch(session_limit=100))
                yield parts, actor, project.id


async def until(parts: Services, actor: Actor, session: SessionCard, over: bool) -> float:
    """Return the moment at which a session was first seen claimed, or over."""
    with parts.database.bus.subscribe(f"session:{session.id}") as changes:
        while True:
            view = await parts.sessions.read(actor, session.project_id, session.task_id, session.id)
            claimed = view.status != "pending" or view.waiting_for == "workspace starting"
            if view.status in STATUSES_OVER if over else claimed:
                return time.perf_counter()
            await changes.wait(5)


async def lifecycles(kind: str, count: int) -> list[Figure]:
    """Measure taking up and stopping, one session after the other."""
    claims, stops = [], []
    async with engine(kind, Script.endless()) as (parts, actor, project):
        for number in range(count):
            task = await parts.tasks.create(actor, project, NewTask(title=f"Card {number}"))
            session = await parts.starts.execute(actor, project, task.id)
            began = time.perf_counter()
            claims.append((await until(parts, actor, session, over=False) - began) * 1000)
            began = time.perf_counter()
            await parts.sessions.stop(actor, project, task.id)
            stops.append((await until(parts, actor, session, over=True) - began) * 1000)
    return [
        Figure(f"{kind}: from enqueued to claimed, p95", percentile(claims), "ms", CLAIM_MS, spread(claims)),
        Figure(f"{kind}: from Stop to cancelled, p95", percentile(stops), "ms", STOP_MS, spread(stops)),
    ]


async def throughput(kind: str, count: int, sessions: int) -> Figure:
    """Measure how many events a second go into the logged, from some sessions at once."""
    each = count // sessions
    script = Script(events=[("output", line(number), 0.0) for number in range(each)], rate=0)
    async with engine(kind, script) as (parts, actor, project):
        tasks = [
            await parts.tasks.create(actor, project, NewTask(title=f"Card {number}"))
            for number in range(sessions)
        ]
        began = time.perf_counter()
        started = [await parts.starts.execute(actor, project, task.id) for task in tasks]
        ends = await asyncio.gather(*(until(parts, actor, session, over=True) for session in started))
        rate = each * sessions / (max(ends) - began)
    many = f"{sessions} sessions" if sessions > 1 else "one session"
    return Figure(
        f"{kind}: events stored a second, {many}", rate, "/s", note=f"{count:,} events", least=EVENTS
    )


async def queries(seconds: float) -> list[Figure]:
    """Count what each engine asks its database while nothing runs."""
    asked: Counter[str] = Counter()

    def count(connection: Connection, *_: object) -> None:
        asked[connection.dialect.name] += 1

    async with AsyncExitStack() as engines:
        for kind in KINDS:
            await engines.enter_async_context(engine(kind, Script()))
        event.listen(Engine, "before_cursor_execute", count)
        try:
            await asyncio.sleep(seconds)
        finally:
            event.remove(Engine, "before_cursor_execute", count)
    return [
        Figure(f"{kind}: queries a second while nothing runs", asked[kind.lower()] / seconds, "/s", QUERIES)
        for kind in KINDS
    ]


async def run(quick: bool) -> list[Figure]:
    """Measure all of it."""
    events = 5000 if quick else 20_000
    figures = []
    for kind in KINDS:
        figures += await lifecycles(kind, 10 if quick else 50)
        figures += [await throughput(kind, events, sessions) for sessions in (1, 20)]
    return [*figures, *await queries(5 if quick else 35)]
