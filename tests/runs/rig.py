"""The engine on a real database with scripted workspaces around it, and short words for what tests do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from tests.fakes import FakeRuntime
from vibe_app.accounts.people import PeopleRows
from vibe_app.accounts.roles import Actor
from vibe_app.accounts.service import Accounts
from vibe_app.board.projects.schemas import NewProject, ProjectPatch
from vibe_app.board.projects.service import Projects
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.board.sessions.service import Sessions
from vibe_app.board.sessions.starting import Starts
from vibe_app.board.tasks.schemas import NewTask, TaskView
from vibe_app.board.tasks.service import Tasks
from vibe_app.board.tasks.showing import Showing
from vibe_app.changes.remotes import Remotes
from vibe_app.changes.trees import Trees
from vibe_app.clients.gateway import GatewayClient
from vibe_app.clients.git import GitClient
from vibe_app.clients.services import WorkspaceClient
from vibe_app.clients.sidecar import Agent
from vibe_app.configuration.credentials import Credentials
from vibe_app.configuration.keyring import Keyring
from vibe_app.configuration.providers import Providers
from vibe_app.configuration.secrets import Secrets
from vibe_app.db import Database
from vibe_app.jobs.registry import Jobs
from vibe_app.processes import process_name
from vibe_app.runs.event_log import EventLog
from vibe_app.runs.model_access import ModelAccess
from vibe_app.runs.orphans import Orphans
from vibe_app.runs.retry_policy import RetryPolicy
from vibe_app.runs.spending import Spending
from vibe_app.runs.supervisor import Supervisor
from vibe_app.settings import Settings
from vibe_app.wire import Event, EventType
from vibe_app.workspaces.places import Places
from vibe_app.workspaces.reconcile import Reconciler
from vibe_app.workspaces.rows import WorkspaceRows
from vibe_app.workspaces.service import Workspaces
from vibe_app.workspaces.usage import Usage

KEYRING = Keyring(["a key for tests"])
PEOPLE = PeopleRows()
CREDENTIALS = Credentials(Secrets(KEYRING))
QUICK = RetryPolicy(
    notice=0.02,
    answer=1.0,
    pause=0.02,
    lost=0.4,
    reconnect=0.02,
    stop=0.5,
    stopping=1.5,
    compare=0.3,
    count=0.05,
    repeat=0.05,
)
"""Everything that the engine waits for in seconds, in moments."""
EVER = datetime.min.replace(tzinfo=UTC)


class Rig:
    """One engine and what it stands on. `actor` owns every project that `card` makes."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        runtime: FakeRuntime,
        retry_policy: RetryPolicy,
        access: ModelAccess | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.runtime = runtime
        self.retry_policy = retry_policy
        quick = retry_policy.answer == QUICK.answer
        self.agent = Agent(connect=1, answer=1, silence=0.4) if quick else Agent()
        self.event_log = EventLog(database, settings.lease, pace=0.0)
        self.name = process_name()
        self.jobs = Jobs(database, self.name, settings.lease)
        self.usage = Usage(database, self.name)
        idle = settings.workspace_idle_minutes
        places = Places(database, settings.places, settings.workspace_share)
        self.workspaces = Workspaces(database, settings.secret_key, self.usage, self.jobs, idle, places)
        self.reconciler = Reconciler(
            database, runtime, self.workspaces.keys, CREDENTIALS, idle, settings.orphan_hours
        )
        runtime.on_status = self.reconciler.told
        self.orphans = Orphans(database, self.workspaces, self.agent)
        self.jobs.add(self.reconciler.job)
        self.projects = Projects(database, WorkspaceRows(), CREDENTIALS)
        self.tasks = Tasks(database, PEOPLE, Showing(PEOPLE, settings.installation_limit))
        self.sessions = Sessions(database, settings.installation_limit)
        self.starts = Starts(database, "rehearsal")
        self.gateway = GatewayClient(connect=1, answer=1)
        self.client = WorkspaceClient()
        git = GitClient(self.client)
        self.trees = Trees(database, git, self.agent, Remotes(database, CREDENTIALS, git))
        access = access or ModelAccess(Providers(database, KEYRING, settings), settings)
        self.spending = Spending(database, self.workspaces, self.gateway, access)
        self.supervisor = self.engine()
        self.actor: Actor

    def engine(self) -> Supervisor:
        """Another engine on the same database, as after a restart. It is not opened yet."""
        return Supervisor(
            self.database,
            self.workspaces,
            CREDENTIALS,
            self.agent,
            self.event_log,
            self.spending,
            self.trees,
            self.settings,
            process_name(),
            self.retry_policy,
        )

    async def restart(self) -> None:
        """Hand everything over to a new engine."""
        await self.supervisor.close()
        self.supervisor = self.engine()
        await self.supervisor.open()

    async def told(self, project_id: UUID, sentence: str) -> None:
        """Return when it stands in the rows that something of a workspace ended unasked."""
        with self.database.bus.subscribe(f"workspace:{project_id}") as changes:
            async with asyncio.timeout(10):
                while not (found := await self.workspaces.trouble(project_id, EVER)) or found[0] != sentence:
                    await changes.wait(0.5)

    async def project(self, limit: int = 1) -> UUID:
        project = await self.projects.create(self.actor, NewProject(name="Engine room"))
        await self.projects.change(self.actor, project.id, ProjectPatch(session_limit=limit))
        return project.id

    async def card(self, project_id: UUID | None = None, priority: str = "normal") -> TaskView:
        """A card in TODO, on a board of its own where none is given."""
        project_id = project_id or await self.project()
        return await self.tasks.create(
            self.actor, project_id, NewTask(title="Write the file hello.txt", priority=priority)
        )

    async def execute(self, card: TaskView | None = None) -> SessionView:
        card = card or await self.card()
        return await self.starts.execute(self.actor, card.project_id, card.id)

    async def running(self, card: TaskView | None = None) -> SessionView:
        """A session that the sidecar has accepted (and that may be over by now if it is a short one)."""
        session = await self.execute(card)
        return await self.until(session, lambda view: view.started_at is not None)

    async def until(
        self, session: SessionView, condition: Callable[[SessionView], bool], seconds: float = 10.0
    ) -> SessionView:
        """The session once `condition` holds for it."""
        with self.database.bus.subscribe(f"session:{session.id}") as changes:
            async with asyncio.timeout(seconds):
                while not condition(view := await self.read(session)):
                    await changes.wait(0.5)
        return view

    async def over(self, session: SessionView, seconds: float = 10.0) -> SessionView:
        """The session once it is over."""
        await self.until(session, lambda view: view.status not in ("pending", "running"), seconds)
        return await self.read(session)

    async def stop(self, session: SessionView) -> SessionView:
        return await self.sessions.stop(self.actor, session.project_id, session.task_id)

    async def read(self, session: SessionView) -> SessionView:
        return await self.sessions.read(self.actor, session.project_id, session.task_id, session.id)

    async def task(self, session: SessionView) -> TaskView:
        return await self.tasks.read(self.actor, session.project_id, session.task_id)

    async def logged(self, session: SessionView) -> list[Event]:
        """Every event of the session that stands in the logged now."""
        events: list[Event] = []
        while batch := (await self.event_log.read(session.id, len(events))).events:
            events += batch
        return events


