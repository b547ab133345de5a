"""A project whose repository is reached by ssh with a deploy key: from the key to what was accepted there.

It is told once, over REST, for wherever workspaces are: a real OpenSSH server, a real git, real OpenCode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.installation import Api
from tests.sshd import Sshd, sshd
from tests.waiting import eventually
from tests.workspace_services.git.rooms import own_git

LONG = 180.0
"""Seconds for a workspace's start and a run, on a machine that others use too."""


@contextmanager
def team_server(folder: Path, host: str = "127.0.0.1") -> Iterator[Sshd]:
    """A server with `team.git`, whose branch `main` has one file, and nobody is let in yet."""
    served, theirs = folder / "served", folder / "theirs"
    for path in (served, theirs):
        path.mkdir(parents=True)
    own_git(theirs, "init", "--quiet", "--initial-branch=main")
    (theirs / "a.txt").write_text("one\n")
    own_git(theirs, "add", ".")
    own_git(theirs, "commit", "--quiet", "--message=First")
    own_git(served, "clone", "--quiet", "--bare", str(theirs), "team.git")
    with sshd(served, host=host) as server:
        yield server


def theirs(server: Sshd, **files: str) -> str:
    """Commit there what somebody else did, `a__txt="…"` for `a.txt`; return the commit."""
    source = server.folder.parent / "theirs"
    own_git(source, "pull", "--quiet", "--rebase", str(server.folder / "team.git"), "main")
    for name, text in files.items():
        (source / name.replace("__", ".")).write_text(text)
    own_git(source, "add", ".")
    own_git(source, "commit", "--quiet", "--message=Theirs")
    own_git(source, "push", "--quiet", str(server.folder / "team.git"), "HEAD:main")
    return own_git(source, "rev-parse", "HEAD")


def there(server: Sshd, *words: str) -> str:
    """Ask `team.git`."""
    return own_git(server.folder / "team.git", *words)


async def told(api: Api, server: Sshd) -> str:
    """The whole story; return the project's id."""
    body = {"name": "Keyed", "repo_url": server.url("team.git"), "branch": "main"}
    project = (await api("POST", "/projects", json=body))["id"]
    path = f"/projects/{project}"
    await api("PATCH", path, json={"delivery": "push"})
    public = (await api("POST", f"{path}/deploy-key", json={}))["public_key"]
    server.let_in(public)
    shown = (await api("POST", f"{path}/deploy-key/scan"))["host_keys"]
    assert [each["key"] for each in shown] == server.host_keys()
    await api("POST", f"{path}/deploy-key", json={"host_keys": server.host_keys()})
    # The workspace is started for it, and clones.
    remote = (await api("POST", f"{path}/remote/fetch", timeout=LONG))["remote"]
    assert (remote["outcome"], remote["branch"]) == ("same", "main"), remote

    theirs(server, a__txt="one\ntwo\n")
    body = {"title": "Count on", "description": "rehearse: run echo three >>a.txt"}
    task = await api("POST", f"{path}/tasks", json=body)
    card = f"{path}/tasks/{task['id']}"
    await api("POST", f"{card}/execute")

    async def reviewed() -> bool:
        [session] = (await api("GET", f"{card}/sessions"))["sessions"]
        assert session["status"] in ("pending", "running", "completed"), session
        return session["status"] == "completed" and (await api("GET", card))["status"] == "AI_REVIEW"

    await eventually(reviewed, seconds=LONG)
    # What was new there was fetched before the tree was made.
    where = {"path": "a.txt", "task": task["number"]}
    content = await api("GET", f"{path}/files/content", params=where)
    assert content["content"] == "one\ntwo\nthree\n"
    await _accepted(api, card)
    assert there(server, "show", "main:a.txt") == "one\ntwo\nthree"
    assert there(server, "log", "--format=%an: %s", "main") == "Ada: Count on\nTest: Theirs\nTest: First"
    return project


async def _accepted(api: Api, card: str) -> None:
    change = await api("GET", f"{card}/change")
    accepted = await api("POST", f"{card}/change/accept", json={"revision": change["revision"]})
    assert accepted["state"] == "accepted", accepted
    await pushed(api, card)


async def pushed(api: Api, card: str) -> None:
    """Return once what was accepted is at the server."""

    async def delivered() -> bool:
        delivery = (await api("GET", f"{card}/change"))["delivery"]
        assert delivery is None or delivery["state"] != "failed", delivery
        return delivery is not None and delivery["state"] == "pushed"

    await eventually(delivered, seconds=60)
