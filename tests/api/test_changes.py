"""A card's change through the API: real git, in a hub behind a real file browser; the agent is played."""

from __future__ import annotations

import asyncio
from os import urandom
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col

from tests.api import changing
from tests.api.changing import Agent, change, committed, follow, run, writes
from tests.api.conftest import Board
from tests.fakes import SlowRuntime
from tests.scripted import Script
from tests.waiting import eventually
from tests.workspace_services.git.rooms import own_git, sound
from vibe_app.api import changes as routes
from vibe_app.board.tasks.models import Task
from vibe_app.board.tasks.shelving import KEPT_FOR, purge
from vibe_app.changes.standing import Standings
from vibe_app.changes.upkeep import Upkeep
from vibe_app.clients.git import GitClient
from vibe_app.wire import Failure, StartSession, now
from vibe_app.wire.git import AskStandings, Standing
from vibe_app.wire.git import Standings as Found
from vibe_app.wiring import Services, services
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspaces.runtimes.base import Endpoint


async def test_a_card_without_a_run_has_no_change(board: Board, hub: Hub) -> None:
    task = await board.task()
    assert (await change(board, task))["state"] == "none"
    refused = await board.editor.post(f"{task}/change/accept", json={"revision": "0" * 40})
    assert (refused.status_code, refused.json()["code"]) == (400, "no_change")


agent, runtime, hub = changing.agent, changing.runtime, changing.hub


async def test_a_run_leaves_a_change_that_is_accepted(board: Board, agent: Agent, hub: Hub) -> None:
    agent.work = writes(app__py="one\n2\nthree\n", new__txt="new\n")
    task = await board.task("Make two a number")
    session = await run(board, task)
    assert session["summary"] == "Done, **all** of it."
    assert (session["kind"], session["round_files"], session["round_additions"]) == ("execute", 2, 2)
    found = await change(board, task)
    assert (found["state"], found["additions"], found["deletions"]) == ("open", 2, 1)
    assert [(each["path"], each["status"]) for each in found["files"]] == [
        ("app.py", "modified"),
        ("new.txt", "added"),
    ]
    assert found["revision"] == session["revision_after"]
    card = (await board.viewer.get(task)).json()
    assert (card["number"], card["change"]["additions"], card["status"]) == (1, 2, "AI_REVIEW")
    file = (await board.viewer.get(f"{task}/change/file", params={"path": "app.py"})).json()
    assert "-two\n+2\n" in file["patch"]
    whole = await board.viewer.get(f"{task}/change/file", params={"path": "app.py", "whole": True})
    assert (whole.json()["old_text"], whole.json()["new_text"]) == ("one\ntwo\nthree\n", "one\n2\nthree\n")

    moved = await board.editor.post(f"{task}/move", json={"status": "DONE"})
    assert (moved.status_code, moved.json()["code"]) == (409, "change_open")
    with services().database.bus.subscribe("projects") as rail:
        accepted = await board.editor.post(f"{task}/change/accept", json={"revision": found["revision"]})
        assert accepted.status_code == 200, accepted.text
        assert await rail.wait(10) == {"projects"}, "it needs nobody any more, as every rail shows"
    assert accepted.json()["state"] == "accepted"
    assert await board.status(task) == "DONE"
    assert committed(hub, "log", "-1", "--format=%an|%s|%(trailers:key=Vibe-Task,valueonly)", "main") == (
        "Editor|Make two a number|1"
    )
    assert (agent.root / "base" / "app.py").read_text() == "one\n2\nthree\n"
    await gone(agent.root / "tasks" / "1")
    again = await board.editor.post(f"{task}/change/accept", json={"revision": found["revision"]})
    assert (again.status_code, again.json()["commit"]) == (200, accepted.json()["commit"])
    await sound(hub)


async def gone(path: Path) -> None:
    """Return once nothing is there."""
    await eventually(lambda: not path.exists())


