"""Asks a pod's sidecar whether it is ready, from here, as only what answers to Vibe is of use to it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from vibe_app.shapes import shaped
from vibe_app.wire import Refusal
from vibe_app.workspaces.runtimes.kubernetes.containers import SIDECAR

_SECONDS = 2.0


async def answers(host: str) -> tuple[bool, str]:
    """Ask a pod's sidecar whether it is ready; also say, where it is not, what it answers."""
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(host, SIDECAR)
            try:
                writer.write(b"GET /ready HTTP/1.1\r\nHost: sidecar\r\nConnection: close\r\n\r\n")
                answer = await reader.read(65_536)
                while not answer.endswith(b"}") and (more := await reader.read(65_536)):
                    answer += more
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return False, f"its sidecar does not answer ({error or 'no answer in time'})"
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 200"):
        return True, ""
    with suppress(ValueError, RecursionError):
        return False, shaped(Refusal, json.loads(body)).get("error", "")
    return False, "something other than a sidecar answers"
