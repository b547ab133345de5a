"""How the folder of a workspace comes to be, with real git and servers that misbehave."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from vibe_app.errors import Unavailable
from vibe_app.workspace_services.git import checkout, making
from vibe_app.workspace_services.git import program as git_program
from vibe_app.workspaces.runtimes.base import WorkspaceSpec
from vibe_app.workspaces.runtimes.local import processes


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A bare repository with one file, and hooks that would tell if they ran."""
    source, bare = tmp_path / "source", tmp_path / "team.git"
    source.mkdir()
    git(source, "init", "--quiet", "--initial-branch=main")
    (source / "hello.txt").write_text("hello\n")
    (source / ".gitignore").write_text("build/\n")
    git(source, "add", ".")
    git(source, "commit", "--quiet", "--message=First")
    git(tmp_path, "clone", "--quiet", "--bare", str(source), str(bare))
    return bare


@pytest.fixture
def workspaces(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "workspaces"
    folder.mkdir(parents=True)
    return folder


async def ignore(sentence: str) -> None:
    """Take progress and do nothing."""


async def make(
    workspaces: Path, repo_url: str | None, progress: Callable[[str], Awaitable[None]] = ignore
) -> Path:
    folder = workspaces / str(uuid4())
    mark = processes.marker(workspaces.parent, uuid4())
    source = WorkspaceSpec(uuid4(), repo_url).source("127.0.0.0/8")
    await making.make_workspace(folder, source=source, mark=mark, progress=progress)
    return folder


def nothing_is_left(workspaces: Path) -> bool:
    return not list(workspaces.iterdir()) and not processes.of_workspace(workspaces.parent)


async def test_a_clone_has_the_files_and_reports_progress(workspaces: Path, bare: Path) -> None:
    said: list[str] = []

    async def progress(sentence: str) -> None:
        said.append(sentence)

    folder = await make(workspaces, f"file://{bare}", progress)
    assert (folder / "base" / "hello.txt").read_text() == "hello\n"
    assert git(folder / "hub", "log", "--format=%s") == "First"
    assert said[0] == "Cloning the repository"
    assert any(sentence.endswith(" %") for sentence in said)


async def test_the_clone_of_an_empty_repository_gets_a_commit(workspaces: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.git"
    git(tmp_path, "init", "--quiet", "--bare", str(empty))
    folder = await make(workspaces, f"file://{empty}")
    assert git(folder / "hub", "log", "--format=%s") == "Start of the workspace"


async def test_hooks_do_not_run_on_a_clone(
    workspaces: Path, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither hooks from a template nor those of a hooks folder, which git would both use for a clone."""
    ran = tmp_path / "ran"
    for hooks in (tmp_path / "template" / "hooks", tmp_path / "global"):
        hooks.mkdir(parents=True)
        hook = hooks / "post-checkout"
        hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
        hook.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    template = f"[init]\n\ttemplateDir = {tmp_path / 'template'}\n"
    for config in (template, f"[core]\n\thooksPath = {tmp_path / 'global'}\n"):
        (home / ".gitconfig").write_text(config)
        git(tmp_path, "clone", "--quiet", str(bare), str(tmp_path / f"control-{uuid4()}"))
        assert ran.exists(), "the control did not run the hook"
        ran.unlink()
        await make(workspaces, f"file://{bare}")
        assert not ran.exists()


async def test_a_repository_that_is_not_there(workspaces: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"could not be cloned: .*nowhere.*Check its address"):
        await make(workspaces, f"file://{tmp_path}/nowhere.git")
    assert nothing_is_left(workspaces)


async def test_a_repository_that_wants_a_password_is_refused_without_asking(
    workspaces: Path,
) -> None:
    answer = b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'
    async with serving(answer) as port:
        with pytest.raises(Unavailable, match="could not be cloned") as caught:
            await make(workspaces, f"http://me:secret@127.0.0.1:{port}/repo")
    assert "secret" not in caught.value.message
    assert nothing_is_left(workspaces)


async def test_a_server_that_says_nothing_is_given_up(
    workspaces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_program, "SILENCE", 0.3)
    async with serving(None) as port:
        with pytest.raises(Unavailable, match="stopped answering"):
            await make(workspaces, f"http://127.0.0.1:{port}/repo")
    assert nothing_is_left(workspaces)


async def test_a_clone_that_is_broken_off_leaves_nothing(workspaces: Path) -> None:
    connected = asyncio.Event()
    async with serving(None, connected) as port:
        cloning = asyncio.create_task(make(workspaces, f"http://127.0.0.1:{port}/repo"))
        await asyncio.wait_for(connected.wait(), 10)
        assert processes.of_workspace(workspaces.parent), "git should be running"
        cloning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cloning
    assert nothing_is_left(workspaces)


async def test_git_is_missing(workspaces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="git is not installed"):
        await make(workspaces, None)
    assert nothing_is_left(workspaces)


def test_drafts_of_an_earlier_process_are_removed(workspaces: Path) -> None:
    (workspaces / ".new-abc" / ".git").mkdir(parents=True)
    kept = workspaces / str(uuid4())
    kept.mkdir()
    checkout.remove_drafts(workspaces)
    assert list(workspaces.iterdir()) == [kept]


@asynccontextmanager
async def serving(answer: bytes | None, connected: asyncio.Event | None = None) -> AsyncIterator[int]:
    """A server on loopback that answers every request with the same bytes, or never."""
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        if connected is not None:
            connected.set()
        if answer is not None:
            while await reader.readline() not in (b"\r\n", b""):
                pass
            writer.write(answer)
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
