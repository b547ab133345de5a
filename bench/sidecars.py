"""Played sidecars: what their agents say, and a process that has many of them speak at once.

Run as `python -m bench.sidecars`, so that playing takes no turn from what is
measured. It prints its address and token, then speaks when it is told to.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.scripted import Script, ScriptedSession, ScriptedSidecar
from vibe_app.wire import SidecarStatus
from vibe_app.workspaces.runtimes.base import Endpoint

SILENT = Script(events=(), outcome=None)
WORDS = "reads the parser and changes what the second test asks for"


def line(number: int) -> str:
    """Return a line of output as agents write them."""
    return f"L{number} {WORDS}\n"


async def speak(session: ScriptedSession, count: int, rate: float) -> list[float]:
    """Have the agent say numbered lines, `rate` a second or (0) as fast as can be; return when each was said.

    The times are in milliseconds since 1970; number 0 is no line.
    """
    said = [0.0]
    began = time.monotonic()
    for number in range(1, count + 1):
        if rate and (ahead := number / rate - (time.monotonic() - began)) > 0:
            await asyncio.sleep(ahead)
        session.append("output", line(number))
        said.append(session.times[-1] * 1000)
        if rate or number % 500 == 0:
            session.knock()
            await asyncio.sleep(0)
    session.finish(SidecarStatus.COMPLETED)
    return said


@dataclass
class Sidecars:
    """The process, as a bench sees it."""

    endpoint: Endpoint
    process: subprocess.Popen[bytes]

    async def speak(self, count: int, rate: float) -> None:
        """Have every session say `count` lines, `rate` a second, and end; return when all have."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{count} {rate}\n".encode())
        self.process.stdin.flush()
        await asyncio.to_thread(self.process.stdout.readline)


@contextmanager
def sidecars() -> Iterator[Sidecars]:
    """Run the process for as long as the block lasts."""
    command = [sys.executable, "-m", "bench.sidecars"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield Sidecars(Endpoint(**json.loads(process.stdout.readline())), process)
        finally:
            process.kill()


async def main() -> None:
    """Play until the pipe is closed."""
    async with ScriptedSidecar(SILENT, trusting=True) as sidecar:
        say({"url": sidecar.endpoint.url, "token": sidecar.endpoint.token})
        while order := await asyncio.to_thread(sys.stdin.readline):
            count, rate = order.split()
            sessions = [session for session in sidecar.sessions.values() if not session.final]
            await speak_all(sessions, int(count), float(rate))
            say({"spoken": len(sessions)})


async def speak_all(sessions: list[ScriptedSession], count: int, rate: float) -> None:
    """Have sessions speak side by side and, as agents do, not in step."""

    async def begin(number: int, session: ScriptedSession) -> None:
        await asyncio.sleep(number / rate / len(sessions))
        await speak(session, count, rate)

    await asyncio.gather(*(begin(number, session) for number, session in enumerate(sessions)))


def say(words: object) -> None:
    """Tell whoever started this."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
