"""What the doctor says of what runs by itself, read from the rows."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from vibe_app.cli.jobs import orphans_and_jobs
from vibe_app.db import Database
from vibe_app.jobs.models import JobRow
from vibe_app.settings import Settings
from vibe_app.workspaces.models import Workspace
from vibe_app.workspaces.states import Desired

BEGAN, ENDED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, 9, tzinfo=UTC)


def write(settings: Settings, *rows: object) -> None:
    """Have these rows in the database."""

    async def writing() -> None:
        database = Database(settings.database)
        async with database.transaction() as db:
            db.add_all(rows)
        await database.close()

    asyncio.run(writing())


def test_each_job_says_how_its_last_run_went(settings: Settings) -> None:
    resting = {"epoch": 1, "lease_until": 0.0, "due": 0.0}
    write(
        settings,
        JobRow(name="a", **resting),
        JobRow(name="b", **resting, started_at=BEGAN, finished_at=ENDED),
        JobRow(
            name="c", **resting, started_at=BEGAN, finished_at=BEGAN, failed_at=ENDED, failure="No room left."
        ),
        JobRow(name="d", epoch=1, lease_until=4e9, due=0.0, owner="host-1-2-ab", started_at=BEGAN),
        JobRow(name="e", **resting, owner="somebody dead", started_at=BEGAN, finished_at=ENDED),
    )
    found = list(orphans_and_jobs(settings))
    assert [(each.what, each.found) for each in found] == [
        ("job 'a'", "has not run yet"),
        ("job 'b'", "last ended well 2026-01-02 03:04:09 UTC"),
        ("job 'c'", "failed (2026-01-02 03:04:09 UTC): No room left."),
        ("job 'd'", "is run by host-1-2-ab since 2026-01-02 03:04:05 UTC"),
        ("job 'e'", "last ended well 2026-01-02 03:04:09 UTC"),
    ]
    assert [each.what for each in found if each.cure] == ["job 'c'"]


def test_what_belongs_to_no_project_is_named_with_when_it_is_erased(settings: Settings) -> None:
    orphan = uuid4()
    write(
        settings,
        Workspace(project_id=orphan, desired=Desired.ERASED, erase_at=ENDED),
        Workspace(project_id=uuid4(), desired=Desired.STOPPED),
    )
    [found] = orphans_and_jobs(settings)
    assert found.found == (
        f"workspace {orphan} belongs to no project and is erased after 2026-01-02 03:04:09 UTC"
    )
    assert found.cure
    assert not found.essential