async def test_a_follow_up_goes_on_in_the_same_tree_and_conversation(
    board: Board, agent: Agent, hub: Hub
) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    first = await run(board, task)
    revision = (await change(board, task))["revision"]
    comment = {"revision": revision, "path": "app.py", "line": 2, "quote": "2", "body": "Write it out."}
    foreign = {**comment, "revision": "0" * 40}
    refused = await board.viewer.post(f"{task}/change/comments", json=foreign)
    assert (refused.status_code, refused.json()["code"]) == (400, "unknown_revision")
    made = await board.viewer.post(f"{task}/change/comments", json=comment)
    assert made.status_code == 201, made.text
    agent.work = writes(app__py="one\nzwei\nthree\n")
    asked = {"message": "In German.", "comment_ids": [made.json()["id"]], "revision": revision}
    second = await follow(board, task, **asked)
    told = agent.told[-1]
    assert (told.conversation, told.tree) == (first["conversation_id"], 1)
    assert told.prompt == "In German.\n\nComments on your change:\n\n1. `app.py`, line 2:\n> 2\nWrite it out."
    assert (second["kind"], second["message"]) == ("follow_up", "In German.")
    assert second["revision_before"] == revision
    assert (second["round_additions"], second["round_deletions"]) == (1, 1)
    [sent] = (await board.viewer.get(f"{task}/change/comments")).json()["comments"]
    assert (sent["state"], sent["outdated"], sent["session_id"]) == ("sent", True, second["id"])
    assert await board.status(task) == "AI_REVIEW"
    since = (await board.viewer.get(f"{task}/change", params={"since": revision})).json()
    assert [each["path"] for each in since["files"]] == ["app.py"]
    blob = {"path": "app.py", "side": "old"}
    for given, before in (({}, "one\ntwo\nthree\n"), ({"since": revision}, "one\n2\nthree\n")):
        answer = await board.viewer.get(f"{task}/change/blob", params=blob | given)
        assert (answer.status_code, answer.text) == (200, before)
    other = await board.viewer.get(f"{task}/change/blob", params=blob | {"since": "0" * 40})
    assert (other.status_code, other.json()["code"]) == (400, "unknown_revision")


async def test_a_follow_up_with_the_same_key_is_the_same(board: Board, agent: Agent, hub: Hub) -> None:
    task = await board.task()
    agent.work = writes(app__py="one\n2\nthree\n")
    await run(board, task)
    body = {"message": "And now?", "revision": (await change(board, task))["revision"]}
    long = await board.editor.post(f"{task}/follow-up", json=body, headers={"Idempotency-Key": "k" * 201})
    assert (long.status_code, long.json()["code"]) == (400, "invalid_idempotency_key")
    key = {"Idempotency-Key": "once"}
    asked = (board.editor.post(f"{task}/follow-up", json=body, headers=key) for _ in range(3))
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["session_id"] for answer in answers}) == 1
    await board.session_is(task, "completed")
    assert len(await board.sessions(task)) == 2


async def test_a_follow_up_that_fails_returns_the_card_and_the_comments(
    board: Board, agent: Agent, hub: Hub
) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    await run(board, task)
    await board.editor.post(f"{task}/move", json={"status": "HUMAN_REVIEW"})
    revision = (await change(board, task))["revision"]
    agent.work = lambda tree, start: Script.failing("no", Failure.BROKEN)
    await follow(board, task, "failed", message="Go on", revision=revision)
    assert await board.status(task) == "HUMAN_REVIEW"


async def test_a_stale_revision_is_told_what_is_new(board: Board, agent: Agent, hub: Hub) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    await run(board, task)
    stale = await board.editor.post(f"{task}/change/accept", json={"revision": "0" * 40})
    assert (stale.status_code, stale.json()["code"]) == (409, "revision_changed")
    assert stale.json()["change"]["files"][0]["path"] == "app.py"
    late = await board.editor.post(f"{task}/follow-up", json={"message": "x", "revision": "0" * 40})
    assert (late.status_code, late.json()["code"]) == (409, "revision_changed")
    assert late.json()["change"]["files"][0]["path"] == "app.py"
    # Somebody writes into the tree: what would be accepted is not what was seen.
    (agent.root / "tasks" / "1" / "late.txt").write_text("late\n")
    seen = (await change(board, task))["revision"]
    moved_on = await board.editor.post(f"{task}/change/accept", json={"revision": seen})
    assert (moved_on.status_code, moved_on.json()["code"]) == (409, "revision_changed")
    newer = await change(board, task)
    assert [each["path"] for each in newer["files"]] == ["app.py", "late.txt"]
    accepted = await board.editor.post(f"{task}/change/accept", json={"revision": newer["revision"]})
    assert accepted.status_code == 200


