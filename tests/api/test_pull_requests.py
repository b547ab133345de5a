"""Delivery by pull request, through the API: git's own server over TLS, a host beside it that is played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from tests.api import changing
from tests.api.changing import Agent, change, committed, run, writes
from tests.api.conftest import Board
from tests.api.test_forgetting import pass_by
from tests.conftest import settings_for
from tests.fakes import FakeRuntime
from tests.hosts import KINDS, TOKEN, PlayedHost, played_host, said
from tests.scripted import ScriptedSidecar
from tests.waiting import eventually
from tests.workspace_services.git.rooms import own_git, put_on_base, sound
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.board.tasks.models import Task
from vibe_app.board.tasks.shelving import KEPT_FOR
from vibe_app.changes import decisions
from vibe_app.changes.decisions import Decisions
from vibe_app.changes.forgetting import SETTLED, Forgetting
from vibe_app.clients.git import GitClient
from vibe_app.clients.hosts import api
from vibe_app.settings import Settings
from vibe_app.wire import StartSession, now
from vibe_app.wiring import Services
from vibe_app.workspace_services.git.hub import Hub

BRANCH = "vibe/1-make-two-a-number"
hub = changing.hub


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    usual = settings_for(tmp_path, database_url)
    return usual.model_copy(update={"repository_networks": "127.0.0.0/8"})


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path / "workspace")


@pytest.fixture
def runtime(agent: Agent) -> FakeRuntime:
    runtime = FakeRuntime(lambda project_id: ScriptedSidecar(agent))
    runtime.trees = True
    return runtime


@pytest.fixture
def kind() -> str:
    """Which host; where it matters, each: `KINDS`."""
    return "gitea"


@pytest.fixture
async def host(
    kind: str,
    hub: Hub,
    board: Board,
    tmp_path: Path,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[PlayedHost]:
    """A host that has the project's repository; the project delivers by request."""
    monkeypatch.setenv("GIT_SSL_CAINFO", str(certificate[0]))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    api._trusted.cache_clear()
    with played_host(kind, tmp_path / "served", hub.path, certificate) as found:
        values = {
            "repo_url": found.url,
            "branch": "main",
            "repo_credential": {"username": "git", "token": TOKEN},
            "delivery": "request",
            "delivery_host": kind,
        }
        answer = await board.owner.patch(board.path, json=values)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["delivery"], answer.json()["delivery_host"]) == ("request", kind)
        yield found
    api._trusted.cache_clear()


async def ready(board: Board, agent: Agent, title: str = "Make two a number", text: str = "2") -> str:
    """A card whose agent has changed something; returns its path."""
    agent.work = writes(app__py=f"one\n{text}\nthree\n")
    task = await board.task(title)
    await run(board, task)
    return task


