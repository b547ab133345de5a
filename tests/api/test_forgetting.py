"""What becomes of checkpoints that nobody can ask for any more: real git, behind a real file browser."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from tests.api import changing
from tests.api.changing import Agent, change, committed, run, writes
from tests.api.conftest import Board
from vibe_app.board.changes.models import Change, DeletedCard
from vibe_app.board.changes.service import KEPT_FOR
from vibe_app.board.tasks.models import Task
from vibe_app.changes.forgetting import SETTLED, Forgetting
from vibe_app.clients.git import GitClient
from vibe_app.wire import now
from vibe_app.wiring import Services
from vibe_app.workspace_services.git.hub import Hub

agent, runtime, hub = changing.agent, changing.runtime, changing.hub


@pytest.fixture
def forgetting(parts: Services) -> Forgetting:
    return Forgetting(parts.database, parts.workspaces, GitClient(parts.workspace_client))


def kept(hub: Hub) -> list[str]:
    return committed(hub, "for-each-ref", "--format=%(refname)", "refs/vibe/").split()


async def pass_by(parts: Services, time: timedelta) -> None:
    """Have all that was decided and deleted so far be older."""
    async with parts.database.transaction() as db:
        for what in (Change.decided_at, DeletedCard.deleted_at, Task.deleted_at):
            model = col(what).class_
            stands = col(what).is_not(None)
            await db.execute(update(model).where(stands).values({col(what).key: now() - time}))


async def discard(board: Board, task: str) -> None:
    revision = (await change(board, task))["revision"]
    thrown = await board.editor.post(f"{task}/change/discard", json={"revision": revision})
    assert (thrown.status_code, thrown.json()["state"]) == (200, "discarded")


async def test_what_was_discarded_is_let_go_of_when_it_cannot_be_restored_any_more(
    board: Board, agent: Agent, hub: Hub, parts: Services, forgetting: Forgetting
) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task, other = await board.task(), await board.task()
    await run(board, task)
    await run(board, other)
    await discard(board, task)
    assert (await change(board, task))["restorable"]
    await pass_by(parts, KEPT_FOR - timedelta(hours=1))
    assert await forgetting.look() == 0
    await pass_by(parts, KEPT_FOR + SETTLED / 2)
    assert not (await change(board, task))["restorable"]
    assert await forgetting.look() == 0
    await pass_by(parts, KEPT_FOR + 2 * SETTLED)
    assert kept(hub) == ["refs/vibe/1/1", "refs/vibe/2/1"]
    assert await forgetting.look() == 1
    assert kept(hub) == ["refs/vibe/2/1"]
    assert await forgetting.look() == 0
    refused = await board.editor.post(f"{task}/change/restore")
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        "It was discarded more than 30 days ago and is not kept any more.",
    )
    # What it changed can still be read.
    file = await board.viewer.get(f"{task}/change/file", params={"path": "app.py"})
    assert "+2\n" in file.json()["patch"]


async def test_a_card_s_other_changes_keep_theirs(
    board: Board, agent: Agent, hub: Hub, parts: Services, forgetting: Forgetting
) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    await run(board, task)
    await discard(board, task)
    agent.work = writes(app__py="one\ntwo\n3\n")
    await run(board, task)
    await pass_by(parts, KEPT_FOR + 2 * SETTLED)
    assert await forgetting.look() == 1
    assert kept(hub) == ["refs/vibe/1/2"]
    assert committed(hub, "show", "refs/vibe/1/2:app.py") == "one\ntwo\n3"
    revision = (await change(board, task))["revision"]
    accepted = await board.editor.post(f"{task}/change/accept", json={"revision": revision})
    assert (accepted.status_code, accepted.json()["state"]) == (200, "accepted")
    await pass_by(parts, KEPT_FOR + 2 * SETTLED)
    assert await forgetting.look() == 0
    assert kept(hub) == ["refs/vibe/1/2"]


async def test_a_deleted_card_s_go_once_its_workspace_answers(
    board: Board, agent: Agent, hub: Hub, parts: Services, forgetting: Forgetting
) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task, untouched = await board.task(), await board.task()
    await run(board, task)
    assert (await board.editor.delete(task)).status_code == 204
    assert (await board.editor.delete(untouched)).status_code == 204
    await pass_by(parts, KEPT_FOR - SETTLED)
    assert await forgetting.look() == 0
    assert (await board.editor.post(f"{task}/restore")).json()["change"]["state"] == "open"
    assert (await board.editor.delete(task)).status_code == 204
    await pass_by(parts, KEPT_FOR + SETTLED)
    assert (await board.editor.post(f"{task}/restore")).status_code == 404
    assert await forgetting.look() == 0
    async with parts.database.read() as db:
        assert list(await db.scalars(select(Task))) == []
    await pass_by(parts, 2 * SETTLED)
    away = hub.path.rename(hub.root / "away")
    assert await forgetting.look() == 0
    away.rename(hub.path)
    assert kept(hub) == ["refs/vibe/1/1"]
    assert await forgetting.look() == 1
    assert kept(hub) == []
    async with parts.database.read() as db:
        assert list(await db.scalars(select(DeletedCard))) == []