async def test_conflicts_change_nothing_and_are_named(board: Board, agent: Agent, hub: Hub) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    await run(board, task)
    other = await board.task()
    agent.work = writes(app__py="one\nII\nthree\n")
    await run(board, other)
    seen = (await change(board, other))["revision"]
    done = await board.editor.post(f"{other}/change/accept", json={"revision": seen})
    head = done.json()["commit"]
    revision = (await change(board, task))["revision"]
    refused = await board.editor.post(f"{task}/change/accept", json={"revision": revision})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflicts")
    assert refused.json()["change"]["conflicts"] == ["app.py"]
    assert committed(hub, "rev-parse", "main") == head
    assert await board.status(task) == "AI_REVIEW"
    assert refused.json()["change"]["base"]["behind"] == 1
    # Where the base moves on, that is asked again.
    back = {"path": "app.py", "overwrite": True}
    await board.editor.put(f"{board.path}/files/content", params=back, content="one\ntwo\nthree\n")
    found = await change(board, task)
    assert (found["conflicts"], found["base"]["behind"]) == ([], 2)
    accepted = await board.editor.post(f"{task}/change/accept", json={"revision": revision})
    assert accepted.status_code == 200, accepted.text


async def test_what_conflicts_is_known_before_somebody_accepts(
    board: Board, agent: Agent, hub: Hub, parts: Services
) -> None:
    first, second, third = [await board.task() for _ in range(3)]
    written = {
        first: {"app__py": "one\n2\nthree\n"},
        second: {"app__py": "one\nII\nthree\n"},
        third: {"new": ""},
    }
    for task, files in written.items():
        agent.work = writes(**files)
        await run(board, task)
    standings = Standings(parts.database, parts.workspaces, GitClient(parts.workspace_client))
    asked = {"revision": (await change(board, first))["revision"], "strategy": "merge"}
    accepted = await board.editor.post(f"{first}/change/accept", json=asked)
    assert accepted.status_code == 200, accepted.text
    await standings.look()
    assert await stands(board, second) == (["app.py"], 2)
    assert await stands(board, third) == ([], 2)
    assert (await board.viewer.get(second)).json()["change"]["conflicts"]
    # So that the agent can be asked at once.
    asked = {"revision": (await change(board, second))["revision"]}
    agent.work = writes(app__py="one\n2\nthree\n")
    solving = await board.editor.post(f"{second}/change/solve", json=asked)
    assert solving.status_code == 200, solving.text
    await board.session_is(second, "completed")
    # It has not brought the base in; what it wrote fits there all the same.
    assert await stands(board, second) == ([], 2)


async def test_how_a_change_stood_before_its_base_moved_again_is_not_noted(
    board: Board, agent: Agent, hub: Hub, parts: Services
) -> None:
    task = await board.task()
    agent.work = writes(app__py="one\n2\nthree\n")
    await run(board, task)

    async def saved(text: str) -> None:
        where = {"path": "app.py", "overwrite": True}
        answer = await board.editor.put(f"{board.path}/files/content", params=where, content=text)
        assert answer.is_success, answer.text

    class Slow(GitClient):
        async def standings(self, endpoint: Endpoint, asked: AskStandings) -> Found:
            found = await super().standings(endpoint, asked)
            if found.changes[0] == Standing(behind=1, conflicts=["app.py"]):
                await saved("one\ntwo\nthree\n")
            return found

    standings = Standings(parts.database, parts.workspaces, Slow(parts.workspace_client))
    await saved("one\nzwei\nthree\n")
    await standings.look()
    assert await stands(board, task) == ([], 2)
    await saved("one\nII\nthree\n")
    await standings.look()
    assert await stands(board, task) == (["app.py"], 3)


