"""Delivers accepted changes as pull requests, and looks up what becomes of those.

A change is delivered in three steps: its commit is pushed as a branch, the request is opened, the row says
so. Each may be repeated, so it does not matter between which of them a process dies: a branch that is at the
commit already is pushed, and a request that is there for the branch is found.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import select
from sqlmodel import col

from vibe_app.addresses import Credential, parse
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.board.changes.schemas import RequestView
from vibe_app.board.lifecycle import ChangeState
from vibe_app.board.projects.delivery import host_of as host_kind_of
from vibe_app.board.projects.models import Project
from vibe_app.board.topics import card_topics
from vibe_app.changes.remotes import PUSHING, Remotes
from vibe_app.clients.git import GitClient
from vibe_app.clients.hosts.contract import Host, PullRequest
from vibe_app.clients.hosts.known import host_of
from vibe_app.db import Database
from vibe_app.errors import Conflict, InvalidRequest, NotFound, TooMany, VibeError
from vibe_app.jobs.registry import Hold, Job
from vibe_app.networks import networks
from vibe_app.wire import now
from vibe_app.wire.git import Push, Remote
from vibe_app.workspaces.runtimes.base import Endpoint

log = logging.getLogger(__name__)

EVERY, SELDOM = timedelta(minutes=3), timedelta(hours=1)
"""Between two looks at a request: at first, and once it has been open for long or its host has a fault."""
_LOOK = 10.0
_AT_ONCE, _MOST = 4, 40
_AGE = 40
_NAMES = 20
_TITLE, _BODY = 250, 20_000

Build = Callable[[Remote, Project], Host | None]
Note = Callable[[dict[str, Any]], Awaitable[None]]


class Delivery(BaseModel):
    """How an accepted change stands with its project's repository, as it is kept with the change.

    `mode` is how the project delivered when it was accepted, `said` what the person said of the commit,
    `pushed` the commit that its branch had when it was last pushed, and `asked_at` when its request was last
    looked up.
    """

    model_config = ConfigDict(frozen=True)

    mode: Literal["push", "request"] = "push"
    state: Literal["waiting", "pushed", "opened", "pushed_branch", "nothing", "failed"] = "waiting"
    said: str | None = None
    branch: str | None = None
    commit: str | None = None
    pushed: str | None = None
    request: RequestView | None = None
    code: str | None = None
    error: str | None = None
    at: datetime | None = None
    asked_at: datetime | None = None

    def kept(self) -> dict[str, Any]:
        """Return it as it stands in the row."""
        return self.model_dump(mode="json", exclude_none=True)

    def but(self, **values: Any) -> Delivery:
        """Return it with other values; what was wrong before is forgotten."""
        return self.model_copy(update={"code": None, "error": None, **values})


def delivery_of(change: Change) -> Delivery:
    """Read how a change stands with the repository."""
    try:
        return Delivery.model_validate(change.delivery or {})
    except ValidationError:
        # Of a version that knows more: it is delivered again.
        return Delivery()


def build_host(remote: Remote, project: Project) -> Host | None:
    """Return the host of a project's repository, None where it has none that opens requests."""
    credential = Credential(remote.username, remote.token) if remote.username or remote.token else None
    return host_of(parse(remote.url), host_kind_of(project), credential, networks(remote.networks))


