"""A model provider that answers as a test says: a real HTTP server that speaks chat completions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

Json = dict[str, Any]


@dataclass
class Answer:
    """One answer: its status, its headers, and its body in pieces, each sent as it is made."""

    body: Iterable[bytes]
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})


def chunk(delta: Json, finish: str | None = None) -> bytes:
    """One piece of a streamed chat completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


USAGE = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],'
    b'"usage":{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105}}\n\n'
)
END = b"data: [DONE]\n\n"


def says(text: str, finish: str | None = "stop", thinking: str = "") -> Answer:
    """An answer of words, ended with a finish reason or, with None, by its stream's end."""
    pieces = [chunk({"role": "assistant", "content": ""})]
    pieces += [chunk({"reasoning_content": thinking})] if thinking else []
    pieces += [chunk({"content": text})] if text else []
    pieces += [chunk({}, finish)] if finish else []
    return Answer([*pieces, USAGE, END])


def calls(name: str, arguments: Json | str, text: str = "", finish: str | None = "tool_calls") -> Answer:
    """An answer that calls one tool."""
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
    call = {
        "index": 0,
        "id": f"call_{time.monotonic_ns()}",
        "type": "function",
        "function": {"name": name, "arguments": raw},
    }
    pieces = [chunk({"role": "assistant", "content": text}), chunk({"tool_calls": [call]})]
    return Answer([*pieces, *([chunk({}, finish)] if finish else []), USAGE, END])


def runs(command: str, text: str = "") -> Answer:
    """An answer that runs a command."""
    return calls("bash", {"command": command, "description": "d"}, text)


def refuses(status: int, body: Json | str, **headers: str) -> Answer:
    """A refusal; an underscore in a header's name stands for a hyphen."""
    raw = (body if isinstance(body, str) else json.dumps(body)).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer([raw], status, {"content-type": "application/json", **named})


class Provider:
    """The server. What it answers can be changed at any time.

    Attributes:
        script: Gets the number of a request, from 1, and its body; returns the answer.
        requests: The bodies of all requests since `reset`.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.closed = Event()
        self.reset(lambda number, request: says("Done."))

    def reset(self, script: Callable[[int, Json], Answer]) -> None:
        """Answer by another script, and count from 1 again."""
        self.script = script
        self.requests: list[Json] = []

    def silence(self) -> Iterator[bytes]:
        """Keep a stream open with comments only, as gateways do, until the server closes."""
        while not self.closed.wait(0.2):
            yield b": keep-alive\n\n"


@contextmanager
def providing() -> Iterator[Provider]:
    """Serve on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            request["x-session-id"] = self.headers.get("x-session-id")
            provider.requests.append(request)
            answer = provider.script(len(provider.requests), request)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for piece in answer.body:
                    self.wfile.write(piece)
                    self.wfile.flush()
            except OSError:
                return  # whoever asked has gone

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        provider = Provider(server.server_port)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield provider
        finally:
            provider.closed.set()
            server.shutdown()
            thread.join()
