"""Programs from npm's registry on a machine without npm: the right file, or none."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from vibe_app.cli import npm, tools
from vibe_app.cli.steps import StepError
from vibe_app.settings import Settings

PROGRAM = b"#!/bin/sh\necho 1.4.5\n"
KIND = "linux-x64"


def archive(content: bytes) -> bytes:
    """Return a package as npm publishes it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as files:
        member = tarfile.TarInfo("package/bin/bun")
        member.size = len(content)
        files.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def integrity(content: bytes) -> str:
    """Return a hash as npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


class Registry(ThreadingHTTPServer):
    """npm's registry, as far as one archive goes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Archives)
        self.answer = archive(PROGRAM)
        self.cut = 0
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}/registry/"


class _Archives(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        """Send the archive, the end of it cut off where the test wants that."""
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer[: len(self.server.answer) - self.server.cut])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    """A registry that this machine is set to, which has no npm."""
    server = Registry()
    thread = Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(npm, "find_spec", lambda name: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(tools, "machine_kinds", lambda: [KIND])
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings on an empty data folder."""
    return Settings(data=tmp_path / "data")


@pytest.fixture
def program(registry: Registry) -> tools.NpmProgram:
    """A program whose package is the one of the registry."""
    packages = {KIND: ("@oven/bun-linux-x64", integrity(registry.answer))}
    return tools.NpmProgram("bun", "1.4.5", "bin/bun", packages)


def test_a_program_is_fetched_checked_and_ready_to_run(registry, program, settings: Settings):
    path = Path(tools.install(settings, program))
    assert path.read_bytes() == PROGRAM
    assert path.stat().st_mode & 0o111
    assert registry.asked == ["/registry/@oven/bun-linux-x64/-/bun-linux-x64-1.4.5.tgz"]
    assert sorted(file.name for file in settings.tools.iterdir()) == ["bun", "bun.version"]


def test_another_archive_than_the_pinned_one_is_refused(registry, program, settings: Settings):
    registry.answer = archive(b"#!/bin/sh\necho something else\n")
    with pytest.raises(StepError, match="its hash is another"):
        tools.install(settings, program)
    assert list(settings.tools.iterdir()) == []


def test_a_download_that_breaks_off_leaves_nothing_and_says_what_to_do(registry, program, settings: Settings):
    registry.cut = 10
    with pytest.raises(StepError, match="could not be fetched") as broken:
        tools.install(settings, program)
    assert "start again" in broken.value.cure
    assert list(settings.tools.iterdir()) == []


def test_the_registry_is_the_variable_s_then_the_file_s_then_npm_s_own(registry, tmp_path: Path, monkeypatch):
    assert npm.registry(tmp_path) == registry.url
    monkeypatch.delenv("NPM_CONFIG_REGISTRY")
    monkeypatch.delenv("npm_config_registry", raising=False)
    (tmp_path / ".npmrc").write_text(
        "fund = false\nregistry = https://npm.example.org/\n@x:registry=https://x/\n"
    )
    assert npm.registry(tmp_path) == "https://npm.example.org/"
    (tmp_path / ".npmrc").unlink()
    assert npm.registry(tmp_path) == npm.DEFAULT_REGISTRY
