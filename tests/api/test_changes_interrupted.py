"""Follow-ups and decisions that broke off, or of which nobody heard: what was asked is done, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from tests.api import changing
from tests.api.changing import Agent, Unheard, change, committed, follow, run, writes
from tests.api.conftest import Board
from tests.fakes import FakeRuntime
from tests.scripted import Script
from tests.waiting import eventually
from vibe_app.board.changes import queries as change_queries
from vibe_app.clients.git import GitClient
from vibe_app.runs.orphans import Orphans
from vibe_app.wire import Failure
from vibe_app.wire.git import MoveBase, Person, PlanMerge
from vibe_app.wiring import Services
from vibe_app.workspace_services.git.hub import Hub

agent, runtime, hub = changing.agent, changing.runtime, changing.hub


async def test_a_follow_up_that_was_lost_is_told_whole_again_unless_its_conversation_has_it(
    board: Board, agent: Agent, hub: Hub
) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    await run(board, task)
    revision = (await change(board, task))["revision"]
    lost = iter([Script.failing("gone", Failure.AGENT_LOST)])
    agent.work = lambda tree, start: next(lost, None)
    session = await follow(board, task, message="In German.", revision=revision)
    first, second = agent.told[-2:]
    assert (session["attempt"], second.prompt) == (2, "In German.")
    assert (first.prompt, first.conversation, first.again) == (
        second.prompt,
        second.conversation,
        second.again,
    )
    assert second.again is not None
    assert "interrupted" in second.again


@pytest.mark.parametrize("moved", [False, True], ids=["before the branch moves", "after it"])
async def test_an_accept_that_was_broken_off_is_finished(
    board: Board, agent: Agent, hub: Hub, parts: Services, runtime: FakeRuntime, moved: bool
) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    await run(board, task)
    found = await change(board, task)
    endpoint = await parts.workspaces.ensure(UUID(board.project))
    git = GitClient(parts.workspace_client)
    plan = await git.plan_merge(
        endpoint,
        PlanMerge(
            number=1,
            base=found["base"]["commit"],
            revision=found["revision"],
            message="Two",
            author=Person(name="Editor", email="editor@example.org"),
        ),
    )
    assert plan.new is not None
    if moved:
        await git.move_base(endpoint, MoveBase(old=plan.old, new=plan.new))
    async with parts.database.transaction() as db:
        await change_queries.write(
            db,
            UUID(found["id"]),
            state="accepting",
            intent="accept",
            intent_details={"revision": found["revision"], "strategy": "squash"},
            merge_old=plan.old,
            merge_new=plan.new,
        )
        db.announce(change_queries.CHANGES)

    async def accepted() -> bool:
        return (await change(board, task))["state"] == "accepted"

    await eventually(accepted)
    assert (await change(board, task))["commit"] == plan.new == committed(hub, "rev-parse", "main")
    assert await board.status(task) == "DONE"


async def test_comments_of_a_follow_up_that_never_began_are_free_again(
    board: Board, agent: Agent, hub: Hub, runtime: FakeRuntime
) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    await run(board, task)
    revision = (await change(board, task))["revision"]
    comment = {"revision": revision, "path": "app.py", "line": 2, "quote": "2", "body": "Why?"}
    made = (await board.viewer.post(f"{task}/change/comments", json=comment)).json()
    [sidecar] = runtime.sidecars.values()
    sidecar.script = lambda start: Script.failing("never")
    await sidecar.die()
    runtime.sidecar_url = "http://127.0.0.1:9"
    asked = {"comment_ids": [made["id"]], "revision": revision}
    started = await board.editor.post(f"{task}/follow-up", json=asked)
    assert started.status_code in (200, 502)
    await board.session_is(task, "failed")
    assert await board.status(task) == "AI_REVIEW"
    [free] = (await board.viewer.get(f"{task}/change/comments")).json()["comments"]
    assert (free["state"], free["session_id"]) == ("open", None)


@pytest.mark.parametrize("mute", [False, True], ids=["found at once", "found later"])
@pytest.mark.parametrize("had", ["never", "and works on it", "and nobody knows of it"])
async def test_comments_of_a_run_that_was_given_up_are_sent_if_the_agent_had_them(
    board: Board, agent: Agent, hub: Hub, parts: Services, runtime: FakeRuntime, had: str, mute: bool
) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    await run(board, task)
    revision = (await change(board, task))["revision"]
    comment = {"revision": revision, "path": "app.py", "line": 2, "quote": "2", "body": "Write it out."}
    made = (await board.viewer.post(f"{task}/change/comments", json=comment)).json()
    [sidecar] = runtime.sidecars.values()
    assert isinstance(sidecar, Unheard)
    sidecar.drops, sidecar.mute = True, mute
    sidecar.accepts, sidecar.forgets = had == "and works on it", had == "and nobody knows of it"
    agent.work = writes(app__py="one\nzwei\nthree\n")
    asked = {"comment_ids": [made["id"]], "revision": revision}
    assert (await board.editor.post(f"{task}/follow-up", json=asked)).status_code == 502

    async def comments() -> tuple[str, bool]:
        [found] = (await board.viewer.get(f"{task}/change/comments")).json()["comments"]
        return found["state"], found["session_id"] is not None

    if mute:
        assert await comments() == ("open", True)
        sidecar.mute = False
        await Orphans(parts.database, parts.workspaces, parts.agent).end_all()
    expected = ("open", False) if had == "never" else ("sent", True)
    await eventually(lambda: is_so(comments, expected))
    if sidecar.accepts:
        # What the agent did is kept, although its run was over before.
        await eventually(lambda: has_two_checkpoints(board, task, revision))


async def test_a_follow_up_goes_on_in_a_conversation_that_was_begun_without_an_answer(
    board: Board, agent: Agent, hub: Hub, parts: Services, runtime: FakeRuntime
) -> None:
    await parts.workspaces.ensure(UUID(board.project))
    [sidecar] = runtime.sidecars.values()
    assert isinstance(sidecar, Unheard)
    sidecar.drops = sidecar.accepts = True
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    assert (await board.editor.post(f"{task}/execute")).status_code == 502
    await Orphans(parts.database, parts.workspaces, parts.agent).end_all()

    async def kept() -> bool:
        return (await change(board, task))["revision"] is not None

    await eventually(kept)
    sidecar.drops = False
    await follow(board, task, message="Go on", revision=(await change(board, task))["revision"])
    first, second = agent.told
    assert second.conversation == f"ses_{first.session_id[:8]}"
    sessions = (await board.viewer.get(f"{task}/sessions")).json()["sessions"]
    assert [each["conversation_id"] for each in sessions] == [second.conversation] * 2


async def is_so(found: Callable[[], Awaitable[object]], expected: object) -> bool:
    return await found() == expected


async def has_two_checkpoints(board: Board, task: str, revision: str) -> bool:
    found = await change(board, task)
    return found["intent"] is None and found["revision"] != revision
