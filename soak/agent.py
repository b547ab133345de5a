"""The soak around the real agent: OpenCode and the real sidecar, kept running by the soak itself.

Only one process may hold a data folder of the local runtime, so the workspaces
are started here and the replicas are told where they answer.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from uuid import UUID

from soak import evidence
from soak.faults import Server
from soak.soak import Course, Outcome, Say, Soak
from tests.specs import spec_of, tenancy
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.runtimes.local.runtime import LocalRuntime


async def soak_opencode(course: Course, database_url: str, say: Say, server: Server | None) -> Outcome:
    """Soak the app around OpenCode with the rehearsal model; see `soak.soak`."""
    folder = Path(tempfile.mkdtemp(prefix=f"vibe-soak-{course.name}-"))
    binary = load_settings().opencode_binary
    settings = load_settings(data=folder / "workspaces", opencode=str(binary), log_level="warning")
    runtime = LocalRuntime(settings)
    body = Soak(course, database_url, folder, say, server)

    async def endpoint(_number: int, project: str) -> Endpoint:
        return await runtime.ensure(spec_of(UUID(project)))

    await runtime.open(tenancy())
    try:
        async with body.running():
            await body.settle(endpoint)
            await body.go()
    finally:
        await runtime.close(keep=())
    return await body.verdict(lambda: evidence.journaled(settings.workspaces))
