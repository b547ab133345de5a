"""Every verb, while the file browser and its git processes are killed at any moment and asked again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from tests.waiting import eventually
from tests.workspace_services.git.rooms import BUBBLEWRAP, PERSON, ignore, made, own_git, sound
from tests.workspace_services.git.test_checkpoints import twin_of
from vibe_app.clients.git import GitClient
from vibe_app.clients.services import WorkspaceClient
from vibe_app.errors import Conflict, NotFound, Unavailable
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.making import make_workspace
from vibe_app.workspaces.runtimes.base import Endpoint, WorkspaceSpec

ROUNDS = int(os.environ.get("VIBE_TEST_DEATHS", "5"))


class Browser:
    """A real file browser that is killed and started again, on one port."""

    def __init__(self, root: Path) -> None:
        self._root = root
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        env = {"PATH": os.environ["PATH"], "WORKSPACE_DIR": str(self._root), "SIDECAR_TOKEN": "token"}
        env |= {"PORT": str(self._port), "BUBBLEWRAP": BUBBLEWRAP, "LOG_LEVEL": "error"}
        command = [sys.executable, "-m", "vibe_app.workspace_services.file_browser"]
        self._process = subprocess.Popen(command, env=env)

    def kill(self, *, with_git: bool) -> None:
        assert self._process is not None
        children = psutil.Process(self._process.pid).children(recursive=True) if with_git else []
        for process in (self._process, *children):
            try:
                process.send_signal(signal.SIGKILL)
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        self._process.wait()
        self._process = None

    def end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


class Killing:
    """Asks for something again and again until it was answered, and kills while it is done."""

    def __init__(self, browser: Browser, chance: random.Random) -> None:
        self._browser = browser
        self._chance = chance
        self.deaths = 0

    async def through(self, verb: Callable[[], Awaitable[Any]], most: float = 0.25) -> Any:
        for _ in range(2):
            asked = asyncio.ensure_future(verb())
            await asyncio.wait([asked], timeout=self._chance.uniform(0, most))
            if not asked.done():
                self.deaths += 1
            self._browser.kill(with_git=self._chance.random() < 0.5)
            self._browser.start()
            try:
                await asked
            except Unavailable:
                continue
        return await verb()


@asynccontextmanager
async def killing(root: Path, seed: int) -> AsyncIterator[tuple[GitClient, Endpoint, Killing]]:
    browser = Browser(root)
    browser.start()
    try:
        async with WorkspaceClient() as client:
            git = GitClient(client)
            at = Endpoint(url=browser.url, token="token", files_url=browser.url)

            async def up() -> bool:
                try:
                    return bool(await git.repository(at))
                except Unavailable:
                    return False

            await eventually(up)
            yield git, at, Killing(browser, random.Random(seed))
    finally:
        browser.end()


@pytest.mark.timeout(240 + 30 * ROUNDS)
async def test_rounds_from_a_tree_to_the_base_under_kills(tmp_path: Path) -> None:
    files = {f"d{i % 20}/f{i}.txt": f"line {i}\n" * 20 for i in range(400)}
    hub = await made(tmp_path / "workspace", files)
    chance = random.Random(1)
    async with killing(hub.root, 2) as (git, at, kill):
        accepted: list[str] = []
        for number in range(1, ROUNDS + 1):
            tree = await kill.through(lambda n=number: git.tree(at, n, wire.WantTree()))
            folder = hub.tree(number)
            assert own_git(folder, "status", "--porcelain") == ""
            for name in chance.sample(sorted(files), 15):
                (folder / name).write_text(f"{number} {chance.random()}\n")
            (folder / f"new {number}").write_bytes(os.urandom(200_000))
            asked = wire.TakeCheckpoint(base=tree.base, message=f"Round {number}")
            kept = await kill.through(lambda n=number, a=asked: git.checkpoint(at, n, a))
            assert kept.revision
            assert kept.number == 1
            assert (await hub.tree_of(kept.revision)) == twin_of(hub, number, tmp_path / f"twin {number}")
            accepted.append(await accept(git, at, kill, number, tree.base, kept.revision))
            drop = wire.DropTree(revision=kept.revision)
            await kill.through(lambda n=number, d=drop: git.drop_tree(at, n, d), 0.1)
            assert not folder.exists()
            await save(git, at, kill, hub, number)
        head = (await git.repository(at)).head
    assert kill.deaths > ROUNDS
    history = own_git(hub.path, "rev-list", head).split()
    assert [commit for commit in accepted if commit not in history] == []
    subjects = own_git(hub.path, "log", "--format=%s", head).split("\n")
    assert len([subject for subject in subjects if subject.startswith("Accepted")]) == ROUNDS
    await base_is_clean(hub)
    await sound(hub)


@pytest.mark.timeout(240 + 30 * ROUNDS)
async def test_fetching_and_pushing_under_kills(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    own_git(theirs, "init", "--quiet", "--initial-branch=main")
    own_git(theirs, "commit", "--quiet", "--allow-empty", "--message=First")
    there = tmp_path / "team.git"
    own_git(tmp_path, "clone", "--quiet", "--bare", str(theirs), str(there))
    wanted = WorkspaceSpec(uuid4(), f"file://{there}").source("")
    await make_workspace(tmp_path / "workspace", source=wanted, mark={}, progress=ignore)
    hub = Hub(tmp_path / "workspace", BUBBLEWRAP)
    remote = wire.Remote(url=f"file://{there}")
    async with killing(hub.root, 3) as (git, at, kill):
        for turn in range(ROUNDS):
            for number in range(100):
                (theirs / f"{turn} {number}").write_bytes(os.urandom(10_000))
            own_git(theirs, "add", "--all")
            own_git(theirs, "commit", "--quiet", f"--message=Theirs {turn}")
            own_git(theirs, "push", "--quiet", str(there), "main")
            found = await kill.through(lambda: git.fetch(at, remote))
            assert own_git(theirs, "rev-parse", "HEAD") in own_git(hub.path, "rev-list", found.head)
            await save(git, at, kill, hub, turn)
            head = (await git.repository(at)).head
            wished = wire.Push(remote=remote, commit=head, branch="main")
            await kill.through(lambda w=wished: git.push(at, w))
            assert own_git(there, "rev-parse", "main") == head
            own_git(theirs, "pull", "--quiet", "--ff-only", str(there), "main")
    await base_is_clean(hub)
    await sound(hub)
    own_git(there, "fsck", "--full")


async def accept(git: GitClient, at: Endpoint, kill: Killing, number: int, base: str, revision: str) -> str:
    """Plan once, as the engine keeps the plan in its rows, and move until it is known to have been."""
    planned = wire.PlanMerge(
        number=number, base=base, revision=revision, message=f"Accepted {number}", author=PERSON
    )
    plan = await kill.through(lambda: git.plan_merge(at, planned))
    assert plan.new
    moved = await kill.through(lambda: git.move_base(at, wire.MoveBase(old=plan.old, new=plan.new)))
    assert moved == wire.Moved(outcome="moved", head=plan.new)
    return plan.new


async def save(git: GitClient, at: Endpoint, kill: Killing, hub: Hub, number: int) -> None:
    (hub.base / f"saved {number}").write_text(str(number))
    wanted = wire.SaveOnBase(paths=[f"saved {number}"], author=PERSON, message="Saved")

    async def verb() -> None:
        try:
            await git.save_on_base(at, wanted)
        except (Conflict, NotFound) as error:
            raise Unavailable(error.message) from error

    await kill.through(verb)
    assert (hub.base / f"saved {number}").read_text() == str(number)


async def base_is_clean(hub: Hub) -> None:
    """The folder of the base has its head's files, and no others."""
    said = await hub.git("ls-files", "-z", "-o", "-m", "-d", tree=hub.base, index=hub.index("base"))
    assert said.out == b""
    assert (await hub.git("write-tree", index=hub.index("base"))).word == await hub.tree_of(await hub.head())
