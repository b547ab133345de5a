"""Cloning, fetching and pushing with git's own server, over TLS and with a password."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.workspace_services.git.git_server import GitServer, git_server
from tests.workspace_services.git.rooms import PERSON, checkpoint, ignore, own_git, put_on_base, sound, tree
from vibe_app.addresses import Credential
from vibe_app.errors import Conflict, InvalidRequest, NotFound, Unavailable
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import base, remotes, trees
from vibe_app.workspace_services.git.checkout import notices
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.making import make_workspace
from vibe_app.workspaces.runtimes.base import WorkspaceSpec

TOKEN = "ghp_s%cret/0123456789"
LOOPBACK = "127.0.0.0/8"


@pytest.fixture
def server(
    tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[GitServer]:
    """`team.git` over TLS, with a password, and its working copy `theirs`."""
    served = tmp_path / "served"
    served.mkdir()
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    own_git(theirs, "init", "--quiet", "--initial-branch=main")
    (theirs / "a.txt").write_text("one\ntwo\nthree\n")
    own_git(theirs, "add", ".")
    own_git(theirs, "commit", "--quiet", "--message=First")
    own_git(served, "clone", "--quiet", "--bare", str(theirs), "team.git")
    own_git(theirs, "remote", "add", "origin", str(served / "team.git"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    monkeypatch.setenv("GIT_SSL_CAINFO", str(certificate[0]))
    with git_server(served, f"me:{TOKEN}", context) as running:
        yield running


def remote(server: GitServer, **other: str) -> wire.Remote:
    given = {"url": server.url("team.git"), "username": "me", "token": TOKEN, "networks": LOOPBACK}
    return wire.Remote.model_validate(given | other)


async def cloned(server: GitServer, root: Path, **more: str) -> Hub:
    spec = WorkspaceSpec(uuid4(), server.url("team.git"), more.get("branch"), Credential("me", TOKEN))
    await make_workspace(root, source=spec.source(LOOPBACK), mark={}, progress=ignore)
    return Hub(root)


def uuid():
    from uuid import uuid4

    return uuid4()


def publish(server: GitServer, text: str, name: str = "a.txt") -> str:
    """Somebody else commits and pushes."""
    theirs = server.root.parent / "theirs"
    (theirs / name).write_text(text)
    own_git(theirs, "add", ".")
    own_git(theirs, "commit", "--quiet", "--message=Theirs")
    own_git(theirs, "push", "--quiet", "origin", "HEAD:main")
    return own_git(theirs, "rev-parse", "HEAD")


async def test_a_clone_is_a_hub_and_no_secret_stays_in_it(server: GitServer, tmp_path: Path) -> None:
    hub = await cloned(server, tmp_path / "ws")
    assert (hub.base / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert (await trees.look(hub)).branch == "main"
    folder = await tree(hub)
    assert own_git(folder, "log", "--format=%s") == "First"
    assert server.signed
    for path in hub.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert TOKEN.encode() not in path.read_bytes()


async def test_what_is_new_there_comes_forward(server: GitServer, tmp_path: Path) -> None:
    hub = await cloned(server, tmp_path / "ws")
    same = await remotes.fetch(hub, remote(server))
    assert (same.outcome, same.ahead, same.behind) == ("same", 0, 0)
    newer = publish(server, "one\ntwo\n3\n")
    found = await remotes.fetch(hub, remote(server))
    assert found == wire.Fetched(branch="main", outcome="forwarded", head=newer, moved=1)
    assert (hub.base / "a.txt").read_text() == "one\ntwo\n3\n"
    ours = await put_on_base(hub, {"ours": "x"})
    ahead = await remotes.fetch(hub, remote(server))
    assert ahead == wire.Fetched(branch="main", outcome="same", head=ours, ahead=1)


async def test_both_went_on_and_are_joined_or_said_to_have_parted(server: GitServer, tmp_path: Path) -> None:
    hub = await cloned(server, tmp_path / "ws")
    await put_on_base(hub, {"ours": "x"})
    publish(server, "1\ntwo\nthree\n")
    found = await remotes.fetch(hub, remote(server))
    assert (found.outcome, found.ahead, found.behind) == ("merged", 2, 0)
    assert (await hub.git("log", "-1", "--format=%an %s")).word.startswith(
        "Vibe Merge branch 'main' of https://"
    )
    assert (hub.base / "a.txt").read_text() == "1\ntwo\nthree\n"
    head = await put_on_base(hub, {"a.txt": "eins\ntwo\nthree\n"})
    publish(server, "uno\ntwo\nthree\n")
    parted = await remotes.fetch(hub, remote(server))
    assert (parted.outcome, parted.head, parted.ahead, parted.behind) == ("diverged", head, 3, 1)
    assert (hub.base / "a.txt").read_text() == "eins\ntwo\nthree\n"
    # A history that was written anew has nothing in common, or is just another.
    theirs = server.root.parent / "theirs"
    own_git(theirs, "checkout", "--quiet", "--orphan", "anew")
    own_git(theirs, "commit", "--quiet", "--message=Anew")
    own_git(theirs, "push", "--quiet", "--force", "origin", "HEAD:main")
    assert (await remotes.fetch(hub, remote(server))).outcome == "diverged"
    assert await hub.head() == head
    await sound(hub)


async def test_a_branch_that_is_gone_and_other_faults_are_said(server: GitServer, tmp_path: Path) -> None:
    hub = await cloned(server, tmp_path / "ws")
    head = await hub.head()
    gone = await remotes.fetch(hub, remote(server, branch="nowhere"))
    assert gone == wire.Fetched(branch="nowhere", outcome="gone", head=head)
    with pytest.raises(Unavailable, match=r"could not be fetched.*does not take the token") as caught:
        await remotes.fetch(hub, remote(server, token="wr0ng-token"))
    assert "wr0ng" not in caught.value.message
    with pytest.raises(InvalidRequest) as refused:
        await remotes.fetch(hub, remote(server, networks=""))
    assert refused.value.code == "private_address"
    for url in ("ext::sh -c touch", "-u", "https://", str(tmp_path)):
        with pytest.raises(InvalidRequest):
            await remotes.fetch(hub, remote(server, url=url))
    for branch in ("-f", "a..b", "x:y", "refs/../x", "a b"):
        with pytest.raises(InvalidRequest):
            await remotes.push(hub, wire.Push(remote=remote(server), commit=head, branch=branch))
    assert await hub.head() == head


async def test_an_accepted_change_is_pushed_and_one_that_is_behind_is_refused(
    server: GitServer, tmp_path: Path
) -> None:
    hub = await cloned(server, tmp_path / "ws")
    folder = await tree(hub)
    (folder / "big").write_bytes(os.urandom(2 << 20))
    kept = await checkpoint(hub)
    assert kept.revision
    plan = await base.plan(
        hub,
        wire.PlanMerge(
            number=1, base=plan_base(hub), revision=kept.revision, message="Accept", author=PERSON
        ),
    )
    assert plan.new
    await base.move(hub, wire.MoveBase(old=plan.old, new=plan.new))
    pushed = await remotes.push(hub, wire.Push(remote=remote(server), commit=plan.new, branch="main"))
    assert pushed.commit == plan.new == own_git(server.root / "team.git", "rev-parse", "main")
    # Again, and to a branch of its own, as a request to pull it begins.
    await remotes.push(hub, wire.Push(remote=remote(server), commit=plan.new, branch="main"))
    await remotes.push(hub, wire.Push(remote=remote(server), commit=kept.revision, branch="vibe/card-1"))
    assert own_git(server.root / "team.git", "rev-parse", "vibe/card-1") == kept.revision
    own_git(server.root.parent / "theirs", "pull", "--quiet", "origin", "main")
    theirs = publish(server, "moved\n")
    ours = await put_on_base(hub, {"ours": "x"})
    with pytest.raises(Conflict, match="has moved on there: it must be fetched first") as caught:
        await remotes.push(hub, wire.Push(remote=remote(server), commit=ours, branch="main"))
    assert caught.value.code == "push_refused"
    assert own_git(server.root / "team.git", "rev-parse", "main") == theirs
    with pytest.raises(NotFound):
        await remotes.push(hub, wire.Push(remote=remote(server), commit="1" * 40, branch="main"))


def plan_base(hub: Hub) -> str:
    return trees.base_of(hub, 1)


async def test_a_branch_of_ones_own_is_never_anothers(server: GitServer, tmp_path: Path) -> None:
    hub = await cloned(server, tmp_path / "ws")
    folder = await tree(hub)
    (folder / "a.txt").write_text("ours\n")
    kept = await checkpoint(hub)
    assert kept.revision
    asked = wire.PlanMerge(
        number=1, base=plan_base(hub), revision=kept.revision, message="Accept", author=PERSON, keep=True
    )
    plan = await base.plan(hub, asked)
    assert plan.new
    assert plan.new in (await hub.git("for-each-ref", "--format=%(objectname)", "refs/vibe-accepted")).word
    fresh = wire.Push(remote=remote(server), commit=plan.new, branch="vibe/1-ours", fresh=True)
    for _ in range(2):  # a process may have died between the push and its note
        assert (await remotes.push(hub, fresh)).commit == plan.new
    # Somebody adds to the branch, or has one of the same name.
    theirs = server.root.parent / "theirs"
    own_git(theirs, "fetch", "--quiet", "origin", "vibe/1-ours")
    own_git(theirs, "checkout", "--quiet", "-b", "vibe/1-ours", "FETCH_HEAD")
    (theirs / "more").write_text("more\n")
    own_git(theirs, "add", "more")
    own_git(theirs, "commit", "--quiet", "--message=More")
    own_git(theirs, "push", "--quiet", "origin", "vibe/1-ours", "vibe/1-ours:vibe/2-theirs")
    added = own_git(theirs, "rev-parse", "HEAD")
    for branch in ("vibe/1-ours", "vibe/2-theirs"):
        with pytest.raises(Conflict) as caught:
            await remotes.push(hub, fresh.model_copy(update={"branch": branch}))
        assert caught.value.code == "branch_taken"
        assert own_git(server.root / "team.git", "rev-parse", branch) == added


async def test_what_a_hook_of_the_remote_says_is_told_without_the_token(
    server: GitServer, tmp_path: Path
) -> None:
    hub = await cloned(server, tmp_path / "ws")
    hook = server.root / "team.git/hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho 'main is protected; {TOKEN}' >&2\nexit 1\n")
    hook.chmod(0o755)
    commit = await put_on_base(hub, {"ours": "x"})
    with pytest.raises(
        Conflict, match=r"does not take this into main \(pre-receive hook declined\)"
    ) as caught:
        await remotes.push(hub, wire.Push(remote=remote(server), commit=commit, branch="main"))
    assert "main is protected" in caught.value.message
    assert TOKEN not in caught.value.message
    assert await hub.head() == commit


async def test_a_remote_that_is_not_there_changes_nothing(server: GitServer, tmp_path: Path) -> None:
    hub = await cloned(server, tmp_path / "ws")
    commit = await put_on_base(hub, {"ours": "x"})
    away = wire.Remote(url="https://127.0.0.1:9/team.git", networks=LOOPBACK)
    with pytest.raises(Unavailable, match="could not be fetched"):
        await remotes.fetch(hub, away)
    with pytest.raises(Unavailable, match="could not be pushed to"):
        await remotes.push(hub, wire.Push(remote=away, commit=commit, branch="main"))
    assert await hub.head() == commit


async def test_what_does_not_come_along_is_named(server: GitServer, tmp_path: Path) -> None:
    theirs = server.root.parent / "theirs"
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    (theirs / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (theirs / "out").symlink_to("/etc")
    (theirs / ".gitmodules").write_text('[submodule "one"]\n\tpath = libs/one\n\turl = ../one.git\n')
    (theirs / "libs/one").mkdir(parents=True)
    own_git(theirs, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},libs/one")
    publish(server, pointer, "data.bin")
    hub = await cloned(server, tmp_path / "ws")
    said = notices(hub.root)
    assert said == [
        "The submodule libs/one did not come along: the trees of cards are without submodules.",
        "1 link leads out of the workspace: out.",
        "1 file is only a pointer to Git LFS, whose contents are not fetched: data.bin.",
    ]
    folder = await tree(hub)
    assert (folder / "data.bin").read_text() == pointer
    assert own_git(folder, "status", "--porcelain") == ""
    (folder / "data.bin").write_bytes(b"real")
    kept = await checkpoint(hub)
    assert (await hub.git("show", f"{kept.revision}:data.bin")).out == b"real"
