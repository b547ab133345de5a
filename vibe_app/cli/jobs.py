"""What `vibe doctor` says of what runs by itself, and of what it has found that belongs to no project."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from vibe_app.cli.finding import Finding
from vibe_app.errors import Unavailable
from vibe_app.settings import Settings

if TYPE_CHECKING:
    from vibe_app.jobs.registry import JobView


def orphans_and_jobs(settings: Settings) -> Iterator[Finding]:
    """Say of each job how its last run went, and of each orphan when it is erased."""
    from vibe_app.db import Database
    from vibe_app.jobs.registry import Jobs
    from vibe_app.workspaces import rows

    async def read() -> tuple[list[JobView], dict[UUID, datetime]]:
        database = Database(settings.database)
        try:
            async with database.read() as db:
                orphans = await rows.orphans(db)
            return await Jobs(database, "doctor", settings.lease).views(), orphans
        finally:
            await database.close()

    try:
        jobs, orphans = asyncio.run(read())
    except Unavailable as error:
        yield Finding("jobs", error.message, "See what is said of the database")
        return
    for job in jobs:
        yield _job(job)
    for project_id, erase_at in orphans.items():
        yield Finding(
            "orphan",
            f"workspace {project_id} belongs to no project and is erased after {_moment(erase_at)}",
            "Copy what you want to keep of it",
            essential=False,
        )


def _job(job: JobView) -> Finding:
    what = f"job {job.name!r}"
    if job.failure is not None:
        since = f" ({_moment(job.failed_at)})" if job.failed_at else ""
        return Finding(what, f"failed{since}: {job.failure}", "It is tried again by itself", essential=False)
    if job.owner is not None:
        return Finding(what, f"is run by {job.owner} since {_moment(job.started_at)}")
    if job.finished_at is not None:
        return Finding(what, f"last ended well {_moment(job.finished_at)}")
    return Finding(what, "has not run yet")


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "?"
