"""Old output is compressed, and nobody who reads can tell."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from tests.conftest import BOTH
from tests.fakes import FakeRuntime
from tests.runs.databases import DatabaseThatDoesNotSayWhetherItCommitted
from tests.runs.rig import Rig, lines, rigged, texts
from tests.scripted import Script, ScriptedSidecar
from tests.waiting import eventually
from vibe_app.board.sessions import archive as form
from vibe_app.board.sessions.models import Session, SessionArchive, SessionEvent
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.board.tasks.models import Task
from vibe_app.board.tasks.shelving import KEPT_FOR, purge
from vibe_app.errors import NotFound, Unavailable
from vibe_app.jobs.registry import Jobs
from vibe_app.processes import process_name
from vibe_app.runs import archive
from vibe_app.runs.archive import PORTION, Archive
from vibe_app.settings import Settings
from vibe_app.wire import Event, EventType, SidecarStatus, now

LONG = 2 * PORTION + 7
COLOURFUL = [
    ("status", "Reading the files", 0.0),
    ("output", "ein \x1b[31mrotes\x1b[0m Wort, 漢字, \u2028 and a tab\t\n", 0.0),
    ("error", "\x1b[1mbroken\x1b[0m", 0.0),
    ("output", "half a line, ", 0.0),
    ("output", "and the rest\n\n", 0.0),
]


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, one after the other."""
    return request.param


class Scripted(FakeRuntime):
    """Workspaces whose sidecars play `script` as it is when they are made."""

    def __init__(self) -> None:
        self.script = Script()
        super().__init__(lambda _: ScriptedSidecar(self.script))


@pytest.fixture
def runtime() -> Scripted:
    """Each project has a script of its own."""
    return Scripted()


async def old(rig: Rig, script: Script | None = None, days: float = 40) -> SessionView:
    """A session that finished so many days ago."""
    if script is not None:
        rig.runtime.script = script
    session = await rig.over(await rig.execute())
    await change(rig, session, completed_at=now() - timedelta(days=days))
    return await rig.read(session)


async def change(rig: Rig, session: SessionView, **values: object) -> None:
    async with rig.database.transaction() as db:
        await db.execute(update(Session).where(col(Session.id) == session.id).values(**values))


async def count(rig: Rig, table: type, session: SessionView) -> int:
    """How many rows of a table belong to a session."""
    async with rig.database.read() as db:
        query = select(func.count()).select_from(table).where(col(table.session_id) == session.id)
        return await db.scalar(query) or 0


async def followed(rig: Rig, session: SessionView, after: int = 0) -> list[Event]:
    return [event async for batch in rig.event_log.follow(session.id, after) for event in batch.events]


async def seen(rig: Rig, session: SessionView) -> tuple[object, ...]:
    """Everything that any door shows of a session."""
    where = (rig.actor, session.project_id, session.task_id)
    last = session.last_seq
    return (
        await rig.logged(session),
        [await followed(rig, session, after) for after in (0, 1, PORTION - 1, PORTION, last - 1, last)],
        (await rig.event_log.read(session.id, 3, limit=5)).events,
        await rig.read(session),
        await rig.sessions.history(*where),
        await rig.sessions.of_project(rig.actor, session.project_id),
        (await rig.task(session)).session,
    )


