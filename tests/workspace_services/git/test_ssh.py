"""Cloning, fetching and pushing over ssh with a deploy key and a pinned host key: a real OpenSSH server."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from uuid import uuid4

import pytest

from tests.sshd import Sshd, sshd
from tests.workspace_services.git.rooms import ignore, own_git, put_on_base, sound
from vibe_app.addresses import Credential, parse
from vibe_app.configuration import deploy_keys
from vibe_app.errors import InvalidRequest, Unavailable
from vibe_app.networks import networks
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import host_keys, remotes, ssh
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.making import make_workspace
from vibe_app.workspaces.runtimes.base import WorkspaceSpec

LOOPBACK = "127.0.0.0/8"


@dataclass
class Team:
    """A server with `team.git`, and the deploy key that it lets in."""

    server: Sshd
    key: str

    @property
    def url(self) -> str:
        return self.server.url("team.git")

    def credential(self, key: str = "", pinned: list[str] | None = None) -> Credential:
        lines = self.server.host_keys() if pinned is None else pinned
        return Credential("", key or self.key, tuple(lines))

    def remote(self, key: str = "", pinned: list[str] | None = None) -> wire.Remote:
        given = self.credential(key, pinned)
        return wire.Remote(
            url=self.url, branch="main", token=given.token, host_keys=list(given.host_keys), networks=LOOPBACK
        )


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    folder, source = tmp_path / "server", tmp_path / "theirs"
    for path in (folder, source):
        path.mkdir()
    own_git(source, "init", "--quiet", "--initial-branch=main")
    (source / "a.txt").write_text("one\n")
    own_git(source, "add", ".")
    own_git(source, "commit", "--quiet", "--message=First")
    own_git(folder, "clone", "--quiet", "--bare", str(source), "team.git")
    key = deploy_keys.make()
    with sshd(folder) as server:
        server.let_in(deploy_keys.public_half(key))
        yield Team(server, key)


async def cloned(team: Team, root: Path, credential: Credential | None) -> Hub:
    source = WorkspaceSpec(uuid4(), team.url, None, credential).source(LOOPBACK)
    await make_workspace(root, source=source, mark={}, progress=ignore)
    return Hub(root)


def written(folder: Path) -> bytes:
    """Everything that stands in a folder's files."""
    return b"\n".join(p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def ssh_keygen(*words: str) -> str:
    done = subprocess.run(["ssh-keygen", *words], check=True, capture_output=True, text=True)
    return done.stdout


def secret_of(key: str) -> str:
    """A line of a private key that is in no other."""
    return key.splitlines()[-2]


async def test_a_deploy_key_clones_fetches_and_pushes(team: Team, tmp_path: Path) -> None:
    hub = await cloned(team, tmp_path / "ws", team.credential())
    assert (hub.base / "a.txt").read_text() == "one\n"
    theirs = tmp_path / "theirs"
    (theirs / "a.txt").write_text("two\n")
    own_git(theirs, "commit", "--quiet", "--all", "--message=Theirs")
    own_git(theirs, "push", "--quiet", str(team.server.folder / "team.git"), "HEAD:main")
    assert (await remotes.fetch(hub, team.remote())).outcome == "forwarded"
    ours = await put_on_base(hub, {"ours": "x"})
    await remotes.push(hub, wire.Push(remote=team.remote(), commit=ours, branch="main"))
    assert own_git(team.server.folder / "team.git", "rev-parse", "main") == ours
    assert secret_of(team.key).encode() not in written(hub.root)
    await sound(hub)


def ssh_that_looks(folder: Path, monkeypatch: pytest.MonkeyPatch, *looks: str) -> None:
    """Have an ssh found first that does something before it becomes the real one."""
    real = shutil.which("ssh")
    (folder / "bin").mkdir()
    wrapper = folder / "bin" / "ssh"
    wrapper.write_text("\n".join(["#!/bin/sh", *looks, f'{real} "$@"', ""]))
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


async def test_the_key_is_in_no_command_no_environment_and_no_folder(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What /proc tells of git and of ssh while they run."""
    seen, files = tmp_path / "seen", tmp_path / "files"
    ssh_that_looks(
        tmp_path,
        monkeypatch,
        f"for each in $$ $PPID; do cat /proc/$each/cmdline /proc/$each/environ >>{seen}; done",
        'for way in "$@"; do case $way in',
        f'*=/proc/*) stat -Lc "%a %h" "${{way#*=}}" >>{files};;',
        "esac; done",
    )
    hub = await cloned(team, tmp_path / "ws", team.credential())
    assert (hub.base / "a.txt").exists()
    told = seen.read_bytes()
    assert b"IdentityFile=/proc/" in told
    for line in team.key.splitlines()[1:-1]:
        assert line.encode() not in told
    # Two files for each of two gits, which nobody else may read, and which have no name anywhere.
    assert set(files.read_text().splitlines()) == {"600 0"}
    assert secret_of(team.key).encode() not in written(tmp_path / "ws")


def test_a_user_without_a_name_is_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As containers run under whatever number they are told; tests/image and pods try it for real."""

    def nobody(number: int) -> pwd.struct_passwd:
        raise KeyError(number)

    address, credential = (
        parse("git@example.org:team/app.git"),
        Credential("", "a key", ("ssh-ed25519 AAAA",)),
    )
    number = ip_address("192.0.2.1")
    usual, held = ssh.handed(address, credential, number)
    assert set(held) == {ssh.KEY, ssh.HOSTS}
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    command, held = ssh.handed(address, credential, number)
    names = f"LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD=/proc/$PPID/fd/${ssh.USER}"
    assert command == f"{names} NSS_WRAPPER_GROUP=/dev/null {usual}"
    assert held[ssh.USER].startswith(f"vibe:x:{os.getuid()}:{os.getgid()}:".encode())


def test_where_none_can_be_given_it_is_said_what_to_do() -> None:
    said = ssh.refusal("No user exists for uid 12345\r\nfatal: Could not read from remote", "example.org")
    assert "install nss_wrapper" in said
    assert "(Debian: libnss-wrapper)" in said


async def test_a_key_that_is_not_let_in(team: Team, tmp_path: Path) -> None:
    other = deploy_keys.make()
    with pytest.raises(
        Unavailable, match=r"could not be cloned: .*does not take the deploy key.*public half"
    ) as caught:
        await cloned(team, tmp_path / "ws", team.credential(other))
    assert secret_of(other) not in caught.value.message
    assert not (tmp_path / "ws").exists()


async def test_a_server_that_is_not_there(team: Team, tmp_path: Path) -> None:
    hub = await cloned(team, tmp_path / "ws", team.credential())
    away = team.remote().model_copy(update={"url": "ssh://git@127.0.0.1:9/team.git"})
    with pytest.raises(Unavailable, match=r"could not be fetched: .*Connection refused.*\.$"):
        await remotes.fetch(hub, away)


async def test_without_a_key_or_a_host_key_nothing_is_asked(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh_that_looks(tmp_path, monkeypatch, f"touch {tmp_path / 'ran'}")
    with pytest.raises(InvalidRequest, match="needs a deploy key"):
        await cloned(team, tmp_path / "ws", None)
    with pytest.raises(InvalidRequest, match="confirm its host key"):
        await cloned(team, tmp_path / "ws", team.credential(pinned=[]))
    assert not (tmp_path / "ran").exists()
    await cloned(team, tmp_path / "ws", team.credential())
    assert (tmp_path / "ran").exists()


async def test_a_server_that_shows_another_host_key_gets_nothing(team: Team, tmp_path: Path) -> None:
    hub = await cloned(team, tmp_path / "ws", team.credential())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with sshd(elsewhere) as other:
        pinned = team.server.host_keys()
        moved = team.remote(pinned=pinned).model_copy(update={"url": other.url("team.git")})
        shown = deploy_keys.fingerprint(other.host_keys()[0])
        with pytest.raises(
            Unavailable, match=r"could not be fetched: 127\.0\.0\.1 shows another host key"
        ) as caught:
            await remotes.fetch(hub, moved)
        assert shown in caught.value.message
        head = await hub.head()
        with pytest.raises(Unavailable, match="shows another host key"):
            await remotes.push(hub, wire.Push(remote=moved, commit=head, branch="main"))


async def test_a_server_that_shows_a_host_key_of_another_kind(team: Team, tmp_path: Path) -> None:
    ssh_keygen("-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "other"))
    pinned = [" ".join((tmp_path / "other.pub").read_text().split()[:2])]
    with pytest.raises(Unavailable, match="shows another host key"):
        await cloned(team, tmp_path / "ws", team.credential(pinned=pinned))


async def test_what_a_server_shows_is_looked_up_and_no_private_network_is_asked(team: Team) -> None:
    address = parse(team.url)
    found = await host_keys.scan(address, networks(LOOPBACK))
    assert found == team.server.host_keys()
    assert re.fullmatch(r"SHA256:[\w+/]{43}", deploy_keys.fingerprint(found[0]))
    said = ssh_keygen("-lf", str(team.server.folder / "host_ed25519.pub"))
    assert deploy_keys.fingerprint(found[0]) in said
    with pytest.raises(InvalidRequest, match="private network"):
        await host_keys.scan(address, ())
    with pytest.raises(Unavailable, match="does not answer as an ssh server at port 9"):
        await host_keys.scan(parse("ssh://git@127.0.0.1:9/x"), networks(LOOPBACK))
