"""A base branch and its remote that go different ways, and come together again: real git on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api import changing
from tests.api.changing import Agent, change, committed, run, writes
from tests.api.conftest import Board
from tests.scripted import Script
from tests.waiting import eventually
from tests.workspace_services.git.git_server import GitServer, git_server
from tests.workspace_services.git.rooms import own_git, put_on_base, sound
from vibe_app.settings import Settings
from vibe_app.wire import StartSession
from vibe_app.workspace_services.git.hub import Hub

agent, runtime, hub = changing.agent, changing.runtime, changing.hub
LOOPBACK = "127.0.0.0/8"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"repository_networks": LOOPBACK})


@pytest.fixture
def server(hub: Hub, tmp_path: Path) -> Iterator[GitServer]:
    """`team.git` as the workspace has it, and its working copy `theirs`."""
    served = tmp_path / "served"
    served.mkdir()
    own_git(served, "clone", "--quiet", "--bare", str(hub.path), "team.git")
    own_git(tmp_path, "clone", "--quiet", str(served / "team.git"), "theirs")
    with git_server(served, "me:a-token-that-is-long") as running:
        yield running


def publish(server: GitServer, **files: str) -> str:
    """Somebody else commits and pushes; return the commit."""
    theirs = server.root.parent / "theirs"
    for name, text in files.items():
        (theirs / name.replace("__", ".")).write_text(text)
    own_git(theirs, "add", ".")
    own_git(theirs, "commit", "--quiet", "--message=Theirs")
    own_git(theirs, "push", "--quiet", "origin", "HEAD:main")
    return own_git(theirs, "rev-parse", "HEAD")


async def connect(board: Board, server: GitServer, **more: Any) -> None:
    credential = {"username": "me", "token": "a-token-that-is-long"}
    settings = {"repo_url": server.url("team.git"), "branch": "main", "repo_credential": credential, **more}
    answer = await board.owner.patch(board.path, json=settings)
    assert answer.status_code == 200, answer.text


async def fetch(board: Board) -> dict[str, Any]:
    answer = await board.editor.post(f"{board.path}/remote/fetch")
    assert answer.status_code == 200, answer.text
    return answer.json()["remote"]


def merges(*strategy: str, **solved: str) -> changing.Work:
    """An agent that does what the card says; it solves each file with a text."""

    def work(tree: Path, start: StartSession) -> Script | None:
        for line in start.prompt.splitlines():
            _, mark, rest = line.partition("`git ")
            if mark:
                words = rest.partition("`")[0].split()
                own_git(tree, *words, *(strategy if words[0] == "merge" else ()), status=None)
        for name, text in solved.items():
            (tree / name.replace("__", ".")).write_text(text)
        own_git(tree, "add", "--all")
        own_git(tree, "commit", "--quiet", "--message=Brought together", status=None)
        return None

    return work


async def test_what_is_new_there_is_fetched_when_somebody_asks(
    board: Board, agent: Agent, hub: Hub, server: GitServer
) -> None:
    refused = await board.editor.post(f"{board.path}/remote/fetch")
    assert (refused.status_code, refused.json()["code"]) == (400, "no_repository")
    await connect(board, server)
    assert (await fetch(board))["outcome"] == "same"
    agent.work = writes(other="x\n")
    task = await board.task()
    await run(board, task)
    newer = publish(server, a="a", b="b")
    told = await fetch(board)
    assert (told["outcome"], told["ahead"], told["behind"], told["branch"]) == ("forwarded", 0, 0, "main")
    assert committed(hub, "rev-parse", "main") == newer
    # The card says so.
    assert (await board.viewer.get(task)).json()["change"]["behind"] == 1
    server.password = "another:one"
    told = await fetch(board)
    assert told["outcome"] == "unreachable"
    assert "does not take the token" in told["why"]
    for nobody in (board.viewer, board.stranger):
        assert (await nobody.post(f"{board.path}/remote/fetch")).status_code == 403
    # What was known told of another repository.
    await connect(board, server, repo_url=server.url("other.git"))
    assert (await board.viewer.get(board.path)).json()["remote"] is None


@pytest.mark.parametrize("strategy", ["squash", "merge"])
async def test_what_has_parted_is_brought_together_by_a_card(
    board: Board, agent: Agent, hub: Hub, server: GitServer, strategy: str
) -> None:
    await connect(board, server, delivery="push")
    refused = await board.editor.post(f"{board.path}/remote/join")
    assert (refused.status_code, refused.json()["code"]) == (400, "not_diverged")
    ours = await put_on_base(hub, {"app.py": "eins\ntwo\nthree\n"})
    publish(server, app__py="uno\ntwo\nthree\n")
    theirs = publish(server, app__py="uno\ntwo\n3\n", new="theirs\n")
    told = await fetch(board)
    assert (told["outcome"], told["ahead"], told["behind"]) == ("diverged", 1, 2)
    made = await board.editor.post(f"{board.path}/remote/join")
    assert made.status_code == 200, made.text
    card = made.json()
    assert (card["title"], card["status"]) == ("Bring main together with its remote", "TODO")
    # Asked again it is the same one, and the board knows it.
    assert (await board.editor.post(f"{board.path}/remote/join")).json()["id"] == card["id"]
    assert (await board.viewer.get(board.path)).json()["joining_task_id"] == card["id"]
    assert (await board.viewer.post(f"{board.path}/remote/join")).status_code == 403
    task = f"{board.path}/tasks/{card['id']}"
    agent.work = merges(app__py="eins uno\ntwo\n3\n")
    await run(board, task)
    found = await change(board, task)
    assert found["brings"] == 2
    assert {file["path"] for file in found["files"]} == {"app.py", "new"}
    asked = {"revision": found["revision"], "strategy": strategy}
    accepted = await board.editor.post(f"{task}/change/accept", json=asked)
    assert (accepted.status_code, accepted.json()["state"]) == (200, "accepted"), accepted.text

    async def pushed() -> bool:
        delivery = (await change(board, task))["delivery"]
        return delivery is not None and delivery["state"] == "pushed"

    await eventually(pushed)
    head = committed(hub, "rev-parse", "main")
    assert own_git(server.root / "team.git", "rev-parse", "main") == head
    for commit in (ours, theirs):
        own_git(hub.path, "merge-base", "--is-ancestor", commit, head)
    assert committed(hub, "show", "main:app.py") == "eins uno\ntwo\n3"
    assert committed(hub, "show", "-s", "--format=%an", "main") == "Editor"
    project = (await board.viewer.get(board.path)).json()
    assert (project["remote"]["outcome"], project["remote"]["behind"]) == ("same", 0)
    assert project["joining_task_id"] is None
    assert (await fetch(board))["outcome"] == "same"
    await sound(hub)


async def test_a_merge_that_is_not_committed_counts_and_one_that_changes_nothing_too(
    board: Board, agent: Agent, hub: Hub, server: GitServer
) -> None:
    await connect(board, server)
    await put_on_base(hub, {"app.py": "eins\n"})
    theirs = publish(server, app__py="uno\n")
    await fetch(board)
    task = f"{board.path}/tasks/{(await board.editor.post(f'{board.path}/remote/join')).json()['id']}"
    # Ours is kept as it is, and the agent stops before the merge's commit.
    agent.work = merges("--no-commit", "--strategy=ours")
    await run(board, task)
    found = await change(board, task)
    assert (found["brings"], found["files"]) == (1, [])
    accepted = await board.editor.post(f"{task}/change/accept", json={"revision": found["revision"]})
    assert accepted.status_code == 200, accepted.text
    own_git(hub.path, "merge-base", "--is-ancestor", theirs, "main")
    assert committed(hub, "show", "main:app.py") == "eins"


async def test_commits_that_a_remote_does_not_have_join_no_history(
    board: Board, agent: Agent, hub: Hub, server: GitServer
) -> None:
    """Of an agent's own commits, and of branches beside the remote's, nothing but the files is taken."""
    await connect(board, server)
    await put_on_base(hub, {"app.py": "eins\n"})
    publish(server, app__py="uno\n")
    await fetch(board)

    def work(tree: Path, start: StartSession) -> None:
        own_git(tree, "commit", "--quiet", "--allow-empty", "--message=Mine")
        own_git(tree, "checkout", "--quiet", "--orphan", "nowhere")
        (tree / "mine").write_text("x")
        own_git(tree, "add", "--all")
        own_git(tree, "commit", "--quiet", "--message=Root")

    agent.work = work
    task = await board.task()
    await run(board, task)
    found = await change(board, task)
    assert (found["brings"], len(found["files"])) == (0, 1)
    before = committed(hub, "rev-parse", "main")
    accepted = await board.editor.post(f"{task}/change/accept", json={"revision": found["revision"]})
    assert accepted.status_code == 200, accepted.text
    assert committed(hub, "show", "-s", "--format=%P", "main") == before
    assert (await fetch(board))["outcome"] == "diverged"


async def test_a_card_that_is_done_or_deleted_is_not_the_one_any_more(
    board: Board, hub: Hub, server: GitServer
) -> None:
    await connect(board, server)
    await put_on_base(hub, {"app.py": "eins\n"})
    publish(server, app__py="uno\n")
    await fetch(board)
    made = [(await board.editor.post(f"{board.path}/remote/join")).json()["id"]]
    await board.editor.delete(f"{board.path}/tasks/{made[0]}")
    assert (await board.viewer.get(board.path)).json()["joining_task_id"] is None
    made.append((await board.editor.post(f"{board.path}/remote/join")).json()["id"])
    await board.editor.post(f"{board.path}/tasks/{made[1]}/move", json={"status": "DONE"})
    assert (await board.viewer.get(board.path)).json()["joining_task_id"] is None
    made.append((await board.editor.post(f"{board.path}/remote/join")).json()["id"])
    assert len(set(made)) == 3