@pytest.mark.parametrize(
    "script",
    [
        Script.lines(0),
        Script(events=COLOURFUL),
        Script.lines(PORTION - 1),  # with its `done` exactly one portion
        Script.lines(PORTION),
        Script.lines(LONG),
        replace(Script.lines(5), outcome=SidecarStatus.FAILED, error="The model refused the key"),
    ],
    ids=["nothing", "colours", "one portion", "one more", "several", "failed"],
)
async def test_what_was_compressed_reads_as_before(rig: Rig, script: Script) -> None:
    session = await old(rig, script)
    before = await seen(rig, session)
    assert await Archive(rig.database, 30).compress_due() == 1
    assert await count(rig, SessionEvent, session) == 0
    assert await count(rig, SessionArchive, session) == -(-session.last_seq // PORTION)
    assert await seen(rig, session) == before
    assert await Archive(rig.database, 30).compress_due() == 0


async def test_the_whole_output_is_in_the_archive_alone(rig: Rig) -> None:
    session = await old(rig, Script.lines(LONG))
    await Archive(rig.database, 30).compress_due()
    async with rig.database.read() as db:
        kept = await db.scalar(select(col(Session.output)).where(col(Session.id) == session.id))
    assert kept == session.output[: form.BEGINNING]
    assert (await rig.read(session)).output == "".join(lines(LONG))


async def test_an_output_that_its_events_do_not_say_is_kept(rig: Rig) -> None:
    session = await old(rig)
    for output in ("something else\n" * 200, ""):
        other = await old(rig)
        await change(rig, other, output=output)
        await Archive(rig.database, 30).compress_due()
        assert (await rig.read(other)).output == output
        assert texts(await followed(rig, other)) == ["Hello\n"]
    assert (await rig.read(session)).output == "Hello\n"


async def test_only_what_finished_long_ago_is_compressed(rig: Rig) -> None:
    young = await old(rig, days=29.9)
    rig.runtime.script = Script.endless()
    live = await rig.running()
    await change(rig, live, completed_at=now() - timedelta(days=90))
    assert await Archive(rig.database, 30).compress_due() == 0
    for session in (young, live):
        assert await count(rig, SessionEvent, session) > 0


async def test_a_deleted_session_is_compressed_and_stays_deleted(rig: Rig) -> None:
    session = await old(rig)
    await rig.sessions.delete(rig.actor, session.project_id, session.task_id, session.id)
    assert await Archive(rig.database, 30).compress_due() == 1
    with pytest.raises(NotFound):
        await rig.event_log.read(session.id)
    with pytest.raises(NotFound):
        await rig.read(session)


async def gone(rig: Rig, session: SessionView) -> None:
    """Have the session's card be deleted, so long ago that it is not kept any more."""
    await rig.tasks.delete(rig.actor, session.project_id, session.task_id)
    async with rig.database.transaction() as db:
        long_ago = now() - KEPT_FOR - timedelta(minutes=1)
        await db.execute(update(Task).where(col(Task.id) == session.task_id).values(deleted_at=long_ago))
    assert await purge(rig.database) == 1


async def test_the_archive_goes_with_its_task(rig: Rig) -> None:
    session = await old(rig)
    await Archive(rig.database, 30).compress_due()
    await rig.tasks.move(rig.actor, session.project_id, session.task_id, "DONE")
    await gone(rig, session)
    assert await count(rig, SessionArchive, session) == 0


async def test_several_at_once_compress_each_session_once(rig: Rig) -> None:
    sessions = [await old(rig, Script.lines(PORTION + 5)) for _ in range(4)]
    before = [await seen(rig, session) for session in sessions]
    done = await asyncio.gather(*(Archive(rig.database, 30).compress_due() for _ in range(4)))
    # One that gives way to another leaves the session to that one, or to the next day.
    assert sum(done) + await Archive(rig.database, 30).compress_due() == len(sessions)
    assert [await seen(rig, session) for session in sessions] == before
    assert [await count(rig, SessionArchive, session) for session in sessions] == [2] * len(sessions)


async def test_readers_see_no_seam_while_it_is_done(rig: Rig) -> None:
    session = await old(rig, Script.lines(LONG))
    whole = await rig.logged(session)
    compressing = asyncio.create_task(Archive(rig.database, 30).compress_due())
    readings = 0
    while not compressing.done():
        assert [await followed(rig, session), await rig.logged(session)] == [whole, whole]
        assert (await rig.read(session)).output == session.output
        readings += 1
    assert await compressing == 1
    assert readings > 1


async def test_broken_off_it_is_taken_up_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "REST", 60.0)
    session = await old(rig, Script.lines(LONG))
    before = await seen(rig, session)
    compressing = asyncio.create_task(Archive(rig.database, 30).compress_due())
    await eventually(lambda: count(rig, SessionArchive, session))
    compressing.cancel()
    await asyncio.gather(compressing, return_exceptions=True)
    assert await count(rig, SessionEvent, session) == session.last_seq - PORTION
    assert await seen(rig, session) == before
    monkeypatch.setattr(archive, "REST", 0.0)
    assert await Archive(rig.database, 30).compress_due() == 1
    assert await seen(rig, session) == before


