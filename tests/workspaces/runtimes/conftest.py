"""What the tests of runtimes share: the real OpenCode, and small programs that stand in for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vibe_app.settings import Settings

# Answers what the sidecar asks before it calls itself ready, and starts in a tenth of a second.
STAND_IN = f"""#!{sys.executable}
import http.server, sys, threading

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        if self.path.startswith("/global/event"):
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b'data: {{"payload": {{"type": "server.connected", "properties": {{}}}}}}\\n\\n')
            self.wfile.flush()
            threading.Event().wait()
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{{}}")

port = int(sys.argv[sys.argv.index("--port") + 1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
server.daemon_threads = True
server.serve_forever()
"""


@pytest.fixture(scope="session")
def opencode() -> Path:
    """The real OpenCode, as `vibe setup` installs it or `VIBE_OPENCODE` names it."""
    binary = Settings().opencode_binary  # pyright: ignore[reportCallIssue]  # everything has a default
    assert binary.is_file(), f"OpenCode is not installed at {binary}: run `make setup` or set VIBE_OPENCODE"
    return binary


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A program that starts like OpenCode and answers as little as the sidecar needs."""
    return program(tmp_path / "stand-in", STAND_IN)


def program(path: Path, text: str) -> Path:
    """Write an executable file."""
    path.write_text(text)
    path.chmod(0o755)
    return path


def local_settings(data: Path, opencode: Path, **more: object) -> Settings:
    """Settings of a local installation in `data`.

    A stand-in is a Python script: behind the wall there is nothing to run it with.
    """
    more = {"sandbox": "off" if opencode.name == "stand-in" else "on"} | more
    return Settings(data=data, opencode=str(opencode), **more)  # pyright: ignore
