"""Builds every part once, opens and closes them in order, and holds the one global: `services()`.

Both doors ask `services()` for the verbs. Tests fill the slot with `use`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from vibe_app.accounts.lasting import Rights
from vibe_app.accounts.service import Accounts
from vibe_app.board.projects import Projects
from vibe_app.board.sessions import Sessions
from vibe_app.board.tasks import Tasks
from vibe_app.clients.services import WorkspaceClient
from vibe_app.clients.sidecar import Agent
from vibe_app.configuration.credentials import Credentials
from vibe_app.configuration.secrets import Secrets
from vibe_app.db import Database
from vibe_app.runs.event_log import EventLog
from vibe_app.runs.supervisor import Supervisor
from vibe_app.settings import Settings, load_settings
from vibe_app.workspaces.files import Files
from vibe_app.workspaces.runtimes.base import Runtime
from vibe_app.workspaces.service import Workspaces


@dataclass(frozen=True)
class Services:
    """The verbs that the doors use."""

    settings: Settings
    database: Database
    accounts: Accounts
    rights: Rights
    projects: Projects
    tasks: Tasks
    sessions: Sessions
    event_log: EventLog
    workspaces: Workspaces
    files: Files
    runtime: Runtime
    agent: Agent
    workspace_client: WorkspaceClient
    supervisor: Supervisor


_slot: list[Services] = []


def services() -> Services:
    """Return the parts of the running app.

    Raises:
        RuntimeError: The app is not running.
    """
    if not _slot:
        raise RuntimeError("the services are used before the app has started")
    return _slot[-1]


def build(settings: Settings, runtime: Runtime | None = None) -> Services:
    """Make every part; nothing is opened yet.

    Args:
        settings: What to build for.
        runtime: Where workspaces live, in place of the one that the settings name.
    """
    database = Database(settings.database)
    agent, client = Agent(), WorkspaceClient()
    model = settings.model or "rehearsal"
    statuses: list[Workspaces] = []

    async def on_status(project_id: UUID, status: str, reason: str | None) -> None:
        await statuses[0].note_status(project_id, status, reason)

    def on_trouble(project_id: UUID, sentence: str) -> None:
        statuses[0].note_trouble(project_id, sentence)

    async def on_host(alive: set[UUID]) -> None:
        await statuses[0].correct_statuses(alive)

    if runtime is None and settings.runtime == "kubernetes":
        from vibe_app.workspaces.runtimes.kubernetes.runtime import KubernetesRuntime

        runtime = KubernetesRuntime(settings, on_status, on_trouble)
    elif runtime is None:
        from vibe_app.workspaces.runtimes.local.shared import SharedLocalRuntime

        runtime = SharedLocalRuntime(settings, on_status, on_host, on_trouble)
    credentials = Credentials(Secrets(settings.signing_key()))
    workspaces = Workspaces(database, runtime, agent, settings.workspace_idle_minutes, credentials)
    statuses.append(workspaces)
    event_log = EventLog(database, settings.lease)
    return Services(
        settings=settings,
        database=database,
        accounts=Accounts(database, settings.signing_key(), settings.login_days),
        rights=Rights(database.bus),
        projects=Projects(database, workspaces.erase, credentials, settings.project_limit),
        tasks=Tasks(database, settings.installation_limit, settings.quiet_notice),
        sessions=Sessions(database, settings.installation_limit, model, quiet_notice=settings.quiet_notice),
        event_log=event_log,
        workspaces=workspaces,
        files=Files(database, workspaces, client),
        runtime=runtime,
        agent=agent,
        workspace_client=client,
        supervisor=Supervisor(database, workspaces, agent, event_log, settings),
    )


@asynccontextmanager
async def running(parts: Services) -> AsyncIterator[Services]:
    """Open every part in order, fill the slot, and close them in the opposite order."""
    _slot.append(parts)
    try:
        await parts.database.open()
        await parts.projects.take_credentials_out()
        await parts.agent.open()
        await parts.workspace_client.open()
        await parts.runtime.open()
        await parts.workspaces.correct_statuses()
        await parts.supervisor.open()
        yield parts
    finally:
        await parts.supervisor.close()
        await parts.workspaces.close()
        await parts.runtime.close()
        await parts.workspace_client.close()
        await parts.agent.close()
        await parts.database.close()
        _slot.remove(parts)


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Run the parts for as long as the app runs; for the front door."""
    async with running(build(load_settings())):
        yield