async def stands(board: Board, task: str) -> tuple[list[str], int]:
    found = await change(board, task)
    return found["conflicts"], found["base"]["behind"]


async def test_what_is_discarded_can_be_restored(board: Board, agent: Agent, hub: Hub) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    await run(board, task)
    found = await change(board, task)
    thrown = await board.editor.post(f"{task}/change/discard", json={"revision": found["revision"]})
    assert (thrown.status_code, thrown.json()["state"]) == (200, "discarded")
    assert await board.status(task) == "TODO"
    assert not (agent.root / "tasks" / "1").exists()
    back = await board.editor.post(f"{task}/change/restore")
    assert (back.status_code, back.json()["state"]) == (200, "open")
    assert (agent.root / "tasks" / "1" / "app.py").read_text() == "one\n2\nthree\n"
    told = (await board.viewer.get(f"{task}/activity")).json()["activity"]
    assert [each["kind"] for each in told] == ["restored", "discarded", "finished", "executed", "made"]
    assert [each["actor"]["name"] for each in told[:2]] == ["Editor", "Editor"]
    accepted = await board.editor.post(f"{task}/change/accept", json={"revision": found["revision"]})
    assert accepted.status_code == 200, accepted.text


async def test_a_card_that_changed_nothing_can_be_done(board: Board, agent: Agent, hub: Hub) -> None:
    task = await board.task()
    await run(board, task)
    found = await change(board, task)
    assert (found["state"], found["revision"]) == ("open", None)
    moved = await board.editor.post(f"{task}/move", json={"status": "DONE"})
    assert moved.status_code == 200
    await gone(agent.root / "tasks" / "1")


async def test_a_tree_that_the_agent_destroyed_is_no_loss(board: Board, agent: Agent, hub: Hub) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    await run(board, task)
    own_git(agent.root, "init", "-q", "elsewhere")
    tree = agent.root / "tasks" / "1"
    tree.rename(agent.root / "moved")
    tree.symlink_to(agent.root / "elsewhere")
    revision = (await change(board, task))["revision"]
    accepted = await board.editor.post(f"{task}/change/accept", json={"revision": revision})
    assert accepted.status_code == 200, accepted.text
    assert committed(hub, "show", "main:app.py") == "one\n2\nthree"


