"""The soak around the real agent: OpenCode and the real sidecar, kept running by the soak itself.

Only one process may hold a data folder of the local runtime, so the workspaces
are started here and the replicas are told where they answer.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from uuid import UUID

from soak import evidence
from soak.faults import Server
from soak.soak import KEY, Course, Outcome, Say, Soak
from tests.elsewhere import EPOCH
from tests.specs import INSTALLATION
from vibe_app.aio import cancel
from vibe_app.settings import load_settings
from vibe_app.workspaces.keys import ServiceKeys
from vibe_app.workspaces.runtimes.base import Endpoint, Tenancy, WorkspaceSpec
from vibe_app.workspaces.runtimes.local.runtime import LocalRuntime


async def soak_opencode(course: Course, database_url: str, say: Say, server: Server | None) -> Outcome:
    """Soak the app around OpenCode with the rehearsal model; see `soak.soak`."""
    folder = Path(tempfile.mkdtemp(prefix=f"vibe-soak-{course.name}-"))
    binary = load_settings().opencode_binary
    settings = load_settings(data=folder / "workspaces", opencode=str(binary), log_level="warning")
    runtime = LocalRuntime(settings)
    body = Soak(course, database_url, folder, say, server)

    journals = folder / "journals"

    def keys(project: UUID, epoch: int) -> ServiceKeys:
        return ServiceKeys.of(KEY, project, epoch)

    async def endpoint(_number: int, project: str) -> Endpoint:
        spec = WorkspaceSpec(UUID(project), epoch=EPOCH, keys=keys(UUID(project), EPOCH))
        return await runtime.ensure(spec)

    await runtime.open(Tenancy(INSTALLATION, keys, ()))
    keeping = asyncio.create_task(evidence.keep_journals(settings.workspaces, journals))
    try:
        async with body.running():
            await body.settle(endpoint)
            await body.go()
    finally:
        await cancel(keeping)
        await runtime.close(keep=())
    return await body.verdict(lambda: evidence.journaled(journals))
