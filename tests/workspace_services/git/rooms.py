"""A workspace with a hub for tests, and what agents and people do beside it with git of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import checkpoints, trees
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.making import make_workspace

BUBBLEWRAP = shutil.which("bwrap") or ""
PERSON = wire.Person(name="Ada", email="ada@example.org")


async def ignore(sentence: str) -> None:
    """Take progress and do nothing."""


def own_git(folder: Path, *arguments: str | bytes, status: int | None = 0) -> str:
    """Run git as an agent or a person does, with the configuration that lies there."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    identity = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, env=env, check=False
    )
    assert status is None or done.returncode == status, done.stderr
    return done.stdout.decode("utf-8", "surrogateescape").strip()


async def made(root: Path, files: dict[str, str] | None = None, bubblewrap: str = BUBBLEWRAP) -> Hub:
    """Make a workspace whose base branch has some files."""
    await make_workspace(root, source=None, mark={}, progress=ignore, bubblewrap=bubblewrap)
    hub = Hub(root, bubblewrap)
    if files:
        await put_on_base(hub, files)
    return hub


async def put_on_base(hub: Hub, files: dict[str, str]) -> str:
    """Write files in the base's folder and save them; return the commit."""
    from vibe_app.workspace_services.git import base

    for name, text in files.items():
        path = hub.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    saved = await base.save(hub, wire.SaveOnBase(paths=list(files), author=PERSON, message="Files"))
    assert saved.commit is not None
    return saved.commit


async def tree(hub: Hub, number: int = 1, **asked: object) -> Path:
    """Make a card's tree and return where it is."""
    await trees.want(hub, number, wire.WantTree.model_validate(asked))
    return hub.tree(number)


async def checkpoint(hub: Hub, number: int = 1, revision: str | None = None) -> wire.Checkpoint:
    """Keep what is in a card's tree."""
    asked = wire.TakeCheckpoint(base=trees.base_of(hub, number), revision=revision, message="Round\n")
    return await checkpoints.take(hub, number, asked)


async def content(hub: Hub, commit: str) -> str:
    """What a commit holds: a line for each file."""
    return (await hub.git("ls-tree", "-r", "-z", commit)).out.decode("utf-8", "surrogateescape")


async def sound(hub: Hub) -> None:
    """Make sure that nothing of the hub is broken."""
    # What an agent writes into .gitmodules is its own matter.
    names = ("gitmodulesUpdate", "gitmodulesUrl", "gitmodulesPath", "gitmodulesName")
    lenient = [word for name in names for word in ("-c", f"fsck.{name}=ignore")]
    said = await hub.git(*lenient, "fsck", "--full", "--strict", "--no-dangling")
    assert b"error" not in said.errors, said.errors