@asynccontextmanager
async def rigged(
    settings: Settings,
    runtime: FakeRuntime | None = None,
    database: Database | None = None,
    retry_policy: RetryPolicy = QUICK,
    *,
    opened: bool = True,
    looked_after: bool = True,
    actor: Actor | None = None,
    access: ModelAccess | None = None,
) -> AsyncIterator[Rig]:
    """Set an engine up for as long as the block lasts; its supervisor is opened unless told otherwise.

    Its workspaces are `looked_after` by its own reconciler.

    A further one on the same database needs the `actor` of the first.
    """
    rig = Rig(
        settings, database or Database(settings.database), runtime or FakeRuntime(), retry_policy, access
    )
    accounts = Accounts(rig.database, settings.secret_key)
    await rig.agent.open()
    await rig.gateway.open()
    await rig.client.open()
    try:
        if actor is None:
            grant = await accounts.set_up("ada@example.org", "Ada", "a long enough password")
            actor = await accounts.who(grant.token)
        rig.actor = actor
        await rig.database.open()
        if looked_after:
            await rig.jobs.open()
        if opened:
            await rig.supervisor.open()
        yield rig
    finally:
        await rig.supervisor.close()
        await rig.jobs.close()
        await rig.usage.close()
        await rig.runtime.destroy()
        await rig.gateway.close()
        await rig.client.close()
        await rig.agent.close()
        await rig.database.close()


def texts(events: list[Event], kind: EventType = EventType.OUTPUT) -> list[str]:
    """The texts of one type."""
    return [event.text for event in events if event.type is kind]


def lines(count: int) -> list[str]:
    """What `Script.lines(count)` says."""
    return [f"line {number} of {count}\n" for number in range(1, count + 1)]


def assert_whole(events: list[Event]) -> None:
    """The logged is numbered from 1 without gaps, and `done` stands in it once, at the end."""
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.seq for event in events if event.type is EventType.DONE] == [len(events)]
