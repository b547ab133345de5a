"""The examples of docs/api.md, run as they stand there against a real server."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.api.conftest import PASSWORD, Board, serving
from tests.conftest import ROOT
from tests.fakes import FakeRuntime, Script, ScriptedSidecar
from vibe_app.workspace_services.common.serving import Listening
from vibe_app.workspace_services.file_browser.app import Config, create_app
from vibe_app.workspaces.runtimes.base import Progress, WorkspaceSpec


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language, in order."""
    text = (ROOT / "docs" / "api.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def script(start: Any) -> Script:
    """Write a README at once, and never end with anything long."""
    if "long" in start.prompt:
        return Script.endless()
    return Script(events=[("status", "Reading the files", 0.0), ("output", "Wrote README.md\n", 0.05)])


class RuntimeWithFiles(FakeRuntime):
    """Its workspaces have a real file browser."""

    def __init__(self, folder: Path) -> None:
        super().__init__(lambda _: ScriptedSidecar(script))
        self.folder = folder
        self.browser: ASGIApp

    async def starting(self, spec: WorkspaceSpec, progress: Progress | None) -> None:
        await super().starting(spec, progress)
        self.browser = create_app(Config(self.folder, Listening(spec.keys.token)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.browser(scope, receive, send)


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[FakeRuntime]:
    (tmp_path / "workspace").mkdir()
    runtime = RuntimeWithFiles(tmp_path / "workspace")
    async with serving(runtime) as runtime.files_url:
        yield runtime


async def run(*command: str, **environment: str) -> str:
    """Run a program to its end and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode() + out.decode()
    return out.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl(board: Board, address: str) -> None:
    shell = blocks("bash")
    assert len(shell) == 5
    printed = await run(
        "bash", "-euo", "pipefail", "-c", "\n".join(shell),
        VIBE_URL=address, VIBE_EMAIL="editor@example.org", VIBE_PASSWORD=PASSWORD,
    )  # fmt: skip
    assert 'data: {"type": "output", "text": "Wrote README.md\\n"' in printed
    assert '"text": "Session completed"' in printed
    assert '"status": "completed"' in printed
    assert "Keep it short." in printed
    assert '{"message":"Session stopped"}' in printed
    assert printed.endswith("notes/a.txt\n")


async def test_python(board: Board, address: str) -> None:
    [code] = blocks("python")
    token = (await board.editor.post("/tokens", json={"name": "docs", "scopes": ["run", "write"]})).json()[
        "token"
    ]
    printed = await run(sys.executable, "-c", code, VIBE_URL=address, VIBE_TOKEN=token)
    lines = printed.splitlines()
    assert lines[0] in ("running", "completed")
    assert lines[1].endswith(" status Reading the files")
    assert lines[2].endswith(" output Wrote README.md")
    assert lines[3].endswith(" done Session completed")
    assert re.fullmatch(r"completed \d+ ms", lines[4])
    assert lines[5:] == ["Session stopped"]


def test_every_address_of_the_page_exists(document: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    known = [re.sub(r"\{\w+\}", "*", path) for path in document["paths"]]
    named = re.findall(r"`(?:GET |POST |DELETE )(/api/[^`? ]*)", text)
    assert len(named) > 6
    for path in named:
        assert re.sub(r"\{\w+\}", "*", path.removeprefix("/api")) in known, path
