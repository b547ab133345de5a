"""A server that is killed while it delivers a pull request: what it had done is found again, and done once.

The server and all of its workspace are real, git's own server and the host's API beside it are played
(tests/hosts.py). The host holds its answer, so the server dies at that very point.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.e2e.installation import PASSWORD, Api, Installation, installed
from tests.hosts import TOKEN, Answer, PlayedHost, played_host
from tests.waiting import eventually
from tests.workspace_services.git.rooms import own_git

BRANCH = "vibe/1-make-two-a-number"
RUN = 60.0


@dataclass
class Held:
    """A host that stops at one call: `before` it does anything, or once it has done it."""

    host: PlayedHost
    method: str
    before: bool
    came: Event = field(default_factory=Event)
    go_on: Event = field(default_factory=Event)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer as the host does, and keep the answer back."""
        if method != self.method or self.came.is_set():
            return self.host.answer(method, path, headers, body)
        found = None if self.before else self.host.answer(method, path, headers, body)
        self.came.set()
        # Let go when whoever asked is dead: nobody hears it.
        assert self.go_on.wait(60)
        return found or self.host.answer(method, path, headers, body)


@dataclass
class Delivering:
    """A project that delivers by request, with a card whose change can be accepted."""

    server: Installation
    api: Api
    path: str
    task: str

    async def card(self) -> dict[str, Any]:
        """The card as it is now."""
        return await self.api("GET", f"{self.path}/tasks/{self.task}")

    async def change(self) -> dict[str, Any]:
        """Its change."""
        return await self.api("GET", f"{self.path}/tasks/{self.task}/change")

    async def accept(self) -> None:
        """Accept it; whoever asked may never hear."""
        asked = {"revision": (await self.change())["revision"]}
        try:
            await self.api("POST", f"{self.path}/tasks/{self.task}/change/accept", json=asked)
        except httpx.TransportError:
            return


@pytest.fixture
def host(kind: str, tmp_path: Path, certificate: tuple[Path, Path]) -> Any:
    """A host with a repository of one file."""
    source = tmp_path / "source"
    source.mkdir()
    own_git(source, "init", "--quiet", "--initial-branch=main")
    (source / "app.py").write_text("one\ntwo\nthree\n")
    own_git(source, "add", "app.py")
    own_git(source, "commit", "--quiet", "--message=Count")
    with played_host(kind, tmp_path / "served", source, certificate) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def delivering(
    host: PlayedHost, tmp_path: Path, migrated: Path, certificate: tuple[Path, Path]
) -> AsyncIterator[Delivering]:
    """A server of its own whose agent has changed the file."""
    data = tmp_path / "data"
    data.mkdir()
    settings = {
        "SSL_CERT_FILE": str(certificate[0]),
        "GIT_SSL_CAINFO": "",
        "VIBE_REPOSITORY_NETWORKS": "127.0.0.0/8",
    }
    async with installed(data, migrated, settings) as server:
        anyone = Api(server.url)
        login = {"email": "ada@example.org", "password": PASSWORD}
        await anyone("POST", "/auth/setup", json=login | {"name": "Ada", "setup_token": server.setup_token})
        api = Api(server.url, (await anyone("POST", "/auth/login", json=login))["access_token"])
        values = {
            "name": "Numbers",
            "repo_url": host.url,
            "branch": "main",
            "repo_credential": {"username": "git", "token": TOKEN},
        }
        project = await api("POST", "/projects", json=values)
        path = f"/projects/{project['id']}"
        await api("PATCH", path, json={"delivery": "request", "delivery_host": host.kind})
        card = {
            "title": "Make two a number",
            "description": "rehearse: run sed -i s/two/2/ app.py",
        }
        task = (await api("POST", f"{path}/tasks", json=card))["id"]
        found = Delivering(server, api, path, task)
        await api("POST", f"{path}/tasks/{task}/execute")

        async def reviewed() -> bool:
            return (await found.card())["status"] == "AI_REVIEW"

        await eventually(reviewed, seconds=RUN)
        yield found
        await anyone.close()
        await api.close()


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("kind", "method", "before", "requests"),
    [("gitea", "GET", True, 0), ("github", "POST", False, 1)],
    ids=["branch pushed, no request", "request opened, row silent"],
)
async def test_a_killed_delivery_comes_to_one_branch_and_one_request(
    host: PlayedHost, delivering: Delivering, method: str, before: bool, requests: int
) -> None:
    held = Held(host, method, before)
    host.server.api = held.answer
    accepting = asyncio.ensure_future(delivering.accept())
    try:
        await eventually(held.came.is_set, seconds=RUN)
        assert set(host.branches()) == {"main", BRANCH}
        assert len(host.pulls) == requests
        delivering.server.kill()
    finally:
        held.go_on.set()
    await accepting
    await delivering.server.start()

    async def opened() -> bool:
        return (await delivering.card())["change"]["request"] is not None

    await eventually(opened, seconds=RUN)
    assert (await delivering.card())["status"] == "DONE"
    delivery = (await delivering.change())["delivery"]
    assert (delivery["state"], delivery["branch"]) == ("opened", BRANCH)
    assert delivery["request"] == (await delivering.card())["change"]["request"]
    assert (delivery["request"]["number"], delivery["request"]["state"]) == (1, "open")
    assert host.branches() == {"main": host.branches()["main"], BRANCH: delivery["commit"]}
    assert [(pull.number, pull.head) for pull in host.pulls] == [(1, BRANCH)]
    assert host.posted() == 1