async def accept(board: Board, task: str, **more: Any) -> dict[str, Any]:
    asked = {"revision": (await change(board, task))["revision"], **more}
    answer = await board.editor.post(f"{task}/change/accept", json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "accepted"
    return answer.json()


async def delivered(board: Board, task: str, state: str = "opened") -> dict[str, Any]:
    """Return how a card's delivery stands, once it stands so and nothing is left to be done."""
    found: dict[str, Any] = {}

    async def stands() -> bool:
        found.update((await change(board, task))["delivery"] or {})
        return found.get("state") == state

    await eventually(stands)
    return found


async def is_request(board: Board, task: str, state: str) -> None:
    """Return once a card says that its request is so."""

    async def stands() -> bool:
        card = (await board.viewer.get(task)).json()["change"]
        return card["request"] is not None and card["request"]["state"] == state

    await eventually(stands)


def kept_commits(hub: Hub) -> list[str]:
    """The accepted commits that the hub keeps for their delivery."""
    return committed(hub, "for-each-ref", "--format=%(objectname)", "refs/vibe-accepted/").split()


async def look_now(parts: Services) -> None:
    """Have every open request looked up at once, as if time had passed."""

    async def is_quiet() -> bool:
        async with parts.database.read() as db:
            return not await db.scalar(select(func.count()).where(col(Change.intent).is_not(None)))

    await eventually(is_quiet)
    async with parts.database.transaction() as db:
        long_ago = now() - timedelta(hours=1)
        await db.execute(update(Change).where(col(Change.asks_at).is_not(None)).values(updated_at=long_ago))
        await change_queries.ask_now(db)


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


FAULTS = [
    (lambda method, path: said(401, {"message": "401 Unauthorized"}), "host_unauthorized"),
    (lambda method, path: said(403, {"message": f"Not with {TOKEN}"}), "host_forbidden"),
    (lambda method, path: said(404, {"message": "Not Found"}), "host_not_found"),
    (lambda method, path: said(302, {}, Location="https://127.0.0.1:9/"), "host_redirects"),
    (lambda method, path: said(429, {}, **{"Retry-After": "60"}), "too_many_requests"),
    (lambda method, path: said(423, {"message": "The repository is archived"}), "host_refused"),
    (lambda method, path: (200, {}, b"<html>"), "host_strange"),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS, ids=[code for _, code in FAULTS])
async def test_the_accept_stands_whatever_its_delivery_comes_to(
    board: Board,
    agent: Agent,
    hub: Hub,
    host: PlayedHost,
    fault: Any,
    code: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    task = await ready(board, agent)
    host.fault = fault
    await accept(board, task)
    failed = await delivered(board, task, "failed")
    assert failed["code"] == code
    assert failed["error"].startswith(
        f"Its branch {BRANCH} is at the repository, but it has no open request."
    )
    assert TOKEN not in failed["error"] + caplog.text
    assert await board.status(task) == "DONE"
    host.fault = lambda method, path: None
    assert (await board.editor.post(f"{task}/change/deliver")).status_code == 200
    await delivered(board, task)
    assert [pull.head for pull in host.pulls] == [BRANCH]
    assert set(host.branches()) == {"main", BRANCH}


async def test_it_is_delivered_again_though_the_last_time_is_still_tidied_away(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    tidy, free = Decisions._tidy, asyncio.Event()

    async def held(self: Decisions, change: Change, task: Task) -> None:
        await free.wait()
        await tidy(self, change, task)

    task = await ready(board, agent)
    monkeypatch.setattr(Decisions, "_tidy", held)
    monkeypatch.setattr(decisions, "LOOK", 3600.0)
    host.fault = lambda method, path: said(423, {"message": "The repository is archived"})
    accepted = asyncio.create_task(accept(board, task))
    await delivered(board, task, "failed")
    host.fault = lambda method, path: None
    again = asyncio.create_task(board.editor.post(f"{task}/change/deliver"))
    await delivered(board, task, "waiting")
    free.set()
    assert (await again).status_code == 200
    await delivered(board, task)
    await accepted


async def test_a_push_that_is_refused_is_told_and_tried_again(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost
) -> None:
    task = await ready(board, agent)
    credential = {"username": "git", "token": "another-token"}
    await board.owner.patch(board.path, json={"repo_credential": credential})
    await accept(board, task)
    failed = await delivered(board, task, "failed")
    assert "does not take the token" in failed["error"]
    assert "another-token" not in failed["error"]
    assert host.asked == []
    credential["token"] = TOKEN
    await board.owner.patch(board.path, json={"repo_credential": credential})
    await board.editor.post(f"{task}/change/deliver")
    await delivered(board, task)


async def test_a_host_that_hangs_is_given_up(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await ready(board, agent)
    over = Event()
    monkeypatch.setattr(api, "LONGEST", 0.5)
    host.fault = lambda method, path: over.wait(30) and None
    await accept(board, task)
    try:
        assert (await delivered(board, task, "failed"))["code"] == "host_slow"
    finally:
        over.set()


@pytest.mark.parametrize("at", ["the push", "the request"])
async def test_a_delivery_that_was_broken_off_is_finished_and_nothing_is_done_twice(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, parts: Services, at: str
) -> None:
    task = await ready(board, agent)
    stopped: list[str] = []

    def die(method: str, path: str) -> Any:
        """Stand for a death: what was done is done, and the row knows nothing of it."""
        if at == "the push" or method == "POST":
            stopped.append(method)
        return said(500, {}) if at == "the push" else None

    host.fault = die
    accepted = await accept(board, task)
    await delivered(board, task, "failed" if at == "the push" else "opened")
    assert stopped
    host.fault = lambda method, path: None
    async with parts.database.transaction() as db:
        kept = {"mode": "request", "state": "waiting", "branch": BRANCH, "commit": accepted["commit"]}
        await change_queries.write(
            db,
            UUID(accepted["id"]),
            delivery=kept,
            asks_at=None,
            intent="deliver",
        )
        db.announce(change_queries.CHANGES)
    delivery = await delivered(board, task)
    assert (delivery["branch"], delivery["request"]["number"]) == (BRANCH, 1)
    assert set(host.branches()) == {"main", BRANCH}
    assert len(host.pulls) == 1


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


async def test_a_host_on_a_private_network_is_not_asked(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, parts: Services
) -> None:
    task = await ready(board, agent)
    parts.requests._remotes._networks = ""
    await accept(board, task)
    assert (await delivered(board, task, "failed"))["code"] == "private_address"
    assert host.asked == []


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


async def test_a_look_that_fails_is_said_and_the_request_stays(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, parts: Services
) -> None:
    task = await ready(board, agent)
    await accept(board, task)
    await delivered(board, task)
    host.fault = lambda method, path: said(403, {"message": f"Not with {TOKEN}"})
    await look_now(parts)

    async def is_told() -> bool:
        return (await change(board, task))["delivery"]["code"] == "host_forbidden"

    await eventually(is_told)
    delivery = (await change(board, task))["delivery"]
    assert (delivery["state"], delivery["request"]["state"]) == ("opened", "open")
    assert TOKEN not in delivery["error"]
    host.fault = lambda method, path: None
    host.pulls[0].state = "closed"
    await look_now(parts)
    await is_request(board, task, "closed")
    assert (await change(board, task))["delivery"]["error"] is None


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


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Whom one test trusts, another does not."""
    yield
    api._trusted.cache_clear()
