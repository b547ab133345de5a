"""The stream that `vibe run` follows, over a server that loses it in every way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from vibe_app.cli.client import Client
from vibe_app.cli.options import Fault


class ServerThatLosesStreams:
    """Sends five events over several connections: breaks off, answers 503, and repeats one."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def output(self, request: Request) -> Response:
        """Answer the next attempt."""
        self.asked.append(request.headers.get("last-event-id", ""))
        if request.query_params["session_id"] == "unknown":
            return JSONResponse({"error": "There is no such session.", "code": "not_found"}, 404)
        attempt = len(self.asked)
        if attempt == 2:
            return JSONResponse({"error": "busy", "code": "unavailable"}, 503)
        first, last = {1: (1, 3), 3: (3, 5)}[attempt]
        return StreamingResponse(self.events(first, last), media_type="text/event-stream")

    async def events(self, first: int, last: int):
        """Numbered events; the fifth ends the session."""
        yield ": comment\n\n"
        for seq in range(first, last + 1):
            kind = "done" if seq == 5 else "output"
            yield f'id: {seq}\nevent: message\ndata: {{"type": "{kind}", "text": "line {seq}"}}\n\n'


@pytest.fixture
def losing() -> Iterator[tuple[ServerThatLosesStreams, str]]:
    """The server on a free port."""
    scripted = ServerThatLosesStreams()
    app = Starlette(routes=[Route("/output", scripted.output)])
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield scripted, f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_nothing_is_lost_and_nothing_comes_twice(losing):
    scripted, url = losing
    told: list[str] = []
    client = Client(url, lambda fresh: "token")
    events = list(client.follow("/output", "s", told.append))
    client.close()
    assert [event.text for event in events] == [f"line {seq}" for seq in range(1, 6)]
    assert scripted.asked == ["", "3", "3"]
    assert "Connection lost" in told[0]
    assert told[-1] == ""


def test_a_refusal_ends_it_in_the_servers_words(losing):
    _, url = losing
    client = Client(url, lambda fresh: "token")
    with pytest.raises(Fault, match="no such session"):
        list(client.follow("/output", "unknown", str))
    client.close()


def test_a_server_that_is_not_there_is_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    client = Client(url, lambda fresh: "token")
    with pytest.raises(Fault, match="vibe up"):
        client.ask("GET", "/api/projects")
    client.close()
