"""What a command leaves makes no later OpenCode send its token elsewhere, nor start or load anything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.wall import rig
from tests.wall.rig import PYTHON, behind

LURING = Path(__file__).with_name("luring.py")
PLANTING = Path(__file__).with_name("planting.py")
KEPT_FROM = {"home-configuration", "home-plugin", "home-tool"}
FETCHED = {"account", "login"}
EVERYTHING = (
    KEPT_FROM
    | FETCHED
    | {"tree-configuration", "tree-folder", "tree-plugin", "tree-tool", "user-configuration", "user-plugin"}
)

pytestmark = pytest.mark.timeout(240)


@dataclass
class Host:
    """Somebody else's host, which the network allows: what OpenCode asks there, and with which headers."""

    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


@contextmanager
def elsewhere() -> Iterator[Host]:
    """A host that has OpenCode ask it about models too, and then refuses for good."""
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.asked.append((self.path, str(self.headers)))
            config = {"provider": {"rehearsal": {"options": {"baseURL": f"{host.url}/fetched"}}}}
            known = {"auth": {"command": ["true"], "env": "K"}, "config": config}
            self.answer(200, {"config": config} if self.path.endswith("/api/config") else known)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            host.asked.append((self.path, str(self.headers)))
            self.answer(402, {"error": {"message": "no"}})

        def answer(self, status: int, body: object) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield host
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Led:
    """Where the second OpenCode was led.

    Args:
        said: What the planting command said.
        marks: Names of what was started or loaded, with what it could read of the secrets.
        fetched: Names of what was asked of the other host.
        leaked: Whether one of OpenCode's secrets was sent there.
        talks: Titles of the talks that OpenCode knows.
    """

    said: str
    marks: dict[str, str]
    fetched: set[str]
    leaked: bool
    talks: list[str]


def attack(*, walled: bool) -> Led:
    """Have a command plant all it can, and another OpenCode start in the same files."""
    with (
        elsewhere() as host,
        behind(walled=walled, guarded=walled, also=[int(host.url.rpartition(":")[2])]) as workspace,
    ):
        workspace.start()
        tree, layout = workspace.tree, workspace.layout
        shutil.copy(PLANTING, tree)
        said = workspace.bash(f"{PYTHON} planting.py {tree} {layout.home} {layout.given} {host.url}")
        workspace.stop()
        host.asked.clear()
        workspace.start()
        session = workspace.ask("POST", "/session", {"title": "second"}, 30).raise_for_status().json()["id"]
        part = {"type": "text", "text": "Say something."}
        workspace.ask("POST", f"/session/{session}/message", {"parts": [part]}, 60).raise_for_status()
        marks = tree / "marks"
        lines = marks.read_text().splitlines() if marks.exists() else []
        secrets = (workspace.password, workspace.token)
        return Led(
            said,
            {name: told for name, _, told in (line.partition(" ") for line in lines)},
            {path.split("/")[1] for path, _ in host.asked},
            any(secret in headers for _, headers in host.asked for secret in secrets),
            [talk["title"] for talk in workspace.ask("GET", "/session").json()],
        )


def lured(*, walled: bool) -> list[str]:
    """What a running OpenCode asks of an address that a command of its own has put into its database."""
    with behind(walled=walled) as workspace:
        workspace.start()
        layout = workspace.layout
        folder = layout.tasks / "another"
        folder.mkdir()
        shutil.copy(LURING, workspace.tree)
        workspace.own()
        said = workspace.bash(f"{PYTHON} luring.py {layout.home} {workspace.port} {folder}")
        return json.loads(said.rpartition("asked ")[2].splitlines()[0])


def left(said: str) -> set[str]:
    """Names of what could be planted."""
    return set(json.loads(said.rpartition("left ")[2].splitlines()[0]))


def test_what_a_command_leaves_behind_leads_no_later_opencode_astray() -> None:
    assert not (missing := rig.needs()), missing
    led = attack(walled=True)
    assert left(led.said) == EVERYTHING - KEPT_FROM
    assert (led.marks, led.fetched, led.leaked) == ({}, set(), False)
    assert led.talks == ["second", "probe"], "what was said before is still there"


def test_by_itself_opencode_follows_all_of_it() -> None:
    led = attack(walled=False)
    assert left(led.said) == EVERYTHING
    assert led.marks.keys() | led.fetched >= EVERYTHING
    assert led.fetched >= FETCHED
    assert led.leaked
    assert any("SECRET-" in told for told in led.marks.values())


def test_a_running_opencode_does_not_ask_for_the_configuration_of_an_account() -> None:
    assert not (missing := rig.needs()), missing
    assert lured(walled=True) == []


def test_without_its_guard_it_does() -> None:
    assert lured(walled=False) == ["/api/config"]
