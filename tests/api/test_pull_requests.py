"""Delivery by pull request, through the API: git's own server over TLS, a host beside it that is played."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.api import changing, delivering
from tests.api.changing import Agent, change, committed, run
from tests.api.conftest import Board
from tests.api.delivering import BRANCH, accept, delivered, is_request, kept_commits, look_now, ready
from tests.api.test_forgetting import pass_by
from tests.hosts import KINDS, PlayedHost
from tests.waiting import eventually
from tests.workspace_services.git.rooms import own_git, put_on_base, sound
from vibe_app.board.changes.models import Change
from vibe_app.board.tasks.shelving import KEPT_FOR
from vibe_app.changes.forgetting import SETTLED, Forgetting
from vibe_app.clients.git import GitClient
from vibe_app.wire import StartSession, now
from vibe_app.wiring import Services
from vibe_app.workspace_services.git.hub import Hub

hub = changing.hub
settings = delivering.settings
agent = delivering.agent
runtime = delivering.runtime
kind = delivering.kind
host = delivering.host
forgotten = delivering.forgotten


@pytest.mark.parametrize("kind", KINDS)
async def test_accept_opens_a_request_and_the_base_follows_its_merge(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, parts: Services
) -> None:
    before = committed(hub, "rev-parse", "main")
    task = await ready(board, agent)
    assert (await change(board, task))["by_request"]
    accepted = await accept(board, task, message="Make it a number\n\nWords are not numbers.")
    assert await board.status(task) == "DONE"
    delivery = await delivered(board, task)
    assert (delivery["branch"], delivery["commit"]) == (BRANCH, accepted["commit"])
    request = delivery["request"]
    assert (request["number"], request["state"]) == (1, "open")
    assert request["url"].startswith("https://127.0.0.1:")
    assert (host.pulls[0].title, host.pulls[0].body) == ("Make it a number", "Words are not numbers.")
    # The base has not moved, and what was pushed is one commit of the person's on it.
    assert committed(hub, "rev-parse", "main") == before == host.branches()["main"]
    assert host.branches()[BRANCH] == accepted["commit"]
    told = own_git(
        host.repository, "log", "-1", "--format=%an|%s|%P|%(trailers:key=Vibe-Task,valueonly)", BRANCH
    )
    assert told == f"Editor|Make it a number|{before}|1"
    card = (await board.viewer.get(task)).json()
    assert card["change"]["request"] == request
    await eventually(lambda: not (agent.root / "tasks" / "1").exists())

    host.merge(1)
    await look_now(parts)
    await is_request(board, task, "merged")
    await eventually(lambda: committed(hub, "rev-parse", "main") == host.branches()["main"])
    await eventually(lambda: (agent.root / "base" / "app.py").read_text() == "one\n2\nthree\n")
    assert host.posted() == 1
    # What was kept for the delivery is not needed any more, and delivering again does nothing.
    await eventually(lambda: kept_commits(hub) == [])
    own_git(host.repository, "branch", "-D", BRANCH)
    again = await board.editor.post(f"{task}/change/deliver")
    assert (again.status_code, again.json()["delivery"]["request"]["state"]) == (200, "merged")
    assert set(host.branches()) == {"main"}
    # It is decided about: nobody asks any more.
    asked = len(host.asked)
    await look_now(parts)
    other = await ready(board, agent, "Another", "II")
    await accept(board, other)
    await delivered(board, other)
    assert not any(line.endswith("/1") for line in host.asked[asked:])
    await sound(hub)


async def test_what_would_be_a_commit_of_the_base_is_not_saved_there(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost
) -> None:
    await ready(board, agent)
    files, before = f"{board.path}/files", committed(hub, "rev-parse", "main")
    for answer in (
        await board.editor.put(f"{files}/content", params={"path": "notes.md"}, content="x\n"),
        await board.editor.put(
            f"{files}/content", params={"path": "app.py", "overwrite": True}, content="x\n"
        ),
        await board.editor.post(f"{files}/folder", json={"path": "docs"}),
        await board.editor.post(f"{files}/move", json={"path": "app.py", "to": "main.py"}),
        await board.editor.delete(files, params={"path": "app.py"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "delivers_by_request")
        assert "Make the change in a card's files" in answer.json()["error"]
    assert committed(hub, "rev-parse", "main") == before
    assert sorted(path.name for path in (agent.root / "base").iterdir()) == ["README.md", "app.py"]
    # A card's files are its own.
    where = {"path": "notes.md", "task": 1}
    assert (await board.editor.put(f"{files}/content", params=where, content="x\n")).status_code == 201
    assert (await board.owner.patch(board.path, json={"delivery": None})).json()["delivery"] == "none"
    saved = await board.editor.put(f"{files}/content", params={"path": "notes.md"}, content="x\n")
    assert saved.status_code == 201
    assert committed(hub, "log", "-1", "--format=%an %s", "main") == "Editor Add notes.md"


async def test_an_ignored_file_is_put_on_the_base_and_copied_into_a_card_s_files(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost
) -> None:
    await put_on_base(hub, {".gitignore": ".env\n.cache/\n"})
    files, before = f"{board.path}/files", committed(hub, "rev-parse", "main")
    copied = await board.owner.patch(board.path, json={"copied": [".env"]})
    assert copied.status_code == 200, copied.text
    where = {"path": ".env"}
    viewer = await board.viewer.put(f"{files}/content", params=where, content="KEY=0\n")
    assert viewer.status_code == 403
    put = await board.editor.put(f"{files}/content", params=where, content="KEY=1\n")
    assert put.status_code == 201, put.text
    version = {"If-Match": put.headers["ETag"]}
    again = await board.editor.put(f"{files}/content", params=where, content="KEY=2\n", headers=version)
    assert again.status_code == 200
    stale = await board.editor.put(f"{files}/content", params=where, content="KEY=3\n", headers=version)
    assert (stale.status_code, stale.json()["code"]) == (409, "changed_meanwhile")
    assert (await board.editor.post(f"{files}/folder", json={"path": ".cache"})).status_code == 201
    moved = {"path": ".cache", "to": "lib/.cache", "parents": True}
    assert (await board.editor.post(f"{files}/move", json=moved)).status_code == 200
    assert (await board.editor.delete(files, params={"path": "lib/.cache"})).status_code == 204
    listed = (await board.viewer.get(files, params={"git": True})).json()["entries"]
    assert {each["name"]: each["git"] for each in listed} == {
        "lib": "untracked",
        ".env": "ignored",
        ".gitignore": "tracked",
        "README.md": "tracked",
        "app.py": "tracked",
    }
    seen: list[str] = []

    def work(tree: Path, start: StartSession) -> None:
        seen.append((tree / ".env").read_text())
        (tree / "app.py").write_text("one\n2\nthree\n")

    agent.work = work
    task = await board.task("Make two a number")
    await run(board, task)
    assert seen == ["KEY=2\n"]
    await accept(board, task)
    delivery = await delivered(board, task)
    assert own_git(host.repository, "ls-tree", "--name-only", delivery["branch"]).split() == [
        ".gitignore",
        "README.md",
        "app.py",
    ]
    assert committed(hub, "rev-parse", "main") == before


async def test_what_moved_there_meanwhile_is_fetched_before_the_plan(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, tmp_path: Path
) -> None:
    task, other = await ready(board, agent), await ready(board, agent, "Another", "II")
    theirs = tmp_path / "theirs"
    own_git(tmp_path, "clone", "-q", str(host.repository), str(theirs))
    (theirs / "app.py").write_text("one\nzwei\nthree\n")
    own_git(theirs, "commit", "-qam", "Theirs")
    own_git(theirs, "push", "-q", "origin", "main")
    for each in (task, other):
        asked = {"revision": (await change(board, each))["revision"]}
        refused = await board.editor.post(f"{each}/change/accept", json=asked)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflicts")
        assert refused.json()["change"]["conflicts"] == ["app.py"]
    assert await board.status(task) == "AI_REVIEW"
    assert committed(hub, "rev-parse", "main") == host.branches()["main"]
    assert host.pulls == []


async def test_two_cards_are_accepted_at_once(board: Board, agent: Agent, hub: Hub, host: PlayedHost) -> None:
    # The same lines: each is a request of its own, and which of them fits is found out at the host.
    first, second = await ready(board, agent), await ready(board, agent, "Make two a number", "II")
    for task in (first, second):
        await accept(board, task)
    for task, branch in ((first, BRANCH), (second, "vibe/2-make-two-a-number")):
        assert (await delivered(board, task))["branch"] == branch
    assert sorted(pull.head for pull in host.pulls) == [BRANCH, "vibe/2-make-two-a-number"]
    again = await accept(board, first)
    assert again["delivery"]["request"]["state"] == "open"
    assert host.posted() == 2


async def test_a_request_that_was_closed_can_be_opened_anew(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, parts: Services
) -> None:
    task = await ready(board, agent)
    await accept(board, task)
    delivery = await delivered(board, task)
    host.pulls[0].state = "closed"
    own_git(host.repository, "branch", "-D", BRANCH)
    await look_now(parts)
    await is_request(board, task, "closed")
    assert await board.status(task) == "DONE"
    assert kept_commits(hub) == [delivery["commit"]]
    refused = await board.viewer.post(f"{task}/change/deliver")
    assert refused.status_code == 403
    again = await board.editor.post(f"{task}/change/deliver")
    assert again.status_code == 200, again.text
    await is_request(board, task, "open")
    delivery = await delivered(board, task)
    assert (delivery["request"]["number"], delivery["branch"]) == (2, BRANCH)
    assert host.branches()[BRANCH] == delivery["commit"]


async def test_what_is_kept_for_a_delivery_goes_with_its_card(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, parts: Services
) -> None:
    task, other = await ready(board, agent), await ready(board, agent, "Another", "II")
    stays = [(await accept(board, each))["commit"] for each in (task, other)][1]
    for each in (task, other):
        await delivered(board, each)
    await eventually(lambda: not list((agent.root / "tasks").iterdir()))
    assert (await board.editor.delete(task)).status_code == 204
    forgetting = Forgetting(parts.database, parts.workspaces, GitClient(parts.workspace_client))
    await pass_by(parts, KEPT_FOR + SETTLED)
    assert await forgetting.look() == 0, "the card alone is gone by now"
    await pass_by(parts, 2 * SETTLED)
    assert await forgetting.look() == 1
    assert kept_commits(hub) == [stays]


async def test_a_branch_of_somebody_else_is_left_alone(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost
) -> None:
    task = await ready(board, agent)
    own_git(host.repository, "branch", BRANCH, "main")
    theirs = host.branches()[BRANCH]
    await accept(board, task)
    assert (await delivered(board, task))["branch"] == f"{BRANCH}-2"
    assert host.branches()[BRANCH] == theirs


async def test_another_host_gets_the_branch(board: Board, agent: Agent, hub: Hub, host: PlayedHost) -> None:
    await board.owner.patch(board.path, json={"delivery_host": "auto"})
    task = await ready(board, agent)
    await accept(board, task)
    delivery = await delivered(board, task, "pushed_branch")
    assert (delivery["branch"], delivery["request"]) == (BRANCH, None)
    assert BRANCH in host.branches()
    assert host.asked == []
    # Once the kind of host is known, it can be delivered again.
    await board.owner.patch(board.path, json={"delivery_host": "gitea"})
    await board.editor.post(f"{task}/change/deliver")
    assert (await delivered(board, task))["request"]["number"] == 1


async def test_a_folder_gets_the_branch(board: Board, agent: Agent, hub: Hub, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    own_git(tmp_path, "clone", "-q", "--bare", str(hub.path), str(remote))
    values = {"repo_url": f"file://{remote}", "branch": "main", "delivery": "request"}
    assert (await board.admin.patch(board.path, json=values)).status_code == 200
    task = await ready(board, agent)
    accepted = await accept(board, task)
    await delivered(board, task, "pushed_branch")
    assert own_git(remote, "rev-parse", BRANCH) == accepted["commit"]


async def test_a_reader_has_it_looked_up_and_nobody_asks_too_often(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, parts: Services
) -> None:
    task = await ready(board, agent)
    await accept(board, task)
    await delivered(board, task)
    looks = len(host.asked)
    host.pulls[0].state = "closed"
    # It was looked up a moment ago.
    for _ in range(5):
        await change(board, task)
    assert len(host.asked) == looks
    async with parts.database.transaction() as db:
        long_ago = now() - timedelta(minutes=2)
        await db.execute(update(Change).values(updated_at=long_ago))
    await change(board, task)
    await is_request(board, task, "closed")
    assert len(host.asked) == looks + 1


async def test_delivery_by_request_needs_a_repository(board: Board) -> None:
    for body, code in (
        ({"delivery": "request"}, "no_repository"),
        ({"delivery": "sometimes"}, "invalid_delivery"),
        ({"delivery_host": "bitbucket"}, "invalid_host"),
    ):
        answer = await board.owner.patch(board.path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    values = {"repo_url": "https://github.com/team/app.git", "delivery": "request"}
    assert (await board.owner.patch(board.path, json=values)).json()["delivery_host"] == "auto"
    gone = await board.owner.patch(board.path, json={"repo_url": None})
    assert (gone.status_code, gone.json()["code"]) == (400, "no_repository")
    assert (await board.editor.patch(board.path, json={"delivery": "none"})).status_code == 403
