"""Sidecar and gateway in one container: each with its own secrets, and neither without the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.waiting import eventually
from tests.workspace_services.sidecar.stack import free_ports
from vibe_app.cli.pair import environments

VIBE = Path(sys.executable).parent / "vibe"
SECRETS = {
    "SIDECAR_TOKEN": "the-token",
    "OPENCODE_SERVER_PASSWORD": "the-password",
    "REHEARSAL_KEY": "the-rehearsal-key",
    "GATEWAY_TOKEN": "the-model-token",
}


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """What a pod's manifest gives to the container, on folders of this machine."""
    (tmp_path / "workspace").mkdir()
    names = ("PORT", "MODEL_PORT", "CONTROL_PORT", "PROXY_PORT")
    return SECRETS | {
        "PATH": os.environ["PATH"],
        "WORKSPACE_DIR": str(tmp_path / "workspace"),
        "JOURNAL_DIR": str(tmp_path / "gateway"),
        "PROJECT_ID": "a-project",
        "OPENCODE_URL": "http://127.0.0.1:9",
        **dict(zip(names, map(str, free_ports(len(names))), strict=True)),
    }


@contextmanager
def started(env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([VIBE, "sidecar-and-gateway"], env=env, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        for each in (*psutil.Process(process.pid).children(), process) if process.poll() is None else ():
            each.kill()
        process.wait(20)


def children(process: subprocess.Popen[bytes]) -> dict[str, psutil.Process]:
    return {each.cmdline()[-1].rpartition(".")[2]: each for each in psutil.Process(process.pid).children()}


async def healthy(env: dict[str, str]) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            found = [
                await client.get(f"http://127.0.0.1:{env[name]}/health") for name in ("PORT", "CONTROL_PORT")
            ]
        except httpx.HTTPError:
            return False
    return [each.status_code for each in found] == [200, 200]


@pytest.mark.parametrize("dying", ["sidecar", "gateway"])
async def test_both_answer_and_whichever_ends_takes_the_other_with_it(
    env: dict[str, str], dying: str
) -> None:
    with started(env) as process:
        await eventually(lambda: healthy(env), 30)
        both = children(process)
        assert set(both) == {"sidecar", "gateway"}
        both[dying].kill()
        await eventually(lambda: process.poll() is not None, 20)
        assert process.returncode == 128 + signal.SIGKILL
        assert not any(each.is_running() for each in both.values())


async def test_asked_to_end_both_end(env: dict[str, str]) -> None:
    with started(env) as process:
        await eventually(lambda: healthy(env), 30)
        both = children(process)
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: process.poll() is not None, 20)
        assert process.returncode == 0
        assert not any(each.is_running() for each in both.values())


def test_each_is_given_its_own_secrets(env: dict[str, str]) -> None:
    found = {name.rpartition(".")[2]: set(given.values()) for name, given in environments(env).items()}
    own = {name: {value for value in SECRETS.values() if value in given} for name, given in found.items()}
    assert own["gateway"] == {"the-token", "the-model-token"}
    assert own["sidecar"] == {"the-token", "the-password", "the-rehearsal-key"}


def test_a_missing_variable_is_named(env: dict[str, str]) -> None:
    del env["JOURNAL_DIR"]
    run = subprocess.run(
        [VIBE, "sidecar-and-gateway"], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 2
    assert "JOURNAL_DIR" in run.stderr
