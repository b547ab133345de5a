"""What a workspace's pod runs beside its services, as plain processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.waiting import eventually
from tests.workspace_services.git.git_server import git_server
from tests.workspace_services.git.test_repositories import publish
from tests.workspace_services.sidecar.stack import free_ports
from tests.workspaces.runtimes.conftest import STAND_IN, program
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.hermetic import WAKING_PATH
from vibe_app.workspaces.runtimes.layout import Layout

VIBE = Path(sys.executable).parent / "vibe"


def layout_of(volume: Path) -> Layout:
    """What OpenCode's container sees of a volume and what is beside it, on folders of this machine."""
    beside = volume.parent / f"{volume.name}-beside"
    return Layout(volume / "workspace", beside / "home", beside / "given")


def checkout(
    volume: Path, repo_url: str = "", credential: list[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `vibe checkout` on a volume."""
    asked = {"url": repo_url or None, "branch": None, "credential": credential}
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(volume),
        "VOLUME_DIR": str(volume),
        "REPOSITORY": json.dumps(asked),
        "VIBE_REPOSITORY_NETWORKS": "127.0.0.0/8",
        "MODEL_URL": "http://127.0.0.1:3004",
        **layout_of(volume).as_env(),
    }
    return subprocess.run(
        [VIBE, "checkout"], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_checkout_makes_an_empty_repository_once(tmp_path):
    assert checkout(tmp_path).returncode == 0
    assert (tmp_path / "workspace" / "hub" / "objects").is_dir()
    assert (tmp_path / "workspace" / "tasks").is_dir()
    assert (tmp_path / "opencode").is_dir()
    (tmp_path / "workspace" / "tasks" / "mine.txt").write_text("mine")
    assert checkout(tmp_path, "file:///nowhere").returncode == 0
    assert (tmp_path / "workspace" / "tasks" / "mine.txt").read_text() == "mine"


def test_checkout_signs_in_with_what_its_secret_holds(tmp_path):
    root, volume = tmp_path / "served", tmp_path / "volume"
    root.mkdir()
    volume.mkdir()
    with git_server(root, "me:a-long-token") as server:
        publish(server, "team.git", {"hello.txt": "hello"})
        failed = checkout(volume, server.url("team.git"), ["me", "a-wrong-token"])
        assert failed.returncode == 3
        assert "does not take the token" in failed.stderr
        assert "a-wrong-token" not in failed.stderr + failed.stdout
        assert checkout(volume, server.url("team.git"), ["me", "a-long-token"]).returncode == 0
    assert (volume / "workspace" / "base" / "hello.txt").read_text() == "hello"
    assert "a-long-token" not in (volume / "workspace" / "hub" / "config").read_text()


@pytest.mark.parametrize("url", ["file:///nowhere/at/all", "ext::sh -c id"])
def test_checkout_of_what_cannot_be_cloned_ends_with_a_sentence_and_leaves_nothing_half_done(tmp_path, url):
    failed = checkout(tmp_path, url)
    assert failed.returncode == 3
    assert "Traceback" not in failed.stderr
    assert "repository" in failed.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["gateway", "opencode"]


def test_a_volume_that_cannot_be_used_is_told(tmp_path):
    failed = checkout(tmp_path / "not there")
    assert failed.returncode == 3
    assert "The workspace's volume cannot be used: No such file or directory" in failed.stderr


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a pod's manifest gives to OpenCode's container, on folders of this machine."""
    volume = tmp_path / "volume"
    volume.mkdir()
    assert checkout(volume).returncode == 0
    (tmp_path / "kept").mkdir()
    names = [f"{name}PORT" for name in ("", "SERVER_", "MODEL_", "MODEL_DOOR_", "SWEEPER_")]
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(layout_of(volume).home),
        **layout_of(volume).as_env(),
        "OPENCODE_DATA_DIR": str(tmp_path / "kept"),
        "PROJECT_ID": "a-project",
        **dict(zip(names, map(str, free_ports(len(names))), strict=True)),
        "OPENCODE_SERVER_PASSWORD": "a password",
        "VIBE_MODEL_TOKEN": "a token",
        "VIBE_OPENCODE": str(program(tmp_path / "opencode", STAND_IN)),
    }


@contextmanager
def started(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """`vibe opencode-server`, ended with what it started."""
    process = start(environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


def start(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [VIBE, "opencode-server"],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def child(process: subprocess.Popen[str]) -> psutil.Process | None:
    """OpenCode, once it has been started."""
    for found in psutil.Process(process.pid).children():
        # What was run before it may just have ended.
        with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
            if "--port" in found.cmdline():
                return found
    return None


async def test_it_starts_opencode_on_what_was_handed_over_and_ends_with_it(environment, tmp_path):
    with started(environment) as process:
        await eventually(lambda: child(process), 30)
        opencode = child(process)
        assert opencode is not None
        given = opencode.environ()
        assert given["OPENCODE_SERVER_PASSWORD"] == "a password"
        assert given["VIBE_PROJECT_ID"] == "a-project"
        layout = layout_of(tmp_path / "volume")
        assert opencode.cwd() == str(layout.given)
        assert given["OPENCODE_CONFIG"] == str(layout.config)
        assert given["XDG_CONFIG_HOME"] == str(layout.settings)
        assert json.loads(layout.config.read_text())["model"] == "rehearsal/rehearsal"
        assert (layout.settings / "opencode" / "plugin" / "guard.js").is_file()
        assert os.readlink(given["XDG_DATA_HOME"]) == str(tmp_path / "kept")
        opencode.kill()
        assert process.wait(timeout=20) == 128 + signal.SIGKILL


async def test_whose_customer_opencode_is_was_forgotten_before_it_starts(environment, tmp_path):
    path = tmp_path / "kept" / "opencode" / "opencode.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.executescript("CREATE TABLE account (id text); INSERT INTO account VALUES ('a');")
    environment["VIBE_OPENCODE"] = str(load_settings().opencode_binary)
    with started(environment) as process:
        await eventually(lambda: child(process) or process.poll() is not None, 30)
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            assert database.execute("SELECT count(*) FROM account").fetchone() == (0,)


async def test_a_request_that_is_never_answered_is_asked_again(environment, tmp_path):
    """OpenCode never answers what comes in the moment in which it opens its port."""
    asked = tmp_path / "asked"
    asked.touch()
    deaf = STAND_IN.replace(
        "    def do_GET(self):\n",
        f"""    def do_GET(self):
        with open({str(asked)!r}, "a") as file:
            print(self.path, file=file, flush=True)
        if open({str(asked)!r}).read().count("/") < 2:
            threading.Event().wait()
""",
    )
    program(Path(environment["VIBE_OPENCODE"]), deaf)
    with started(environment) as process:
        await eventually(lambda: WAKING_PATH in asked.read_text().splitlines(), 30)
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert "did not answer" not in said


async def test_sigterm_ends_opencode_and_then_itself(environment):
    with started(environment) as process:
        await eventually(lambda: child(process), 30)
        opencode = child(process)
        assert opencode is not None
        process.terminate()
        assert process.wait(timeout=20) == 128 + signal.SIGTERM
        assert not opencode.is_running()


def test_an_environment_that_lacks_something_is_told(environment):
    del environment["PROJECT_ID"]
    with started(environment) as process:
        assert process.wait(timeout=60) == 3
        assert process.stderr is not None
        said = process.stderr.read()
    assert "PROJECT_ID must be set" in said


def test_a_missing_opencode_is_told(environment):
    environment["VIBE_OPENCODE"] = "/nowhere/opencode"
    with started(environment) as process:
        assert process.wait(timeout=60) == 3
        assert process.stderr is not None
        said = process.stderr.read()
    assert "OpenCode could not be started: No such file or directory (/nowhere/opencode)" in said
