"""A real server of the command line, on a data folder and a port of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.waiting import eventually
from vibe_app import frontend
from vibe_app.cli.database import users_of
from vibe_app.cli.server import Running
from vibe_app.db import Database
from vibe_app.settings import load_settings

VIBE = Path(sys.executable).parent / "vibe"
EMAIL, PASSWORD = "ada@example.org", "correct-horse-9"


@dataclass
class Installation:
    """A data folder and what may be run on it."""

    data: Path
    environment: dict[str, str]

    def vibe(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        process = self.start(*arguments)
        try:
            said, _ = process.communicate(timeout=90)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, said)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that goes on."""
        return subprocess.Popen(
            [VIBE, *arguments],
            env=self.environment,
            cwd=self.data,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Tests that a shell runs in the background inherit from it that Ctrl-C is ignored.
            preexec_fn=_heed_interrupts,
        )


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An empty data folder; OpenCode is the one that set-up brought."""
    return installed(tmp_path)


def installed(data: Path) -> Installation:
    """Return an installation on an empty data folder."""
    opencode = load_settings().opencode_binary
    assert opencode.is_file(), "OpenCode is missing: run `make test`, or `vibe setup` first"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIBE_")}
    environment |= {"VIBE_DATA": str(data), "VIBE_OPENCODE": str(opencode), "COLUMNS": "200"}
    return Installation(data, environment)


@dataclass
class Served:
    """A server that answers."""

    installation: Installation
    process: subprocess.Popen[str]
    url: str


@pytest.fixture
async def served(installation: Installation, migrated: Path) -> AsyncIterator[Served]:
    """A migrated database with one admin, served by `vibe serve`."""
    async with serving(installation, migrated) as found:
        yield found


@asynccontextmanager
async def serving(installation: Installation, migrated: Path) -> AsyncIterator[Served]:
    """Serve an installation with one admin for as long as the block lasts."""
    assert frontend.is_built(frontend.home()), (
        "The frontend is not compiled: run `make test`, or `vibe setup`"
    )
    shutil.copy(migrated, installation.data / "vibe.db")
    database = Database(f"sqlite+aiosqlite:///{installation.data / 'vibe.db'}")
    await users_of(database).add(None, EMAIL, "Ada", PASSWORD, "admin")
    await database.close()
    process = installation.start("serve", "--port", "0")
    try:
        await eventually(lambda: Running.on(installation.data), seconds=30)
        running = Running.on(installation.data)
        assert running
        yield Served(installation, process, running.url)
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=30)
        sys.stdout.write(said)  # shown with a failure
