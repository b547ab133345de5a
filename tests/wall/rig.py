"""Real OpenCode behind the wall or without it, as any user, and a model that runs what a test says."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from tests.waiting import eventually
from tests.workspace_services.sidecar.provider import Provider, providing, runs, says
from tests.workspace_services.sidecar.stack import direct, free_port, opencode_binary
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes import hermetic
from vibe_app.workspaces.runtimes.layout import Layout
from vibe_app.workspaces.runtimes.local import keeper, wall

PYTHON = "/usr/bin/python3"
"""What an ordinary user can read, which the interpreter of the tests may not be, and a command finds."""
PACKAGE = Path(hermetic.__file__).parents[2]
USER = 4711
"""An ordinary user that nobody else is."""


def needs() -> str:
    """What is missing here to put up a wall; empty for nothing."""
    found = wall.find(load_settings())
    return f"{found.reason} {found.cure}" if isinstance(found, wall.NoWall) else ""


def secret() -> str:
    """Something that no probe can know."""
    return f"SECRET-{secrets.token_hex(8)}"


@dataclass
class Behind:
    """One workspace with its OpenCode.

    Args:
        root: An empty folder that its user can reach.
        provider: The model.
        user: Whose processes they are; None for whoever runs the tests.
        walled: Whether there is a wall.
        memory: MiB that all in it may have; 0 is not bounded. `disk` likewise.
        wall: How the wall is put up; by default as it is found.
        guarded: Whether OpenCode is started as we start it. Otherwise it is by itself: it reads its
            configuration wherever it does.
        also: Further ports of loopback that are reached behind the wall.
    """

    root: Path
    provider: Provider
    user: int | None = None
    walled: bool = True
    memory: int = 0
    disk: int = 0
    wall: wall.Wall | None = None
    guarded: bool = True
    also: list[int] = field(default_factory=list[int])
    password: str = field(default_factory=secret)
    token: str = field(default_factory=secret)

    def __post_init__(self) -> None:
        self.data = self.root / "data"
        workspace, home, given = (self.data / kind / "one" for kind in ("workspaces", "homes", "given"))
        self.layout = Layout(workspace, home, given)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.terminal, self.named = -1, ""
        self.log = self.data / "logs" / "one-opencode.log"
        self.binary = self.data / "sealed" / "opencode"
        for folder in (workspace, home.parent, given.parent, self.log.parent, self.binary.parent):
            folder.mkdir(parents=True, exist_ok=True)
        self.tree = self.layout.tasks / "1"
        for folder in (self.layout.hub, self.layout.base, self.tree):
            folder.mkdir(parents=True)
        subprocess.run(["git", "init", "-q", "--bare", str(self.layout.hub)], check=True)
        subprocess.run(["git", "init", "-q", str(self.tree)], check=True)
        shutil.copyfile(opencode_binary(), self.binary)
        self.binary.chmod(0o111 if self.walled else 0o755)

    def in_terminal(self, *command: str) -> list[str]:
        """A command as its user runs it, in a session with a terminal whose other end is here."""
        if self.terminal < 0:
            self.terminal, theirs = os.openpty()
            self.named = os.ttyname(theirs)
            if self.user is not None:
                os.chown(self.named, self.user, self.user)
        # The first terminal that a session opens is its own.
        start = "import os, sys; os.setsid(); os.open(sys.argv[1], 2); os.execvp(sys.argv[2], sys.argv[2:])"
        return [*self.as_user(PYTHON, "-S", "-c", start), self.named, *command]

    def written(self) -> bytes:
        """What was written to the terminal."""
        os.set_blocking(self.terminal, False)
        try:
            return os.read(self.terminal, 1 << 16)
        except BlockingIOError:
            return b""

    def as_user(self, *command: str) -> list[str]:
        """A command as its user runs it."""
        if self.user is None:
            return list(command)
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", *command]

    def own(self) -> None:
        """Give the folder to its user."""
        if self.user is not None:
            subprocess.run(["chown", "-R", f"{self.user}:{self.user}", str(self.root)], check=True)

    def start(self) -> None:
        """Start OpenCode, and wait until it answers."""
        if self.guarded or not self.layout.home.exists():
            hermetic.prepare(self.layout)
        if not self.walled:
            # The guard writes over the environment that OpenCode was started with, wall or not: without it
            # the probes of that environment are seen to succeed.
            (self.layout.settings / "opencode" / "plugin" / "guard.js").write_text("export default {};\n")
        config = direct(hermetic.opencode_config(layout=self.layout, gateway_url=""), self.provider.url)
        hermetic.write_config(self.layout.workspace, config)
        env = hermetic.opencode_env(
            project_id="one",
            layout=self.layout,
            password=self.password,
            path="/usr/local/bin:/usr/bin:/bin",
            model_token=self.token,
        )
        if not self.guarded:
            env = _by_itself(env)
        command = [str(self.binary), "serve", "--hostname", "127.0.0.1", "--port", str(self.port)]
        self.own()
        with self.log.open("ab") as log:
            if self.walled:
                self.process = self._start_behind(command, env, log)
            else:
                self.process = subprocess.Popen(
                    self.in_terminal(*command),
                    env=env,
                    cwd=self.layout.given,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        asyncio.run(eventually(self._answers, 60))
        # As the sidecar does.
        self.ask("GET", hermetic.WAKING_PATH, seconds=30).raise_for_status()

    def _start_behind(self, command: list[str], env: dict[str, str], log: Any) -> subprocess.Popen[bytes]:
        found = self.wall or wall.find(load_settings())
        assert isinstance(found, wall.Wall), found
        rg = shutil.which("rg")
        programs = [self.binary, *([Path(rg)] if rg and self.user is None else [])]
        first, last = wall.arguments(found, self.layout, programs, [], [])
        hidden = {name: env.pop(name) for name in hermetic.SECRET_VARIABLES if name in env}
        plan = keeper.Plan(
            bubblewrap=found.bubblewrap,
            arguments=[
                *first,
                "--clearenv",
                *(word for name, value in env.items() for word in ("--setenv", name, value)),
            ],
            data=wall.data(self.layout),
            last=last,
            filter=wall.seccomp_filter(),
            before=hermetic.before_opencode(self.layout, self.binary),
            command=command,
            secrets=hidden,
            port=self.port,
            outward=[int(self.provider.url.rpartition(":")[2].partition("/")[0]), *self.also],
            memory=self.memory,
            disk=self.disk,
            folders=[str(self.layout.tasks), str(self.layout.home)],
            notices=str(self.layout.bounds),
        )
        package = self.root / "package" / PACKAGE.name
        if not package.exists():
            shutil.copytree(
                PACKAGE, package, ignore=lambda _, names: [n for n in names if n == "__pycache__"]
            )
        # In the server's own account the environment that the keeper has is the server's.
        process = subprocess.Popen(
            self.in_terminal(PYTHON, "-P", "-S", "-m", keeper.__name__),
            env={"PATH": os.defpath, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=self.data,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        assert process.stdin
        process.stdin.write(plan.to_json())
        process.stdin.close()
        return process

    def _answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, self.log.read_text()
        try:
            # What is asked in the moment in which it opens its port is never answered.
            self.ask("GET", "/global/health", seconds=2)
            return self.ask("GET", "/config", seconds=5 if self.guarded else 40).status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, method: str, path: str, body: Any = None, seconds: float = 5) -> httpx.Response:
        """Ask OpenCode, as the sidecar does."""
        with httpx.Client(trust_env=False, timeout=seconds) as client:
            return client.request(
                method,
                f"http://127.0.0.1:{self.port}{path}",
                json=body,
                auth=("opencode", self.password),
                headers={"x-opencode-directory": quote(str(self.tree))},
            )

    def bash_until_it_ends(self, command: str) -> None:
        """Have the model run a command that ends OpenCode."""
        self.provider.reset(lambda number, request: says("Done.") if _answered(request) else runs(command))
        session = self.ask("POST", "/session", {"title": "last"}).raise_for_status().json()["id"]
        part = {"type": "text", "text": "Run it."}
        self.ask("POST", f"/session/{session}/prompt_async", {"parts": [part]}).raise_for_status()

    def bash(self, command: str, seconds: float = 100) -> str:
        """Have the model run a command with OpenCode's bash tool; return what the tool says to the model."""
        self.provider.reset(lambda number, request: says("Done.") if _answered(request) else runs(command))
        part = {"type": "text", "text": "Run it."}
        try:
            session = self.ask("POST", "/session", {"title": "probe"}).raise_for_status().json()["id"]
            self.ask("POST", f"/session/{session}/message", {"parts": [part]}, seconds).raise_for_status()
        except httpx.TransportError as error:
            ended = self.process and self.process.poll()
            raise AssertionError(f"OpenCode ({ended}): {self.log.read_text()[-2000:]}") from error
        tools = [message for request in self.provider.requests for message in _tools(request)]
        assert tools, self.log.read_text()[-2000:]
        return str(tools[-1]["content"])

    def stop(self) -> None:
        """End it, and what is below it."""
        if self.process and self.process.poll() is None:
            if self.walled:
                self.process.kill()
            else:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


def _by_itself(env: dict[str, str]) -> dict[str, str]:
    """OpenCode's environment, without what of ours makes it read our configuration alone."""
    ours = ("OPENCODE_DISABLE_PROJECT_CONFIG", "OPENCODE_PURE", "OPENCODE_AUTH_CONTENT", "XDG_CONFIG_HOME")
    return {name: value for name, value in env.items() if name not in ours}


def _tools(request: dict[str, Any]) -> list[dict[str, Any]]:
    return [message for message in request["messages"] if message["role"] == "tool"]


def _answered(request: dict[str, Any]) -> bool:
    return bool(_tools(request)) or not request.get("tools")


@contextmanager
def behind(where: str = "/tmp", **options: Any) -> Iterator[Behind]:
    """A workspace that goes with the test; `start` is the test's.

    Args:
        where: Below which folder the data folder is to be.
        options: Those of `Behind`.
    """
    with ExitStack() as stack:
        root = Path(tempfile.mkdtemp(prefix="vibe-wall-", dir=where))
        root.chmod(0o755)
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        made = Behind(root, stack.enter_context(providing()), **options)
        stack.callback(made.stop)
        yield made
