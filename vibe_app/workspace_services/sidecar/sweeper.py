"""Sweeps where another container sees the processes: OpenCode's.

In a pod the sidecar cannot see what runs beside OpenCode, and is meant not to be seen
from there. The process that starts OpenCode serves a few routes on the pod's loopback;
the sidecar asks it, also to end what a single command left open. It needs no token: the
only ones who can reach it are the pod's own, and all it can do is end commands of the
pod's own agent.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, TypedDict

import httpx

from vibe_app.shapes import shaped
from vibe_app.workspace_services.sidecar.sweep import (
    ROUNDS,
    Meant,
    asked,
    end_command,
    open_commands,
    sweep_once,
)

logger = logging.getLogger(__name__)

_ANSWER = 5.0
_LARGEST_BODY = 16 << 10


class _Asked(TypedDict, total=False):
    tree: str
    others: list[str]


class _Answer(TypedDict, total=False):
    found: int
    names: list[str]
    marks: list[str]


async def sweep_beside(url: str, meant: Callable[[], Meant]) -> list[str]:
    """Do what `sweep` does, by the process that started OpenCode.

    Where it does not answer there is nothing to end: with it end all processes of its container.

    Args:
        url: Where it serves, without a slash at the end.
        meant: As for `sweep`.
    """
    names: list[str] = []
    async with httpx.AsyncClient(timeout=_ANSWER, trust_env=False) as client:
        for _ in range(ROUNDS):
            # A moment instead of an age: the way there takes its time.
            told, before = await asyncio.to_thread(asked, meant)
            body = {"before": before, "tree": told.tree, "others": sorted(told.others)}
            answer = await _asked(client, f"{url}/sweep", body)
            names += answer.get("names", [])
            if not answer.get("found"):
                break
    return names


async def commands_beside(url: str) -> list[str]:
    """Do what `sweep.open_commands` does, by the process that started OpenCode; none where that is gone.

    Args:
        url: Where it serves, without a slash at the end.
    """
    async with httpx.AsyncClient(timeout=_ANSWER, trust_env=False) as client:
        return (await _asked(client, f"{url}/commands", {})).get("marks", [])


async def end_beside(url: str, mark: str) -> list[str]:
    """Do what `sweep.end_command` does, by the process that started OpenCode.

    Args:
        url: Where it serves, without a slash at the end.
        mark: The command's.
    """
    async with httpx.AsyncClient(timeout=_ANSWER, trust_env=False) as client:
        return (await _asked(client, f"{url}/end", {"mark": mark})).get("names", [])


async def _asked(client: httpx.AsyncClient, url: str, body: dict[str, Any]) -> _Answer:
    """Ask, and return nothing where nobody answers, or somebody else at its port."""
    try:
        return shaped(_Answer, (await client.post(url, json=body)).raise_for_status().json())
    except (httpx.HTTPError, ValueError, RecursionError) as error:
        logger.warning("commands could not be looked at or ended: %s", error)
        return {}


def serve_sweeps(project_id: str, port: int) -> ThreadingHTTPServer:
    """Serve `POST /sweep`, `/commands` and `/end` on loopback, in a thread, until the server is shut down.

    Raises:
        OSError: The port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _ANSWER

        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("Content-Length", ""))
                body = json.loads(self.rfile.read(max(0, min(length, _LARGEST_BODY))))
                if self.path == "/commands":
                    return self._answer(200, {"marks": open_commands(project_id)})
                if self.path == "/end":
                    return self._answer(200, {"names": end_command(project_id, str(body["mark"]))})
                before = None if body["before"] is None else float(body["before"])
                told = shaped(_Asked, body)
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                return self._answer(400, {"error": "The body must be a JSON object with 'before' or 'mark'."})
            meant = Meant(None, told.get("tree", ""), told.get("others", []))
            found, names = sweep_once(project_id, before, meant)
            self._answer(200, {"found": found, "names": names})

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            logger.debug(format, *args)

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    Thread(target=server.serve_forever, name="sweeper", daemon=True).start()
    return server
