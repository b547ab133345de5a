"""The file browser as a process: its variables, its start and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.waiting import eventually
from tests.workspace_services.sidecar.stack import REPOSITORY, free_port
from vibe_app.workspace_services.common.serving import Listening
from vibe_app.workspace_services.file_browser.app import Config, create_app

ENV = {"PATH": os.environ["PATH"], "SIDECAR_TOKEN": "token"}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SIDECAR_TOKEN", "", "SIDECAR_TOKEN must be set."),
        ("WORKSPACE_DIR", "/nowhere", "there is no folder /nowhere"),
        ("PORT", "x", "PORT must be a number from 1 to 65535, not 'x'."),
        ("FILES_UPLOAD_MIB", "0", "FILES_UPLOAD_MIB must be a number from 1"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be"),
    ],
)
def test_variables_that_cannot_be_used(tmp_path: Path, name: str, value: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Config.from_env(ENV | {"WORKSPACE_DIR": str(tmp_path)} | {name: value})


def test_without_its_variables_the_command_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vibe_app.workspace_services.file_browser"],
        env={"PATH": ENV["PATH"], "WORKSPACE_DIR": "/nowhere"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "WORKSPACE_DIR: there is no folder /nowhere.",
        "SIDECAR_TOKEN must be set.",
    ]


@pytest.fixture
def browser(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A file browser as a process; its address and the process."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "vibe_app.workspace_services.file_browser"],
        env=ENV | {"WORKSPACE_DIR": str(folder), "PORT": str(port)},
        cwd=REPOSITORY,
        stderr=subprocess.DEVNULL,
    )
    yield f"http://127.0.0.1:{port}", process
    process.kill()
    process.wait(10)


async def test_it_tidies_at_its_start_and_ends_at_once(
    folder: Path, browser: tuple[str, subprocess.Popen[bytes]]
) -> None:
    url, process = browser
    drafts = folder / ".opencode" / "drafts"
    drafts.mkdir()
    (drafts / "left").touch()
    headers = {"Authorization": "Bearer token"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=10) as client:

        async def up() -> bool:
            try:
                return (await client.get("/ready")).status_code == 200
            except httpx.ConnectError:
                return False

        await eventually(up, 30)
        assert os.listdir(drafts) == []
        assert (await client.get("/files/content", params={"path": "in"})).json()["content"] == "inside\n"
        assert (await client.get("/files/content", params={"path": "pipe"})).status_code == 400
        assert (await client.get("/nothing")).json()["code"] == "no_such_route"
        assert (await client.post("/files")).json()["code"] == "method_not_allowed"
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: process.poll() is not None, 5)


def _descriptors(process: subprocess.Popen[bytes]) -> int:
    return len(os.listdir(f"/proc/{process.pid}/fd"))


async def test_numbers_of_thousands_of_digits_are_answered_and_no_descriptor_stays_open(
    folder: Path, browser: tuple[str, subprocess.Popen[bytes]]
) -> None:
    address, process = browser
    (folder / "report.txt").write_bytes(b"0123456789")
    digits = "9" * 5000
    headers = {"Authorization": "Bearer token"}
    asked = {f"bytes={digits}-": 416, f"bytes=0-{digits}": 206, f"bytes=-{digits}": 206}
    async with httpx.AsyncClient(base_url=address, headers=headers, trust_env=False) as client:

        async def reads() -> bool:
            try:
                return (
                    await client.get("/files/download", params={"path": "report.txt"})
                ).text == "0123456789"
            except httpx.ConnectError:
                return False

        await eventually(reads, 30)
        before = _descriptors(process)
        for _ in range(200):
            for header, status in asked.items():
                answer = await client.get(
                    "/files/download", params={"path": "report.txt"}, headers={"Range": header}
                )
                assert answer.status_code == status, header
        for path, query in (
            ("/files/content", {"path": "report.txt", "offset": digits}),
            ("/files", {"page": digits}),
        ):
            assert (await client.get(path, params=query)).status_code == 400
        await eventually(lambda: _descriptors(process) <= before)


async def test_an_upload_of_a_size_of_thousands_of_digits_is_too_large(folder: Path) -> None:
    app = create_app(Config(folder, Listening("token")))
    headers = {"Authorization": "Bearer token", "Content-Length": "9" * 5000}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://files") as client:
        answer = await client.put("/files/content", params={"path": "a"}, content=b"x", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert not (folder / "a").exists()
