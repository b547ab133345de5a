"""Builds every part once, opens and closes them in order, and holds the one global: `services()`.

Both doors ask `services()` for the verbs. Tests fill the slot with `use`. What runs by itself (the
queue, the reconciler, the other jobs) runs in processes whose role is `all` or `engine`; a process
that only serves pages reads the rows.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from vibe_app.accounts.lasting import Rights
from vibe_app.accounts.passwords import Passwords
from vibe_app.accounts.people import PeopleRows
from vibe_app.accounts.service import Accounts
from vibe_app.accounts.users import Users
from vibe_app.board.changes.comments import Comments
from vibe_app.board.changes.service import Changes
from vibe_app.board.home import Home
from vibe_app.board.projects.members import Members
from vibe_app.board.projects.service import Projects
from vibe_app.board.sessions.service import Sessions
from vibe_app.board.sessions.starting import Starts
from vibe_app.board.spending.limits import Limits, nano
from vibe_app.board.tasks.bulk import Bulk
from vibe_app.board.tasks.finding import Finding
from vibe_app.board.tasks.happened import Activity
from vibe_app.board.tasks.service import Tasks
from vibe_app.board.tasks.showing import Showing
from vibe_app.board.tasks.windows import Boards
from vibe_app.changes.decisions import Decisions
from vibe_app.changes.deploy_keys import DeployKeys
from vibe_app.changes.forgetting import Forgetting
from vibe_app.changes.joining import Joining
from vibe_app.changes.remotes import Remotes
from vibe_app.changes.requests import Requests
from vibe_app.changes.standing import Standings
from vibe_app.changes.texts import Texts
from vibe_app.changes.trees import Trees
from vibe_app.changes.upkeep import Upkeep
from vibe_app.clients.gateway import GatewayClient
from vibe_app.clients.git import GitClient
from vibe_app.clients.services import WorkspaceClient
from vibe_app.clients.sidecar import Agent
from vibe_app.configuration.credentials import Credentials
from vibe_app.configuration.keyring import Keyring
from vibe_app.configuration.providers import Providers
from vibe_app.configuration.secrets import Secrets
from vibe_app.db import Database
from vibe_app.jobs.registry import Job, Jobs
from vibe_app.processes import process_name
from vibe_app.runs.archive import Archive
from vibe_app.runs.event_log import EventLog
from vibe_app.runs.model_access import ModelAccess
from vibe_app.runs.orphans import Orphans
from vibe_app.runs.retry_policy import RetryPolicy
from vibe_app.runs.spending import Spending
from vibe_app.runs.supervisor import Supervisor
from vibe_app.settings import OPENCODE_VERSION, Settings, load_settings
from vibe_app.workspaces.files import Files
from vibe_app.workspaces.places import Places
from vibe_app.workspaces.protection import Protection, protection
from vibe_app.workspaces.reconcile import Reconciler
from vibe_app.workspaces.rows import WorkspaceRows
from vibe_app.workspaces.runtimes.base import Endpoint, Runtime
from vibe_app.workspaces.service import Workspaces
from vibe_app.workspaces.states import WorkspaceStatus
from vibe_app.workspaces.usage import Usage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """The verbs that the doors use."""

    settings: Settings
    protection: Protection
    database: Database
    accounts: Accounts
    users: Users
    rights: Rights
    providers: Providers
    projects: Projects
    members: Members
    tasks: Tasks
    bulk: Bulk
    boards: Boards
    activity: Activity
    home: Home
    finding: Finding
    starts: Starts
    sessions: Sessions
    event_log: EventLog
    changes: Changes
    comments: Comments
    texts: Texts
    decisions: Decisions
    joining: Joining
    requests: Requests
    deploy_keys: DeployKeys
    jobs: Jobs
    usage: Usage
    workspaces: Workspaces
    reconciler: Reconciler
    files: Files
    agent: Agent
    workspace_client: WorkspaceClient
    gateway: GatewayClient
    spending: Spending
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


def build(settings: Settings, runtime: Runtime | None = None, policy: RetryPolicy | None = None) -> Services:
    """Make every part; nothing is opened yet.

    Args:
        settings: What to build for.
        runtime: Where workspaces live, in place of the one that the settings name.
        policy: How long runs wait for what, in place of the usual times.
    """
    me = process_name()
    protected = protection(settings)
    database = Database(settings.database)
    agent, client = Agent(), WorkspaceClient()
    git = GitClient(client)
    keyring = Keyring(settings.keys())
    credentials = Credentials(Secrets(keyring))
    remotes = Remotes(database, credentials, git, settings.repository_networks)
    requests = Requests(database, remotes, git)
    trees = Trees(database, git, agent, remotes)
    jobs = Jobs(database, me, settings.lease)
    usage = Usage(database, me)
    idle = settings.workspace_idle_minutes
    places = Places(database, settings.places, settings.workspace_share)
    workspaces = Workspaces(database, settings.signing_key(), usage, jobs, idle, places)
    reconcilers: list[Reconciler] = []

    async def on_status(
        project_id: UUID, status: WorkspaceStatus, reason: str | None, endpoint: Endpoint | None
    ) -> None:
        await reconcilers[0].told(project_id, status, reason, endpoint)

    def on_trouble(project_id: UUID, sentence: str, final: bool) -> None:
        reconcilers[0].troubled(project_id, sentence, final)

    if runtime is None and settings.runtime == "kubernetes":
        from vibe_app.workspaces.runtimes.kubernetes.runtime import KubernetesRuntime

        runtime = KubernetesRuntime(settings, on_status, on_trouble)
    elif runtime is None:
        from vibe_app.workspaces.runtimes.local.runtime import LocalRuntime

        runtime = LocalRuntime(settings, on_status, on_trouble)
    reconciler = Reconciler(database, runtime, workspaces.keys, credentials, idle, settings.orphan_hours)
    reconcilers.append(reconciler)
    limits = Limits(
        nano(settings.limit_usd) or None,
        settings.limit_tokens or None,
        settings.limit_minutes or None,
        settings.limit_requests or None,
    )
    event_log = EventLog(database, settings.lease)
    gateway = GatewayClient()
    providers = Providers(database, keyring, settings)
    spending = Spending(database, workspaces, gateway, ModelAccess(providers, settings), limits)
    model = settings.model or "rehearsal"
    people, passwords = PeopleRows(), Passwords()
    members = Members(database, people)
    showing = Showing(people, settings.installation_limit, settings.quiet_notice)
    tasks = Tasks(database, people, showing)
    return Services(
        settings=settings,
        protection=protected,
        database=database,
        accounts=Accounts(
            database, settings.signing_key(), settings.login_days, protected.admins_only, passwords
        ),
        users=Users(database, passwords, members),
        rights=Rights(database.bus),
        providers=providers,
        projects=Projects(
            database, WorkspaceRows(), credentials, settings.project_limit, limits, settings.network
        ),
        members=members,
        tasks=tasks,
        bulk=Bulk(database, tasks),
        boards=Boards(database, showing),
        activity=Activity(database, people),
        home=Home(database, showing),
        finding=Finding(database),
        starts=Starts(
            database,
            model,
            limits,
            OPENCODE_VERSION,
            settings.opencode_server_image if settings.runtime == "kubernetes" else "",
        ),
        sessions=Sessions(database, settings.installation_limit, quiet_notice=settings.quiet_notice),
        changes=Changes(database),
        comments=Comments(database),
        texts=Texts(database, workspaces, git),
        decisions=Decisions(database, workspaces, trees, git, agent, remotes, requests),
        joining=Joining(database, workspaces, remotes),
        requests=requests,
        deploy_keys=DeployKeys(database, credentials, WorkspaceRows(), settings.repository_networks),
        event_log=event_log,
        jobs=jobs,
        usage=usage,
        workspaces=workspaces,
        reconciler=reconciler,
        files=Files(database, workspaces, client),
        agent=agent,
        workspace_client=client,
        gateway=gateway,
        spending=spending,
        supervisor=Supervisor(
            database,
            workspaces,
            credentials,
            agent,
            event_log,
            spending,
            trees,
            settings,
            me,
            policy,
            protected.admins_only,
        ),
    )


def jobs_of(parts: Services) -> list[Job]:
    """Return what runs by itself."""
    git = GitClient(parts.workspace_client)
    found = [
        parts.reconciler.job,
        Orphans(parts.database, parts.workspaces, parts.agent).job,
        parts.spending.job,
        parts.decisions.job,
        Upkeep(parts.database, parts.workspaces, git, parts.agent).job,
        Forgetting(parts.database, parts.workspaces, git).job,
        Standings(parts.database, parts.workspaces, git).job,
        parts.requests.job,
    ]
    if parts.settings.compress_after_days:
        found.append(Archive(parts.database, parts.settings.compress_after_days).job)
    return found


@asynccontextmanager
async def running(parts: Services) -> AsyncGenerator[Services]:
    """Open every part in order, fill the slot, and close all of them in the opposite order.

    One that fails to close keeps none of the others from it.
    """
    if parts.protection.notice:
        log.warning("%s %s", parts.protection.reason or parts.protection.notice, parts.protection.cure)
    async with AsyncExitStack() as stack:
        _slot.append(parts)
        stack.callback(_slot.remove, parts)
        stack.push_async_callback(parts.database.close)
        await parts.database.open()
        await parts.projects.take_credentials_out()
        stack.push_async_callback(parts.agent.close)
        await parts.agent.open()
        stack.push_async_callback(parts.workspace_client.close)
        await parts.workspace_client.open()
        stack.push_async_callback(parts.gateway.close)
        await parts.gateway.open()
        if parts.settings.role != "web":
            parts.jobs.add(*jobs_of(parts))
            stack.push_async_callback(parts.jobs.close)
            await parts.jobs.open()
        stack.push_async_callback(parts.usage.close)
        parts.usage.open()
        if parts.settings.role != "web":
            stack.push_async_callback(parts.supervisor.close)
            await parts.supervisor.open()
        yield parts


@asynccontextmanager
async def lifespan() -> AsyncGenerator[None]:
    """Run the parts for as long as the app runs; for the front door."""
    async with running(build(load_settings())):
        yield