async def test_whoever_reads_a_long_text_of_a_workspace_that_sleeps_is_told_to_come_back(
    board: Board, agent: Agent, hub: Hub, runtime: SlowRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_PATIENCE", 0.2)
    task = await board.task()
    agent.work = writes(app__py="one\n2\nthree\n")
    await run(board, task)
    runtime.may_start.clear()
    assert (await board.owner.post(f"{board.path}/workspace/restart", json={})).status_code == 202
    kept = await board.viewer.get(f"{task}/change/file", params={"path": "app.py"})
    assert "+2" in kept.json()["patch"]
    whole = {"path": "app.py", "whole": True}
    waking = await board.viewer.get(f"{task}/change/file", params=whole)
    assert (waking.status_code, waking.json()["code"]) == (202, "workspace_starting")
    assert waking.headers["retry-after"] == "2"
    runtime.may_start.set()

    async def awake() -> bool:
        return (await board.viewer.get(board.path)).json()["workspace"]["status"] == "ready"

    await eventually(awake)


async def test_lines_with_comments_are_found_again_in_a_file_behind_more_than_is_kept(
    board: Board, agent: Agent, hub: Hub
) -> None:
    """Long random texts: what is kept of the first one leaves no room for the second."""
    long = "\n".join(urandom(500).hex() for _ in range(7000))
    late = [urandom(500).hex() for _ in range(1500)]
    task = await board.task()
    agent.work = writes(a__txt=long, z__txt="\n".join(late))
    await run(board, task)
    revision = (await change(board, task))["revision"]
    for line in (700, 701):
        where = {"revision": revision, "path": "z.txt", "line": line, "quote": late[line - 1]}
        comment = where | {"body": "Why?"}
        answer = await board.viewer.post(f"{task}/change/comments", json=comment)
        assert answer.status_code == 201, answer.text
    late[700] = "another"
    agent.work = writes(z__txt="\n".join(["a new first line", *late]))
    await follow(board, task, message="Go on", revision=revision)
    comments = (await board.viewer.get(f"{task}/change/comments")).json()["comments"]
    assert [(each["now_line"], each["outdated"]) for each in comments] == [(701, False), (None, True)]


async def test_seen_is_lost_when_the_file_changes(board: Board, agent: Agent, hub: Hub) -> None:
    agent.work = writes(app__py="one\n2\nthree\n", new__txt="new\n")
    task = await board.task()
    await run(board, task)
    for path in ("app.py", "new.txt"):
        done = await board.viewer.put(f"{task}/change/seen", json={"path": path})
        assert done.status_code == 204
    assert (await change(board, task))["seen"] == ["app.py", "new.txt"]
    assert (await board.editor.get(f"{task}/change")).json()["seen"] == []
    agent.work = writes(app__py="one\nzwei\nthree\n")
    await follow(board, task, message="Go on", revision=(await change(board, task))["revision"])
    assert (await change(board, task))["seen"] == ["new.txt"]


async def test_the_agent_solves_a_conflict_in_its_own_tree(board: Board, agent: Agent, hub: Hub) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    first, second = await board.task("A number"), await board.task("A roman number")
    await run(board, first)
    agent.work = writes(app__py="one\nII\nthree\n")
    await run(board, second)
    for task in (first, second):
        asked = {"revision": (await change(board, task))["revision"]}
        answer = await board.editor.post(f"{task}/change/accept", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflicts")

    def solve(tree: Path, start: StartSession) -> None:
        assert "git merge origin/main" in start.prompt
        own_git(tree, "commit", "-qam", "Mine")
        own_git(tree, "fetch", "-q", "origin")
        own_git(tree, "merge", "-q", "origin/main", status=1)
        (tree / "app.py").write_text("one\n2 (II)\nthree\n")
        own_git(tree, "commit", "-qam", "Both")

    agent.work = solve
    solving = await board.editor.post(f"{second}/change/solve", json=asked)
    assert solving.status_code == 200, solving.text
    session = await board.session_is(second, "completed")
    assert session["kind"] == "solve"
    found = await change(board, second)
    assert (found["base"]["behind"], found["conflicts"]) == (0, [])
    file = await board.viewer.get(f"{second}/change/file", params={"path": "app.py"})
    assert "-2\n+2 (II)\n" in file.json()["patch"]
    accepted = await board.editor.post(f"{second}/change/accept", json={"revision": found["revision"]})
    assert accepted.status_code == 200, accepted.text
    assert committed(hub, "log", "--format=%s", "main").splitlines()[:2] == ["A roman number", "A number"]
    assert committed(hub, "show", "main:app.py") == "one\n2 (II)\nthree"


async def test_a_save_on_the_base_is_a_commit_by_that_person(board: Board, hub: Hub) -> None:
    content = f"{board.path}/files/content"
    saved = await board.editor.put(content, params={"path": "notes.md", "overwrite": True}, content="x\n")
    assert saved.status_code == 201, saved.text
    assert committed(hub, "log", "-1", "--format=%an <%ae>|%s", "main") == (
        "Editor <editor@example.org>|Add notes.md"
    )
    await board.editor.post(f"{board.path}/files/move", json={"path": "notes.md", "to": "docs.md"})
    await board.editor.delete(f"{board.path}/files", params={"path": "app.py"})
    assert committed(hub, "ls-tree", "--name-only", "main").splitlines() == ["README.md", "docs.md"]
    listed = (await board.viewer.get(f"{board.path}/files")).json()
    assert [entry["name"] for entry in listed["entries"]] == ["docs.md", "README.md"]


async def test_files_of_a_card_are_its_trees(board: Board, agent: Agent, hub: Hub) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    await run(board, task)
    where = {"path": "app.py"}
    base = await board.viewer.get(f"{board.path}/files/content", params=where)
    tree = await board.viewer.get(f"{board.path}/files/content", params=where | {"task": 1})
    assert (base.json()["content"], tree.json()["content"]) == ("one\ntwo\nthree\n", "one\n2\nthree\n")
    none = await board.viewer.get(f"{board.path}/files", params={"task": 7})
    assert (none.status_code, none.json()["code"]) == (404, "no_tree")


async def test_the_tree_of_a_deleted_card_goes_once_it_cannot_be_restored(
    board: Board, agent: Agent, hub: Hub, parts: Services
) -> None:
    agent.work = writes(app__py="one\n2\nthree\n")
    task, other = await board.task(), await board.task()
    await run(board, task)
    await run(board, other)
    assert (await board.editor.delete(task)).status_code == 204
    upkeep = Upkeep(parts.database, parts.workspaces, GitClient(parts.workspace_client), parts.agent)
    await upkeep.look()
    assert {path.name for path in (agent.root / "tasks").iterdir()} == {"1", "2"}
    async with parts.database.transaction() as db:
        deleted = col(Task.deleted_at).is_not(None)
        await db.execute(update(Task).where(deleted).values(deleted_at=now() - 2 * KEPT_FOR))
    assert await purge(parts.database) == 1
    upkeep = Upkeep(parts.database, parts.workspaces, GitClient(parts.workspace_client), parts.agent)
    await upkeep.look()
    assert [path.name for path in (agent.root / "tasks").iterdir()] == ["2"]


async def test_what_is_accepted_is_pushed_and_what_is_new_is_fetched(
    board: Board, agent: Agent, hub: Hub, tmp_path: Path
) -> None:
    remote = tmp_path / "remote.git"
    own_git(tmp_path, "clone", "-q", "--bare", str(hub.path), str(remote))
    settings = {"repo_url": f"file://{remote}", "branch": "main", "delivery": "push"}
    assert (await board.admin.patch(board.path, json=settings)).status_code == 200
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    await run(board, task)
    asked = {"revision": (await change(board, task))["revision"]}
    remote.chmod(0o755)
    (remote / "hooks" / "pre-receive").write_text("#!/bin/sh\necho Not today.\nexit 1\n")
    (remote / "hooks" / "pre-receive").chmod(0o755)
    accepted = await board.editor.post(f"{task}/change/accept", json=asked)
    assert (accepted.status_code, accepted.json()["state"]) == (200, "accepted")

    async def delivery(state: str) -> bool:
        found = (await change(board, task))["delivery"]
        return found is not None and found["state"] == state

    await eventually(lambda: delivery("failed"))
    assert "Not today." in (await change(board, task))["delivery"]["error"]
    (remote / "hooks" / "pre-receive").unlink()
    again = await board.editor.post(f"{task}/change/deliver")
    assert again.status_code == 200, again.text
    await eventually(lambda: delivery("pushed"))
    assert own_git(remote, "rev-parse", "main") == committed(hub, "rev-parse", "main")

    # Somebody else pushes there: the next card begins with it.
    own_git(tmp_path, "clone", "-q", str(remote), str(tmp_path / "theirs"))
    (tmp_path / "theirs" / "new.txt").write_text("theirs\n")
    own_git(tmp_path / "theirs", "add", "new.txt")
    own_git(tmp_path / "theirs", "commit", "-qm", "Theirs")
    own_git(tmp_path / "theirs", "push", "-q", "origin", "main")
    agent.work = lambda tree, start: Script() if (tree / "new.txt").exists() else Script.failing("missing")
    await run(board, await board.task())
    project = (await board.viewer.get(board.path)).json()
    assert (project["remote"]["outcome"], project["remote"]["behind"]) == ("forwarded", 0)
