"""A git server on loopback for tests: git's own `http-backend`, with a password where one is wanted."""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from typing_extensions import override

Api = Callable[[str, str, Mapping[str, str], bytes], tuple[int, Mapping[str, str], bytes]]


@dataclass
class GitServer:
    """What it serves, and what it was asked.

    Args:
        root: The folder with the repositories; each `*.git` in it is served.
        password: `user:token` that it wants; empty for none.
        moved: Path on which it answers with a redirect, and whereto.
        api: Answers what is below `/api/`: method, path with query, headers and body to status, headers and
            body. None answers nothing there.
    """

    root: Path
    password: str = ""
    moved: dict[str, str] = field(default_factory=dict[str, str])
    api: Api | None = None
    port: int = 0
    scheme: str = "http"
    asked: list[str] = field(default_factory=list[str])
    signed: list[str] = field(default_factory=list[str])

    def url(self, name: str, before: str = "") -> str:
        """The address of a repository."""
        return f"{self.scheme}://{before}127.0.0.1:{self.port}/{name}"


@contextmanager
def git_server(root: Path, password: str = "", tls: ssl.SSLContext | None = None) -> Iterator[GitServer]:
    """Serve the repositories of a folder, over TLS where a context is given."""
    server = GitServer(root, password, scheme="http" if tls is None else "https")

    class Handler(BaseHTTPRequestHandler):
        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            server.asked.append(self.path)
            if server.api is not None and self.path.startswith("/api/"):
                return self._api(server.api)
            sent = self.headers.get("Authorization", "")
            if sent:
                server.signed.append(base64.b64decode(sent.removeprefix("Basic ")).decode())
            for path, target in server.moved.items():
                if self.path.startswith(path):
                    self.send_response(301)
                    self.send_header("Location", target + self.path.removeprefix(path))
                    self.end_headers()
                    return
            if server.password and (not sent or server.signed[-1] != server.password):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._backend()

        def _api(self, api: Api) -> None:
            status, headers, content = api(self.command, self.path, dict(self.headers), self._body())
            # Whoever asked may have given up.
            with suppress(ConnectionError, ssl.SSLError):
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _backend(self) -> None:
            path, _, query = self.path.partition("?")
            body = self._body()
            env = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(server.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_ADDR": "127.0.0.1",
                # Who signed in may push.
                "REMOTE_USER": server.signed[-1].partition(":")[0] if server.signed else "",
            }
            done = subprocess.run(
                ["git", "http-backend"], env=env, input=body, capture_output=True, check=False
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            status = 200
            for line in head.decode().splitlines():
                if line.startswith("Status:"):
                    status = int(line.split()[1])
            self.send_response(status)
            for line in head.decode().splitlines():
                name, _, value = line.partition(": ")
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        listening.socket = tls.wrap_socket(listening.socket, server_side=True)
    server.port = listening.server_address[1]
    thread = Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
