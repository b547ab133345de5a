"""A real installation for the browser tests: `vibe serve` on a data folder of its own, and its REST API.

The server is a process that can be killed and started again on the same port.
Nothing here knows a page.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.setting_up import token_of, token_on
from tests.waiting import eventually
from vibe_app import frontend
from vibe_app.cli.server import Running
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.local import processes
from vibe_app.workspaces.runtimes.local.records import Name, Record

VIBE = Path(sys.executable).parent / "vibe"
PASSWORD = "correct-horse-9"
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html


class Installation:
    """A data folder, and the server that runs on it.

    Args:
        data: The folder; its database must be migrated.
        environment: Settings beside those of the folder, `VIBE_...`.
        name: Tells it from other servers on the same folder.
    """

    def __init__(self, data: Path, environment: dict[str, str] | None = None, name: str = "server") -> None:
        opencode = load_settings().opencode_binary
        assert opencode.is_file(), "OpenCode is missing: run `make test`, or `vibe setup` first"
        assert frontend.is_built(frontend.home()), "The frontend is not compiled: run `vibe setup` first"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VIBE_")}
        self.data = data
        self.url = ""
        self._log = data / f"{name}.log"
        self._environment = kept | {"VIBE_OPENCODE": str(opencode), "COLUMNS": "200"} | (environment or {})
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start the server and return once it answers; after the first time on the same port."""
        self._process = self._spawn()
        await eventually(lambda: self.running is not None or self._ended, seconds=60)
        assert self.running is not None, self.log()
        self.url = self.running.url
        self._port = int(self.url.rpartition(":")[2])

    @property
    def setup_token(self) -> str:
        """What the one-time link to the first account carries."""
        key = self._environment.get("VIBE_SECRET_KEY")
        return token_of(key) if key else token_on(self.data)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [VIBE, "serve", "--data", str(self.data), "--port", str(self._port)],
                env=self._environment,
                cwd=self.data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # As under systemd and in a container. Linux shares the processors out among sessions: in that
                # of the tests all servers, and the tests, would together get no more than one agent does
                # (https://man7.org/linux/man-pages/man7/sched.7.html, autogroups).
                start_new_session=True,
                preexec_fn=_end_with_the_tests,
            )

    @property
    def running(self) -> Running | None:
        """What the data folder says of this server."""
        assert self._process is not None
        return next((server for server in Running.all(self.data) if server.pid == self._process.pid), None)

    def workers(self, role: str = "web") -> list[psutil.Process]:
        """Return the processes beside the one that was started: those that serve, or their engine."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children()
        return [child for child in children if child.environ().get("VIBE_ROLE") == role]

    @property
    def _ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        """End the server as a power cut would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    async def end(self) -> None:
        """End the server as a person does."""
        assert self._process is not None
        if not self._ended:
            self._process.terminate()
            await eventually(lambda: self._ended, seconds=20)

    async def stop(self) -> list[psutil.Process]:
        """End the server and return what it left running in its workspaces, which is ended too."""
        await self.end()
        left = self.agents()
        for process in left:
            process.kill()
        await eventually(lambda: not self.agents())
        return left

    def agents(self, project: str | None = None, name: str = "") -> list[psutil.Process]:
        """Return what runs in the workspaces: OpenCode, sidecars, and whatever the agent started.

        Args:
            project: Only this project's.
            name: Only those whose command line contains it.
        """
        found = processes.of_workspace(self.data)
        members = [
            process for owner, those in found.items() if project in (None, str(owner)) for process in those
        ]
        # What puts the wall up has the command behind it in its own command line.
        named = [each for each in members if processes.runs(each) and name in _command(each)]
        return [each for each in named if not name or each.name() != "bwrap"]

    def services(self, project: str) -> set[int]:
        """Return the numbers of a workspace's services that run; commands come and go with OpenCode."""
        record = Record.model_validate_json((self.data / "run" / f"{project}.json").read_bytes())
        recorded = {service.pid for name in Name if (service := record.service(name))}
        return recorded & {process.pid for process in self.agents(project)}

    def workspace(self, project: str) -> Path:
        """Return the folder of a project's workspace."""
        return self.data / "workspaces" / project

    def base(self, project: str) -> Path:
        """Return the folder of its base branch's files."""
        return self.workspace(project) / "base"

    def tree(self, project: str, number: int = 1) -> Path:
        """Return the folder of a card's files."""
        return self.workspace(project) / "tasks" / str(number)

    def log(self) -> str:
        """Return what the server has said."""
        return self._log.read_text()


def _end_with_the_tests() -> None:
    """Have Linux tell this process to stop when those die that started it: their Ctrl-C does not reach it."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@asynccontextmanager
async def installed(
    data: Path, migrated: Path, environment: dict[str, str] | None = None
) -> AsyncIterator[Installation]:
    """A server on a new data folder; everything that it started has ended with it."""
    shutil.copy(migrated, data / "vibe.db")
    async with serving(Installation(data, environment)) as installation:
        yield installation


@asynccontextmanager
async def serving(installation: Installation) -> AsyncIterator[Installation]:
    """A server; everything that it started has ended with it."""
    await installation.start()
    try:
        yield installation
    finally:
        left = await installation.stop()
        sys.stdout.write(installation.log())  # shown with a failure
    assert left == [], "the server has left these running"
    # What our own pages send is known, whatever the tests did with them.
    assert "no page sends" not in installation.log()


class Api:
    """The REST API as one person; every call must succeed."""

    def __init__(self, url: str, token: str = "") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # No connection outlives its answer: a test that fails half way would leave it to the next one.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(base_url=f"{url}/api", headers=headers, timeout=30, limits=limits)

    async def __call__(self, method: str, path: str, **options: Any) -> Any:
        """Ask, and return the answer's JSON."""
        answer = await self._client.request(method, path, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
