"""Repositories as people have them: tokens, redirects, private addresses, branches, links."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.workspace_services.git.git_server import GitServer, git_server
from tests.workspace_services.git.test_checkout import git, ignore
from vibe_app.addresses import Credential
from vibe_app.errors import InvalidRequest, Unavailable, VibeError
from vibe_app.workspace_services.git import checkout, making, reach
from vibe_app.workspaces.runtimes.base import WorkspaceSpec
from vibe_app.workspaces.runtimes.local import processes

TOKEN = "ghp_s%cret/0123456789"
LOOPBACK = "127.0.0.0/8"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[GitServer]:
    """A server with `team.git`, which has two branches."""
    root = tmp_path / "served"
    root.mkdir()
    with git_server(root) as server:
        publish(server, "team.git", {"hello.txt": "hello\n"})
        git(root / "team.git", "branch", "next", "main")
        yield server


@pytest.fixture
def workspaces(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "workspaces"
    folder.mkdir(parents=True)
    return folder


def publish(server: GitServer, name: str, files: dict[str, str], links: dict[str, str] | None = None) -> Path:
    """Make a repository with these files and serve it; return the clone that it was made from."""
    source = server.root.parent / f"source-{name}"
    source.mkdir()
    git(source, "init", "--quiet", "--initial-branch=main")
    for path, text in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text)
    for path, target in (links or {}).items():
        (source / path).symlink_to(target)
    git(source, "add", ".")
    git(source, "commit", "--quiet", "--allow-empty", "--message=First")
    git(server.root, "clone", "--quiet", "--bare", str(source), name)
    return source


async def make(
    workspaces: Path,
    url: str,
    *,
    branch: str | None = None,
    credential: Credential | None = None,
    private: str = LOOPBACK,
) -> tuple[Path, list[str]]:
    folder = workspaces / str(uuid4())
    source = WorkspaceSpec(uuid4(), url, branch, credential).source(private)
    mark = processes.marker(workspaces.parent, uuid4())
    said = await making.make_workspace(folder, source=source, mark=mark, progress=ignore)
    return folder, said


def written(folder: Path) -> bytes:
    """Everything that stands in a folder's files, git's own included."""
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("embedded", [False, True])
async def test_a_token_opens_the_repository_and_stays_nowhere(
    workspaces, served: GitServer, embedded: bool
) -> None:
    served.password = f"me:{TOKEN}"
    if embedded:
        folder, _ = await make(workspaces, served.url("team.git", "me:ghp_s%25cret%2F0123456789@"))
    else:
        folder, _ = await make(workspaces, served.url("team.git"), credential=Credential("me", TOKEN))
    assert (folder / "base" / "hello.txt").read_text() == "hello\n"
    assert TOKEN.encode() not in written(folder)
    assert b"ghp_" not in written(folder)


async def test_a_token_is_in_no_command_line(workspaces, served: GitServer, tmp_path, monkeypatch) -> None:
    served.password = f"me:{TOKEN}"
    real, lines = shutil.which("git"), tmp_path / "lines"
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "git"
    wrapper.write_text(f'#!/bin/sh\nprintf "%s " "$@" >>{lines}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    await make(workspaces, served.url("team.git"), credential=Credential("me", TOKEN))
    assert "clone" in lines.read_text()
    assert TOKEN not in lines.read_text()


async def test_a_wrong_token_is_told_and_not_shown(workspaces, served: GitServer) -> None:
    served.password = "me:another"
    with pytest.raises(Unavailable, match="does not take the token") as caught:
        await make(workspaces, served.url("team.git"), credential=Credential("me", TOKEN))
    assert TOKEN not in caught.value.message
    assert not list(workspaces.iterdir())
    with pytest.raises(Unavailable, match="Give a token"):
        await make(workspaces, served.url("team.git"))


async def test_what_the_server_repeats_of_the_token_is_hidden(workspaces, served: GitServer) -> None:
    complaint = reach.Call(hidden=(TOKEN,)).complaint(f"fatal: no {TOKEN} at http://a:b@h/x\n".encode())
    assert complaint == "no *** at http://h/x."


async def test_the_users_own_credentials_and_settings_are_not_used(
    workspaces, served: GitServer, tmp_path, monkeypatch
) -> None:
    served.password = "ada:own"
    home = tmp_path / "home"
    home.mkdir()
    ran = tmp_path / "ran"
    (home / ".netrc").write_text("machine 127.0.0.1 login ada password own\n")
    (home / ".netrc").chmod(0o600)
    (home / ".gitconfig").write_text(
        f'[credential]\n\thelper = "!touch {ran}; echo username=ada; echo password=own; :"\n'
    )
    monkeypatch.setenv("HOME", str(home))
    # The control: with the user's own credentials it can be cloned.
    git(tmp_path, "clone", "--quiet", served.url("team.git"), "control")
    served.signed.clear()
    ran.unlink(missing_ok=True)
    with pytest.raises(Unavailable, match="Give a token"):
        await make(workspaces, served.url("team.git"))
    assert served.signed == []
    assert not ran.exists()


async def test_an_open_and_a_closed_port_of_this_machine_are_told_alike(
    workspaces, served: GitServer
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        said = set[str]()
        for port in (served.port, closed.getsockname()[1]):
            for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]"):
                with pytest.raises(InvalidRequest) as caught:
                    await make(workspaces, f"http://{host}:{port}/team.git", private="")
                said.add(caught.value.message)
    assert len(said) == 1
    assert "VIBE_REPOSITORY_NETWORKS" in said.pop()
    assert served.asked == []
    assert not list(workspaces.iterdir())


async def test_a_name_is_resolved_once_and_git_goes_nowhere_else(
    workspaces, served: GitServer, monkeypatch
) -> None:
    """A name of which this machine knows nothing is reached where the one look-up led."""
    looked_up: list[str] = []

    async def look_up(host: str, port: int, **_: object) -> list[object]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    folder, _ = await make(workspaces, f"http://team.invalid:{served.port}/team.git")
    assert (folder / "base" / "hello.txt").exists()
    assert looked_up == ["team.invalid"]


async def test_a_redirect_is_not_followed(workspaces, served: GitServer, tmp_path) -> None:
    (tmp_path / "other").mkdir()
    with git_server(tmp_path / "other") as inside:
        publish(inside, "secret.git", {"a.txt": "a"})
        served.moved["/moved.git"] = inside.url("secret.git")
        with pytest.raises(Unavailable, match="leads to another address"):
            await make(workspaces, served.url("moved.git"))
        assert inside.asked == []


async def test_a_token_is_sent_encrypted_or_not_at_all(workspaces, monkeypatch) -> None:
    async def look_up(host: str, port: int, **_: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    with pytest.raises(InvalidRequest, match="unencrypted"):
        await make(workspaces, "http://example.org/a.git", credential=Credential("me", TOKEN))


async def test_the_branch_is_the_one_that_is_chosen(workspaces, served: GitServer) -> None:
    folder, _ = await make(workspaces, served.url("team.git"), branch="next")
    assert git(folder / "hub", "branch", "--show-current") == "next"
    folder, _ = await make(workspaces, served.url("team.git"))
    assert git(folder / "hub", "branch", "--show-current") == "main"


async def test_a_branch_that_is_not_there_is_told_with_those_that_are(workspaces, served: GitServer) -> None:
    with pytest.raises(Unavailable, match=r"has no branch old\. Its branches are main, next: choose one"):
        await make(workspaces, served.url("team.git"), branch="old")
    git(served.root / "team.git", "symbolic-ref", "HEAD", "refs/heads/gone")
    with pytest.raises(Unavailable, match=r"not there\. Its branches are main, next: choose one"):
        await make(workspaces, served.url("team.git"))
    assert not list(workspaces.iterdir())
    folder, _ = await make(workspaces, served.url("team.git"), branch="next")
    assert git(folder / "hub", "log", "--format=%s") == "First"


async def test_an_empty_repository_starts_on_the_branch_that_is_named(workspaces, served: GitServer) -> None:
    git(served.root, "init", "--quiet", "--bare", "--initial-branch=trunk", "empty.git")
    for branch, found in ((None, "trunk"), ("work", "work")):
        folder, _ = await make(workspaces, served.url("empty.git"), branch=branch)
        assert git(folder / "hub", "branch", "--show-current") == found
        assert git(folder / "hub", "log", "--format=%s") == "Start of the workspace"


async def test_what_is_only_a_pointer_or_leads_out_is_told(workspaces, served: GitServer) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    files = {
        ".gitattributes": "*.bin filter=lfs\n",
        "big.bin": pointer,
        "small.bin": "really here",
        "docs/a": "a",
    }
    links = {"out": "/etc/passwd", "up": "../x", "docs/up": "../../x", "docs/in": "../big.bin"}
    publish(served, "odd.git", files, links)
    _, said = await make(workspaces, served.url("odd.git"))
    assert said == [
        "3 links lead out of the workspace: docs/up, out, up.",
        "1 file is only a pointer to Git LFS, whose contents are not fetched: big.bin.",
    ]


async def test_what_leads_out_by_another_link(workspaces, served: GitServer) -> None:
    publish(served, "deep.git", {"p/q/a": "a"}, {"p/q/d": "../..", "p/q/x": "d/../outside"})
    _, said = await make(workspaces, served.url("deep.git"))
    assert said == ["1 link leads out of the workspace: p/q/x."]


async def test_what_was_found_is_kept_beside_the_workspace(workspaces, served: GitServer) -> None:
    publish(served, "odd.git", {"a": "a"}, {"out": "/etc/passwd"})
    folder, said = await make(workspaces, served.url("odd.git"))
    assert checkout.notices(folder) == said != []
    checkout.forget_notices(folder)
    assert checkout.notices(folder) == []
    # An agent can write there.
    (folder.parent / f".{folder.name}.notices").write_text("[" * 100_000)
    assert checkout.notices(folder) == []


async def test_credentials_of_earlier_versions_are_taken_out_of_git_s_configuration(
    workspaces, tmp_path
) -> None:
    folder = workspaces / str(uuid4())
    folder.mkdir()
    git(folder, "init", "--quiet")
    for name, url in (
        ("origin", "https://me:ghp_s%25cret@example.org/a.git"),
        ("up", "ssh://git@example.org/a"),
    ):
        git(folder, "remote", "add", name, url)
    checkout.tidy(workspaces)
    assert git(folder, "remote", "get-url", "origin") == "https://example.org/a.git"
    assert git(folder, "remote", "get-url", "up") == "ssh://git@example.org/a"
    assert sorted(path.name for path in (folder / ".git").iterdir() if path.name.startswith("config")) == [
        "config"
    ]


async def test_no_link_is_followed_where_credentials_are_taken_out(workspaces, tmp_path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    text = f"[remote]\n\turl = https://me:{TOKEN}@example.org/a.git\n"
    (victim / "config").write_text(text)
    one, two = workspaces / str(uuid4()), workspaces / str(uuid4())
    one.mkdir()
    (one / ".git").symlink_to(victim)
    (two / ".git").mkdir(parents=True)
    (two / ".git" / "config").symlink_to(victim / "config")
    checkout.tidy(workspaces)
    assert (victim / "config").read_text() == text


async def test_every_failure_of_a_clone_is_a_sentence(workspaces, served: GitServer) -> None:
    for url in ("http://no-such-name.invalid/x", served.url("nothing.git")):
        with pytest.raises(VibeError, match=r"could not be cloned: .*\.$"):
            await make(workspaces, url)
