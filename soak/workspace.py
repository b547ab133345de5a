"""A workspace's scripted sidecar in a process of its own, which writes down every word before it is heard.

Run as `python -m soak.workspace <folder> <seed>`; it says its port on its standard
output. What session `x` said is in `<folder>/x.jsonl`: a line when it starts,
one for each event. Some streams to the app are cut in the middle of an event.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random

from soak.plans import Plan
from soak.replica import die_with_the_parent, say
from tests.scripted import Script, ScriptedSession, ScriptedSidecar, send_chunk
from vibe_app.wire import StartSession, iso, now

TOKEN = "the workspace's own token"
_CUT = 0.2
"""The share of streams that break off."""


class RecordedSession(ScriptedSession):
    """A session whose journal is on disk as well."""

    def __init__(self, start: StartSession, script: Script, folder: Path) -> None:
        super().__init__(start, script)
        self._file = (folder / f"{start.session_id}.jsonl").open("x", buffering=1)
        self._note({"start": iso(now())})

    def append(self, kind: str, text: str) -> None:
        """Write the event down, then let readers have it."""
        super().append(kind, text)
        data = self.frames[-1].decode().split("data: ", 1)[1]
        self._note({"seq": len(self.frames), **json.loads(data)})

    def _note(self, line: Mapping[str, object]) -> None:
        self._file.write(json.dumps(line) + "\n")


class Workspace(ScriptedSidecar):
    """Plays the plans that it finds in the prompts.

    Args:
        folder: Where to write down what was said.
        seed: Decides which streams are cut.
    """

    def __init__(self, folder: Path, seed: str) -> None:
        super().__init__(_script, token=TOKEN, trusting=True)
        self._folder = folder
        self._dice = Random(seed)

    def make_session(self, start: StartSession, script: Script) -> ScriptedSession:
        """Make the session and its file; that it ran before under this id is an error."""
        return RecordedSession(start, script, self._folder)

    async def send_events(self, session: ScriptedSession, after: int, writer: asyncio.StreamWriter) -> None:
        """Send what a sidecar sends; now and then break off."""
        if self._dice.random() > _CUT:
            return await super().send_events(session, after, writer)
        more = self._dice.randint(0, 60)
        while len(session.frames) <= after + more and not session.final:
            await session.news.wait()
        part = session.frames[after : after + more + 1]
        if part:
            await send_chunk(writer, b"".join(part[:-1]) + part[-1][: self._dice.randrange(1, 40)])
        raise ConnectionResetError


def _script(start: StartSession) -> Script:
    attempt = int(start.session_id[37:] or 1)
    return Plan.of(start.prompt).script(start.session_id, attempt)


async def main() -> None:
    """Serve until the parent is gone."""
    die_with_the_parent()
    async with Workspace(Path(sys.argv[1]), sys.argv[2]) as workspace:
        say(str(workspace.port))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
