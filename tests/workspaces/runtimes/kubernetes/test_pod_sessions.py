"""Sessions of the whole engine in real pods: what people are told when a pod cannot bear a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.workspaces.runtimes.kubernetes.kube.agent import NodeAgent
from tests.workspaces.runtimes.kubernetes.kube.api import FakeApi
from tests.workspaces.runtimes.kubernetes.kube.containers import why_not
from vibe_app.board.projects.schemas import NewProject
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.runs.retry_policy import RetryPolicy
from vibe_app.settings import Settings
from vibe_app.wiring import Services, build, running

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"NO REAL PODS ON THIS MACHINE: {why_not()}")


@pytest.fixture
async def node(tmp_path: Path, opencode: Path) -> AsyncIterator[NodeAgent]:
    """A cluster of one node."""
    async with FakeApi() as api, NodeAgent(api, tmp_path / "node", opencode) as node:
        yield node


@pytest.fixture
async def parts(settings: Settings, node: NodeAgent, tmp_path: Path) -> AsyncIterator[Services]:
    """The parts of a running app whose workspaces are pods, as its settings say."""
    changes = {
        "runtime": "kubernetes",
        "opencode_server_image": "registry.example.org/vibe:1",
        "kubernetes_config": str(node.api.kubeconfig(tmp_path)),
        "opencode_limits": "cpu=2,memory=800Mi",
    }
    async with running(build(settings.model_copy(update=changes), policy=RetryPolicy(repeat=0.1))) as parts:
        yield parts


@pytest.mark.timeout(300)
async def test_a_task_that_takes_all_memory_fails_with_that_reason(parts: Services) -> None:
    grant = await parts.accounts.set_up("ada@example.org", "Ada", "a long enough password")
    actor = await parts.accounts.who(grant.token)
    project = await parts.projects.create(actor, NewProject(name="Greedy"))
    greedy = "rehearse: run head -c 2000M /dev/zero | tail > /dev/null; sleep 60"
    card = await parts.tasks.create(actor, project.id, NewTask(title="Take it all", description=greedy))
    session = await parts.starts.execute(actor, project.id, card.id)

    async def read() -> SessionView:
        return await parts.sessions.read(actor, project.id, card.id, session.id)

    with parts.database.bus.subscribe(f"session:{session.id}") as changes:
        async with asyncio.timeout(240):
            while (seen := await read()).status in ("pending", "running"):
                await changes.wait(1.0)
    assert seen.status == "failed"
    assert seen.error is not None
    assert "OpenCode used up its memory (its limit is 800Mi) and was ended" in seen.error
    assert (await parts.tasks.read(actor, project.id, card.id)).status == "TODO"
    await parts.projects.delete(actor, project.id, project.name)
    assert await parts.workspaces.erased(project.id, 60)