async def test_a_commit_of_which_nobody_heard(settings: Settings) -> None:
    database = DatabaseThatDoesNotSayWhetherItCommitted(settings.database)
    async with rigged(settings, Scripted(), database) as rig:
        session = await old(rig, Script.lines(PORTION + 5))
        before = await seen(rig, session)
        database.every = 1
        for _ in range(3):  # a portion, another, and the end
            with pytest.raises(Unavailable):
                await Archive(rig.database, 30).compress_due()
        database.every = 0
        assert await Archive(rig.database, 30).compress_due() == 0
        assert await count(rig, SessionEvent, session) == 0
        assert await seen(rig, session) == before


@pytest.mark.parametrize("what", ["task", "session"])
async def test_deleted_while_it_is_compressed(rig: Rig, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "REST", 0.0)
    session = await old(rig, Script.lines(LONG))
    await rig.tasks.move(rig.actor, session.project_id, session.task_id, "DONE")
    compressing = asyncio.create_task(Archive(rig.database, 30).compress_due())
    await eventually(lambda: count(rig, SessionArchive, session))
    if what == "task":
        await gone(rig, session)
    else:
        await rig.sessions.delete(rig.actor, session.project_id, session.task_id, session.id)
    await compressing
    with pytest.raises(NotFound):
        await rig.read(session)
    if what == "task":
        assert await count(rig, SessionArchive, session) + await count(rig, SessionEvent, session) == 0


@pytest.mark.parametrize("data", [b"", b"rubbish", form.pack_text("[1,2]"), form.pack_text('[1,"x",0,""]')])
async def test_a_damaged_part_is_a_sentence_and_no_more_is_lost(rig: Rig, data: bytes) -> None:
    session = await old(rig, Script.lines(LONG))
    whole = await rig.logged(session)
    await Archive(rig.database, 30).compress_due()
    await damage(rig, session.id, PORTION, data=data)
    events = await followed(rig, session)
    assert events[1:] == whole[PORTION:]
    assert (events[0].seq, events[0].type) == (PORTION, EventType.ERROR)
    assert "damaged" in events[0].text
    shown = await rig.read(session)
    assert shown.output == f"[{events[0].text}]\n" + "".join(lines(LONG)[PORTION:])


async def test_readers_come_to_the_end_of_a_damaged_session(rig: Rig) -> None:
    session = await old(rig)
    await Archive(rig.database, 30).compress_due()
    await damage(rig, session.id, session.last_seq, codec="of the future")
    (event,) = await followed(rig, session)
    assert (event.seq, event.type) == (session.last_seq, EventType.DONE)
    assert "damaged" in event.text


async def damage(rig: Rig, session_id: UUID, last_seq: int, **values: object) -> None:
    part = (col(SessionArchive.session_id) == session_id) & (col(SessionArchive.last_seq) == last_seq)
    async with rig.database.transaction() as db:
        await db.execute(update(SessionArchive).where(part).values(**values))


async def test_every_day_but_not_at_the_start(rig: Rig) -> None:
    job = Archive(rig.database, 30).job
    assert (job.period, job.first) == (86_400.0, 600.0)
    session = await old(rig)

    async def run_by_itself(first: float) -> Jobs:
        jobs = Jobs(rig.database, process_name(), rig.settings.lease)
        jobs.add(replace(job, name=f"{job.name} {first}", period=0.01, first=first))
        await jobs.open()
        return jobs

    patient, eager = await run_by_itself(first=60.0), await run_by_itself(first=0.0)
    await eventually(partial(compressed, rig, session))
    await eventually(partial(compressed, rig, await old(rig)))  # on another day
    await eager.close()
    await patient.close()
    runs = {view.name: view.started_at for view in await patient.views()}
    assert runs[f"{job.name} 60.0"] is None
    assert runs[f"{job.name} 0.0"] is not None


async def compressed(rig: Rig, session: SessionView) -> bool:
    return await count(rig, SessionEvent, session) == 0
