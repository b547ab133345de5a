"""Starts an installation of its own for a bench, and talks to it as its first person."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.served import TOKEN, URL
from tests.waiting import eventually
from vibe_app import frontend
from vibe_app.accounts.proof import Signer
from vibe_app.cli.server import Running
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.base import Endpoint

VIBE = Path(sys.executable).with_name("vibe")
PERSON = {"email": "ada@example.org", "name": "Ada", "password": "correct horse battery"}


class NotReady(Exception):
    """Something that set-up brings is missing; the message says what to do."""


@dataclass
class App:
    """A server that answers, signed in.

    Attributes:
        serve: Starts one more server of the same installation, which ends with the first.
    """

    url: str
    data: Path
    process: subprocess.Popen[bytes]
    api: httpx.AsyncClient
    token: str
    cookie: str
    key: str
    serve: Callable[[], subprocess.Popen[bytes]]

    async def turn_to(self, process: subprocess.Popen[bytes]) -> None:
        """Talk to another server of the same installation from now on."""
        self.process = process
        self.url = await address(self.data, process)
        self.api.base_url = f"{self.url}/api"

    @property
    def cookies(self) -> list[dict[str, Any]]:
        """The login, as a browser wants it."""
        return [{"name": "vibe_login", "value": self.cookie, "url": self.url, "httpOnly": True}]

    async def ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Call the API with a JSON body; return what it answers."""
        answer = await self.api.request(method, path, json=body or None)
        answer.raise_for_status()
        return answer.json()

    async def project(self, name: str = "Bench", **more: Any) -> str:
        """Make a project and return its path below /api."""
        return f"/projects/{(await self.ask('POST', '/projects', name=name, **more))['id']}"

    async def task(self, project: str, title: str = "Say many lines") -> str:
        """Make a card and return its path below /api."""
        return f"{project}/tasks/{(await self.ask('POST', f'{project}/tasks', title=title))['id']}"

    def page(self, path: str) -> str:
        """Return the address of the page of a project or a task."""
        return self.url + path.replace("/projects/", "/p/").replace("/tasks/", "/t/")


def data_folder(**variables: str) -> tempfile.TemporaryDirectory[str]:
    """Make a data folder, and migrate its database or the one that the variables name."""
    if not frontend.is_current(frontend.home()):
        raise NotReady("The compiled frontend is not the one of these sources: run `vibe setup` first.")
    folder = tempfile.TemporaryDirectory(prefix="vibe-bench-", ignore_cleanup_errors=True)
    done = subprocess.run(
        [str(VIBE), "db", "upgrade", "--data", folder.name],
        env=environment(**variables),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise NotReady(f"The database could not be made: {done.stdout}{done.stderr}")
    return folder


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a server, with no setting but those given and the OpenCode of set-up."""
    opencode = load_settings().opencode_binary
    if not opencode.is_file():
        raise NotReady("OpenCode is missing: run `vibe setup` first.")
    # PYTHON… as well: where a developer has compiled modules not kept, every start compiles them again.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIBE_", "PYTHON"))}
    return {**kept, "VIBE_OPENCODE": str(opencode), "VIBE_LOG_LEVEL": "warning", **more}


def start(command: Sequence[str], variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a server."""
    return subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def vibe_serve(data: Path, **variables: str) -> subprocess.Popen[bytes]:
    """Start `vibe serve` on a free port."""
    return start([str(VIBE), "serve", "--data", str(data), "--port", "0"], environment(**variables))


async def address(data: Path, process: subprocess.Popen[bytes]) -> str:
    """Return where a server of a data folder answers, as soon as it does."""
    deadline = time.monotonic() + 60
    while True:
        for running in Running.all(data):
            if running.pid == process.pid:
                return running.url
        if process.poll() is not None or time.monotonic() > deadline:
            raise NotReady(f"The server did not come up (status {process.poll()}).")
        await asyncio.sleep(0.002)


async def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server as a person does, and wait until it has ended."""
    process.terminate()
    await asyncio.to_thread(process.wait, 40)


@asynccontextmanager
async def app(sidecar: Endpoint | None = None, **variables: str) -> AsyncIterator[App]:
    """Run a fresh installation: `vibe serve`, or with a sidecar in place of its workspaces' own."""
    with data_folder(**variables) as folder:
        data = Path(folder)
        processes: list[subprocess.Popen[bytes]] = []

        def serve() -> subprocess.Popen[bytes]:
            if sidecar is None:
                processes.append(vibe_serve(data, **variables))
            else:
                given = environment(**{URL: sidecar.url, TOKEN: sidecar.token}, **variables)
                processes.append(start([sys.executable, "-m", "bench.served", str(data)], given))
            return processes[-1]

        try:
            url = await address(data, serve())
            async with httpx.AsyncClient(base_url=f"{url}/api", timeout=60, trust_env=False) as api:
                answer = await api.post("/auth/setup", json=PERSON | {"setup_token": _setup_token(data)})
                answer.raise_for_status()
                login = answer.json()
                token, cookie = login["access_token"], answer.cookies["vibe_login"]
                api.headers["Authorization"] = f"Bearer {token}"
                api.cookies.clear()
                yield App(url, data, processes[0], api, token, cookie, login["key"], serve)
        finally:
            for process in processes:
                await stop(process)


def _setup_token(data: Path) -> str:
    return Signer((data / "secret.key").read_text().strip()).set_up_token()


async def status_is(app: App, task: str, *statuses: str, seconds: float = 60) -> dict[str, Any]:
    """Return a card's session once it is in one of these statuses."""
    found: list[dict[str, Any]] = []

    async def reached() -> bool:
        found[:] = (await app.ask("GET", f"{task}/sessions"))["sessions"]
        return bool(found) and found[0]["status"] in statuses

    await eventually(reached, seconds)
    return found[0]