class Requests:
    """Opens pull requests and looks them up.

    Args:
        database: Where changes are.
        remotes: Knows the projects' repositories.
        git: Asks workspaces' repositories.
        build: Makes the client of a repository's host.
    """

    def __init__(
        self, database: Database, remotes: Remotes, git: GitClient, build: Build = build_host
    ) -> None:
        self._database = database
        self._remotes = remotes
        self._git = git
        self._build = build

    async def deliver(
        self, endpoint: Endpoint, project: Project, change: Change, title: str, note: Note
    ) -> Delivery:
        """Push an accepted change as a branch of the project's repository, and open its request.

        Args:
            endpoint: The workspace, which has the commit.
            project: Whose.
            change: Which.
            title: Of the card.
            note: Writes how far it has come, while it lasts.

        Returns:
            How it stands then. It never raises what its delivery comes to: the accept stands.
        """
        so_far = delivery_of(change).but(mode="request", state="waiting", commit=change.merge_new)
        if change.merge_new == change.merge_old:
            return so_far.but(state="nothing", at=now())
        if so_far.request is not None and so_far.request.state == "merged":
            # Delivered; a branch that somebody has removed since does not come again.
            return so_far.but(state="opened", at=so_far.at)
        try:
            remote = await self._remotes.of(project)
            if remote is None:
                raise InvalidRequest("The project names no repository any more: give its address.")
            so_far = await self._pushed(endpoint, remote, so_far)
            await note(so_far.kept())
            host = self._build(remote, project)
            if host is None:
                return so_far.but(state="pushed_branch", at=now())
            request = await _opened(host, so_far, remote.branch or change.base_branch, _words(so_far, title))
        except TimeoutError:
            why, code = "The repository's server does not answer in time. Deliver it again.", "push_failed"
        except VibeError as error:
            why, code = error.message, error.code
        else:
            return so_far.but(state="opened", request=_view(request), at=now(), asked_at=now())
        log.warning("project %s: what was accepted was not delivered: %s", project.id, why)
        if so_far.pushed:
            why = f"Its branch {so_far.branch} is at the repository, but it has no open request. {why}"
        return so_far.but(state="failed", code=code, error=why, at=now())

    async def _pushed(self, endpoint: Endpoint, remote: Remote, so_far: Delivery) -> Delivery:
        """Push the commit as a branch that nobody else has, and return which it became."""
        first = so_far.branch or ""
        for number in range(1, _NAMES):
            branch = first if number == 1 else f"{first}-{number}"
            push = Push(remote=remote, commit=so_far.commit or "", branch=branch, fresh=True)
            try:
                async with asyncio.timeout(PUSHING):
                    await self._git.push(endpoint, push)
            except Conflict as error:
                if error.code != "branch_taken":
                    raise
                if so_far.pushed == so_far.commit:
                    # It is ours, and somebody has added to it.
                    return so_far
            else:
                return so_far.but(branch=branch, pushed=so_far.commit)
        raise Conflict(f"The repository has branches named {first} and {first}-2 to -{_NAMES - 1} already.")

    @property
    def job(self) -> Job:
        """What looks requests up, as a job."""

        async def work(_: Hold) -> None:
            await self.look_up()

        return Job("look pull requests up", work, period=1.0)

    async def look_up(self) -> None:
        """Look up requests when they are due, until it is cancelled.

        Raises:
            Unavailable: The database does not answer.
        """
        turn = asyncio.Semaphore(_AT_ONCE)

        async def one(change_id: UUID) -> None:
            async with turn:
                await self._look(change_id)

        with self._database.bus.subscribe(change_queries.REQUESTS) as asked:
            while True:
                async with self._database.read() as db:
                    idle = col(Change.intent).is_(None)
                    query = select(col(Change.id)).where(col(Change.asks_at) <= now(), idle)
                    due = list(await db.scalars(query.order_by(col(Change.asks_at)).limit(_MOST)))
                await asyncio.gather(*map(one, due))
                if len(due) < _MOST:
                    await asked.wait(_LOOK)

    async def _look(self, change_id: UUID) -> None:
        """Look one request up, and note what has become of it."""
        async with self._database.read() as db:
            change = await db.get(Change, change_id)
            project = await db.get(Project, change.project_id) if change else None
        if change is None or project is None:
            return
        known = delivery_of(change)
        try:
            remote = await self._remotes.of(project)
            host = self._build(remote, project) if remote else None
            if host is None or known.request is None or change.state is not ChangeState.ACCEPTED:
                # The project's repository is another by now, or nobody's.
                return await self._note(change, known, None)
            found = await host.look(known.request.number)
        except VibeError as error:
            log.warning("change %s: its pull request was not looked up: %s", change_id, error)
            wait = timedelta(seconds=error.retry_after) if isinstance(error, TooMany) else EVERY
            if isinstance(error, NotFound | InvalidRequest) or error.code == "host_unauthorized":
                wait = SELDOM
            failed = known.but(code=error.code, error=error.message, asked_at=now())
            return await self._note(change, failed, now() + wait)
        at = now() + _pause(known) if found.state == "open" else None
        await self._note(change, known.but(request=_view(found), asked_at=now()), at)

    async def _note(self, change: Change, found: Delivery, asks_at: datetime | None) -> None:
        """Write what was found, unless somebody delivers the change anew; a merge is fetched."""
        values: dict[str, Any] = {"delivery": found.kept(), "asks_at": asks_at}
        before = delivery_of(change)
        merged = found.request is not None and found.request.state == "merged"
        if merged:
            values |= {"intent": "fetch", "intent_at": now()}
        async with self._database.transaction() as db:
            done = await change_queries.write(db, change.id, col(Change.intent).is_(None), **values)
            if done and merged:
                db.announce(change_queries.CHANGES)
            if done and (found.request, found.error) != (before.request, before.error):
                db.announce(f"change:{change.id}", *card_topics(change.project_id, change.task_id))


async def _opened(host: Host, delivery: Delivery, target: str, words: tuple[str, str]) -> PullRequest:
    """Find the request of a branch, or open it. One that was closed is opened anew by who delivers again."""
    branch = delivery.branch or ""
    there = await host.find(branch, target)
    found = next((each for each in there if each.state != "closed"), None)
    if found is None and there and delivery.request is None:
        # Opened by a process that died before it was noted, and closed by a person since.
        found = there[0]
    if found is not None:
        return found
    try:
        return await host.open(branch, target, *words)
    except Conflict as error:
        if error.code == "request_exists":
            for each in await host.find(branch, target):
                if each.state == "open":
                    return each
        raise


def _words(delivery: Delivery, title: str) -> tuple[str, str]:
    """Title and text of a request: those that a person gave the commit, and nothing that an agent wrote.

    An agent's words could name people, or close issues by being merged.
    """
    first, _, rest = (delivery.said or title).partition("\n")
    return first[:_TITLE], rest.strip()[:_BODY]


def _pause(known: Delivery) -> timedelta:
    """Return how long a request that is open is left alone: the longer it has been, the longer."""
    age = now() - (known.at or now())
    return min(max(EVERY, age / _AGE), SELDOM)


def _view(request: PullRequest) -> RequestView:
    return RequestView(number=request.number, url=request.url, state=request.state)
