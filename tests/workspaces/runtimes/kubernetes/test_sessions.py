"""Sessions of the whole engine on a cluster that pretends: what a fault of it costs, and what is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.scripted import Script
from tests.waiting import eventually
from tests.workspaces.runtimes.kubernetes.kube.api import FakeApi
from tests.workspaces.runtimes.kubernetes.kube.houses import cluster_settings
from tests.workspaces.runtimes.kubernetes.kube.pretend import PretendNode, running, waiting
from vibe_app import wiring
from vibe_app.accounts.roles import Actor
from vibe_app.board.projects.schemas import NewProject
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.runs.retry_policy import RetryPolicy
from vibe_app.settings import Settings
from vibe_app.wiring import Services, build
from vibe_app.workspaces.runtimes.kubernetes import events
from vibe_app.workspaces.runtimes.kubernetes.names import claim_name, pod_name

QUICK = RetryPolicy(pause=0.02, lost=0.4, reconnect=0.02, stop=0.5, stopping=1.5, repeat=0.02)


@dataclass
class Board:
    """A running app whose workspaces are pods, with one project."""

    parts: Services
    actor: Actor
    project: UUID

    async def executed(self) -> SessionView:
        """A session of a new card."""
        card = await self.parts.tasks.create(
            self.actor, self.project, NewTask(title="Write hello.txt", description="")
        )
        return await self.parts.starts.execute(self.actor, self.project, card.id)

    async def until(self, session: SessionView, condition: Callable[[SessionView], bool]) -> SessionView:
        """The session once it is so."""
        found = session

        async def so() -> bool:
            nonlocal found
            found = await self.parts.sessions.read(
                self.actor, session.project_id, session.task_id, session.id
            )
            return condition(found)

        await eventually(so, 30)
        return found

    async def failed(self, session: SessionView) -> str:
        """Wait until the session has failed in its first attempt; return why."""
        over = await self.until(session, lambda seen: seen.status not in ("pending", "running"))
        assert (over.status, over.attempt) == ("failed", 1)
        return over.error or ""


class Cluster:
    """A cluster with what the app is set to."""

    def __init__(self, api: FakeApi, node: PretendNode, settings: Settings) -> None:
        self.api = api
        self.node = node
        self.settings = settings
        self.known: tuple[Actor, UUID] | None = None

    @asynccontextmanager
    async def board(self, **more: Any) -> AsyncIterator[Board]:
        """The app, on its database, with these settings; the first time it makes an account and a project."""
        parts = build(self.settings.model_copy(update=more), policy=QUICK)
        async with wiring.running(parts):
            if self.known is None:
                grant = await parts.accounts.set_up("ada@example.org", "Ada", "a long enough password")
                actor = await parts.accounts.who(grant.token)
                self.known = (actor, (await parts.projects.create(actor, NewProject(name="Pods"))).id)
            yield Board(parts, *self.known)


@pytest.fixture
async def cluster(tmp_path: Path, settings: Settings) -> AsyncIterator[Cluster]:
    """A cluster whose node makes every pod ready, and whose sessions go on until they are stopped."""
    async with FakeApi() as api, PretendNode(api) as node:
        node.script = Script.endless()
        kept = {"database_url": settings.database_url, "secret_key": settings.secret_key}
        yield Cluster(api, node, cluster_settings(api, tmp_path, **kept))


QUOTA = 'pods "x" is forbidden: exceeded quota: workspaces, requested: pods=1, used: pods=20'


async def test_a_quota_that_is_used_up_ends_a_session_at_its_first_attempt(cluster: Cluster) -> None:
    cluster.api.fail("POST", "pods", 403, reason="Forbidden", message=QUOTA, times=1000)
    async with cluster.board() as board:
        assert "exceeded quota: workspaces" in await board.failed(await board.executed())
    assert cluster.api.calls["POST pods"] == 1


async def test_a_wrong_image_ends_a_session_at_its_first_attempt(cluster: Cluster) -> None:
    cluster.node.auto = False
    async with cluster.board() as board:
        session, name = await board.executed(), pod_name(board.project)
        await cluster.api.until(lambda: name in cluster.api.objects["pods"])
        statuses = running(cluster.api.objects["pods"][name], without=["opencode-server"])
        wrong = waiting("opencode-server", "InvalidImageName", "invalid reference format")
        cluster.node.report(name, [*statuses, wrong], ready=False)
        assert "cannot be fetched (InvalidImageName)" in await board.failed(session)
    assert cluster.api.calls["POST pods"] == 1


def say(cluster: Cluster, about: dict[str, str], reason: str, kind: str, message: str) -> None:
    """Have the cluster say something."""
    said = {"message": message, "type": kind, "reason": reason, "lastTimestamp": "2030-01-01T00:00:00Z"}
    cluster.api.put("events", said | {"metadata": {"name": reason}, "involvedObject": about})


async def test_a_claim_that_cannot_be_bound_ends_a_session_at_its_first_attempt(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "FIRST_LOOK", 0.0)
    cluster.node.auto = False
    async with cluster.board() as board:
        claim = {"kind": "PersistentVolumeClaim", "name": claim_name(board.project)}
        say(cluster, claim, "ProvisioningFailed", "Warning", 'storageclass.storage.k8s.io "fast" not found')
        error = await board.failed(await board.executed())
    assert error.startswith('The cluster has no volume for the workspace: storageclass.storage.k8s.io "fast"')
    assert cluster.api.calls["POST pods"] == 1


OUT_OF_MEMORY = waiting("opencode-server", "CrashLoopBackOff", last={"exitCode": 137, "reason": "OOMKilled"})
TOO_LARGE = 'Usage of EmptyDir volume "home" exceeds the limit "2Gi".'


@pytest.mark.parametrize("how", ["memory", "room"])
async def test_a_task_that_takes_too_much_memory_or_room_is_not_run_four_times(
    cluster: Cluster, how: str
) -> None:
    async with cluster.board() as board:
        session, name = await board.executed(), pod_name(board.project)
        await board.until(session, lambda seen: seen.started_at is not None)
        await cluster.node.crash(name)
        if how == "memory":
            statuses = running(cluster.api.objects["pods"][name], without=["opencode-server"])
            cluster.node.report(name, [*statuses, OUT_OF_MEMORY], ready=False)
        else:
            cluster.api.set_status(name, {"phase": "Failed", "reason": "Evicted", "message": TOO_LARGE})
        error = await board.failed(session)
    assert ("used up its memory (its limit is 2Gi)" if how == "memory" else "exceeds the limit") in error


async def test_what_the_cluster_says_is_in_a_session_s_error_when_its_start_limit_ends_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "FIRST_LOOK", 0.0)
    cluster.node.auto = False
    said = "Waiting for a volume to be created either by the external provisioner or manually"
    async with cluster.board(start_timeout=1.0) as board:
        claim = {"kind": "PersistentVolumeClaim", "name": claim_name(board.project)}
        say(cluster, claim, "ExternalProvisioning", "Normal", said)
        session = await board.executed()
        over = await board.until(session, lambda seen: seen.status not in ("pending", "running"))
    assert over.status == "failed"
    assert over.error is not None
    assert over.error.startswith("It did not start within 1 s: ")
    assert f"The cluster says: {said}." in over.error


async def test_a_changed_setting_reaches_a_pod_between_sessions_and_never_under_a_running_one(
    cluster: Cluster,
) -> None:
    async with cluster.board() as board:
        session, name = await board.executed(), pod_name(board.project)
        await board.until(session, lambda seen: seen.started_at is not None)

    def image() -> str:
        return cluster.api.objects["pods"][name]["spec"]["containers"][0]["image"]

    new = "registry.example.org/vibe:2"
    watches = cluster.api.calls["WATCH pods"]
    async with cluster.board(opencode_server_image=new) as board:
        await cluster.api.until(lambda: cluster.api.calls["WATCH pods"] > watches)
        for _ in range(2):
            await board.parts.reconciler.compare()
        assert image() != new
        seen = await board.until(session, lambda seen: True)
        assert (seen.status, seen.attempt) == ("running", 1)
        await board.parts.sessions.stop(board.actor, seen.project_id, seen.task_id)
        await board.until(session, lambda seen: seen.status == "cancelled")
        after = await board.executed()
        await board.until(after, lambda seen: seen.started_at is not None)
        assert image() == new
    assert cluster.api.calls["POST pods"] == 2
