"""Real OpenCode and real sidecars as processes, the way a runtime starts them, for the tests here."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

from vibe_app.workspaces.runtimes import hermetic
from vibe_app.workspaces.runtimes.layout import Layout

REPOSITORY = Path(__file__).parents[3]
DEADLINE = 30.0


def opencode_binary() -> Path:
    """The OpenCode under test: VIBE_OPENCODE, or the one that `make up` brought."""
    found = Path(os.environ.get("VIBE_OPENCODE") or REPOSITORY / ".vibe" / "tools" / "opencode")
    assert found.exists(), (
        f"OpenCode is missing at {found}: run `make up`, or set VIBE_OPENCODE to its binary."
    )
    return found


def free_ports(count: int) -> list[int]:
    """Different ports that were free a moment ago: asked for one by one, the same may come twice."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def free_port() -> int:
    """A port that was free a moment ago."""
    return free_ports(1)[0]


def direct(config: dict[str, Any], url: str) -> dict[str, Any]:
    """Have OpenCode ask a model at an address, with no gateway between: it is not what is tried here."""
    for entry in config["provider"].values():
        entry["options"]["baseURL"] = url
    return config


@dataclass
class Stack:
    """One workspace with its OpenCode and its sidecar."""

    root: Path
    config: dict[str, Any] = field(default_factory=dict)
    """Instead of the generated OpenCode configuration."""
    env: dict[str, str] = field(default_factory=dict)
    """Laid over OpenCode's environment."""
    project_id: str = field(default_factory=lambda: str(uuid4()))
    pace: str = "0"
    model_url: str = ""
    """Where the rehearsal model is asked; by default the sidecar itself, as in real life."""
    gateway_url: str = ""
    """Where the workspace's gateway takes the sidecar's calls; empty where it has none."""
    silence: float = 600
    """Seconds for which a model may keep its stream open without a word."""
    provider: str = ""
    """Whose models OpenCode is told of."""
    largest_file: int = 0
    """Bytes to which the sidecar may write a file; stands for a full disk."""

    def __post_init__(self) -> None:
        self.workspace = self.root / "workspace"
        self.home = self.root / "home"
        self.layout = Layout(self.workspace, self.home, self.root / "given")
        self.opencode_port, self.port = free_ports(2)
        self.token, self.password, self.key = "token-for-tests", "password-for-tests", "key-for-tests"
        self.url = f"http://127.0.0.1:{self.port}"
        self.opencode: subprocess.Popen[bytes] | None = None
        self.sidecar: subprocess.Popen[bytes] | None = None
        self.workspace.mkdir(exist_ok=True)
        run = lambda *words: subprocess.run(words, cwd=self.workspace, check=True, capture_output=True)  # noqa: E731
        run("git", "init", "-q")
        run(
            "git",
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@localhost",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "first",
        )

    def start_opencode(self) -> None:
        hermetic.prepare(self.layout, provider=self.provider)
        rehearsal = f"{self.model_url or self.url}/rehearsal/v1"
        config = self.config or direct(
            hermetic.opencode_config(layout=self.layout, gateway_url=""), rehearsal
        )
        hermetic.write_config(self.workspace, config)
        env = hermetic.opencode_env(
            project_id=self.project_id,
            layout=self.layout,
            password=self.password,
            path=os.environ["PATH"],
            model_token=self.key,
        )
        command = [
            str(opencode_binary()),
            "serve",
            "--hostname",
            "127.0.0.1",
            "--port",
            str(self.opencode_port),
        ]
        with (self.root / "opencode.log").open("ab") as log:
            self.opencode = subprocess.Popen(
                command,
                cwd=self.layout.given,
                env=env | self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_sidecar(self) -> None:
        env = {
            "PATH": os.environ["PATH"],
            "WORKSPACE_DIR": str(self.workspace),
            "PORT": str(self.port),
            "PROJECT_ID": self.project_id,
            "OPENCODE_URL": f"http://127.0.0.1:{self.opencode_port}",
            "OPENCODE_SERVER_PASSWORD": self.password,
            "SIDECAR_TOKEN": self.token,
            "OPENCODE_HOME": str(self.home),
            "GUIDANCE_FILE": str(self.layout.guidance),
            "GATEWAY_URL": self.gateway_url,
            "REHEARSAL_KEY": self.key,
            "REHEARSAL_PACE": self.pace,
            "MODEL_SILENCE": str(self.silence),
        }
        command = [sys.executable, "-m", "vibe_app.workspace_services.sidecar"]
        if self.largest_file:
            command = ["prlimit", f"--fsize={self.largest_file}", *command]
        with (self.root / "sidecar.log").open("ab") as log:
            self.sidecar = subprocess.Popen(command, cwd=REPOSITORY, env=env, stdout=log, stderr=log)

    async def start(self) -> None:
        self.start_opencode()
        self.start_sidecar()
        await self.ready()

    async def ready(self, path: str = "/ready") -> None:
        """Wait until the sidecar says so."""
        async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    if (await client.get(f"{self.url}{path}")).status_code == 200:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.05)  # a process is starting; there is only its port to look at

    def opencode_client(self, folder: Path) -> httpx.AsyncClient:
        """A client of OpenCode itself, seen from a folder."""
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.opencode_port}",
            auth=("opencode", self.password),
            headers={"x-opencode-directory": quote(str(folder))},
            timeout=DEADLINE,
            trust_env=False,
        )

    def kill(self, process: subprocess.Popen[bytes] | None, how: signal.Signals = signal.SIGKILL) -> None:
        if process and process.poll() is None:
            process.send_signal(how)
            process.wait(10)

    def close(self) -> None:
        self.kill(self.sidecar, signal.SIGTERM)
        self.kill(self.opencode)
        shutil.rmtree(self.home, ignore_errors=True)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=DEADLINE,
            trust_env=False,
        )

    def tree(self, number: int) -> Path:
        """A card's tree, made if need be."""
        path = self.layout.tasks / str(number)
        if not path.exists():
            path.mkdir(parents=True)
            subprocess.run(["git", "init", "-q"], cwd=path, check=True)
        return path

    async def begin(self, prompt: str, session_id: str | None = None, **more: Any) -> str:
        """Start a session and return its id.

        Args:
            prompt: What the agent is told.
            session_id: The session's id; a new one by default.
            more: Further fields of `StartSession`.
        """
        session_id = session_id or str(uuid4())
        async with self.client() as client:
            body = {"session_id": session_id, "prompt": prompt, **more}
            answer = await client.post("/sessions", json=body)
        assert answer.status_code == 200, answer.text
        return session_id

    async def state(self, session_id: str) -> dict[str, Any]:
        async with self.client() as client:
            return (await client.get(f"/sessions/{session_id}")).json()

    async def live(self) -> set[str]:
        """The ids of the sessions that it says are not over."""
        async with self.client() as client:
            answer = await client.get("/sessions")
            return {state["session_id"] for state in answer.raise_for_status().json()["sessions"]}

    async def stop(self, session_id: str) -> dict[str, Any]:
        async with self.client() as client:
            return (await client.post(f"/sessions/{session_id}/stop")).json()

    async def stream(self, session_id: str, after: int = 0) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of one connection, each with its `seq`; ends when the connection does."""
        headers = {"Last-Event-ID": str(after)} if after else {}
        async with self.client() as client:
            try:
                async with client.stream(
                    "GET", f"/sessions/{session_id}/stream", headers=headers
                ) as response:
                    assert response.status_code == 200
                    seq = 0
                    buffer = b""
                    async for chunk in response.aiter_raw():
                        *lines, buffer = (buffer + chunk).split(b"\n")
                        for line in lines:
                            if line.startswith(b"id: "):
                                seq = int(line[4:])
                            elif line.startswith(b"data: "):
                                yield {"seq": seq, **json.loads(line[6:])}
            except httpx.HTTPError:
                return

    async def events(self, session_id: str, limit: float = DEADLINE) -> list[dict[str, Any]]:
        """Follow a session to its end and return all its events."""
        async with asyncio.timeout(limit):
            return [event async for event in self.stream(session_id)]

    async def until(self, session_id: str, text: str, after: int = 0) -> list[dict[str, Any]]:
        """Follow a session until a text was shown as output, and return the events up to there."""
        seen: list[dict[str, Any]] = []
        async with asyncio.timeout(DEADLINE):
            async for event in self.stream(session_id, after):
                seen.append(event)
                if text in output(seen):
                    return seen
        raise AssertionError(f"{text!r} was never shown: {seen}")


@contextmanager
def running(stack: Stack, *, opencode: bool = True) -> Iterator[Stack]:
    """Start a stack (without OpenCode: only its sidecar), and end its processes."""
    try:
        if opencode:
            asyncio.run(stack.start())
        else:
            stack.start_sidecar()
            asyncio.run(stack.ready("/health"))
        yield stack
    finally:
        stack.close()


def output(events: list[dict[str, Any]]) -> str:
    """What the events say as one stream of text."""
    return "".join(event["text"] for event in events if event["type"] == "output")


def texts(events: list[dict[str, Any]], kind: str) -> list[str]:
    """The texts of one type of event."""
    return [event["text"] for event in events if event["type"] == kind]
