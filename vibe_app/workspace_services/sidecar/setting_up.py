"""Prepares a tree before its first prompt, by the project's set-up command.

It is run by OpenCode itself, in a conversation of its own that no model is asked in: so it runs where the
agent's commands run, with the same environment, supervisor and marks, and `abort` ends it. OpenCode tells
neither its exit status nor, at once, a very long output's new part alone, but all of it again with each
piece. So a small script around the command says the status in a last line, and lets only the beginning and
the end of a long output through.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from base64 import b64encode
from collections.abc import Callable

from vibe_app.wire import Failure, whole
from vibe_app.workspace_services.sidecar import verdict as verdicts
from vibe_app.workspace_services.sidecar.opencode import OpenCode, OpenCodeError, OpenCodeGone
from vibe_app.workspace_services.sidecar.opencode_json import Event, Message, Part
from vibe_app.workspace_services.sidecar.verdict import Verdict
from vibe_app.workspace_services.sidecar.watch import Inbox, Signal

logger = logging.getLogger(__name__)

LIMIT = 600.0
"""Seconds that it may take."""
_UNHEARD = 15.0
"""Seconds beyond that in which OpenCode ends it."""
# dd passes on what it reads at once, which head does not.
_SCRIPT = """exec </dev/null
bash -c "$(base64 -d <<<"$1")" 2>&1 | {
  dd bs=4096 count=65536 iflag=count_bytes status=none
  rest=$(tail -c 8000 | tr -d '\\0')
  [[ -z $rest ]] || printf '\\n[...]\\n%s' "$rest"
}
printf '\\n%s%s\\n' "$2" "${PIPESTATUS[0]}"
"""


class SettingUp:
    """One run of a set-up command.

    Args:
        client: OpenCode, seen from the tree.
        session: The OpenCode session that it is run in.
        command: What the project says.
        say: Takes the lines of its output, as they come.
        limit: Seconds that it may take.
    """

    def __init__(
        self,
        client: OpenCode,
        session: str,
        command: str,
        say: Callable[[list[str]], None],
        limit: float = LIMIT,
    ) -> None:
        self._client = client
        self._session = session
        self._command = command
        self._say = say
        self._limit = limit
        self._mark = f"vibe-set-up-{secrets.token_hex(8)}:"
        self._shown = 0

    async def run(self, inbox: Inbox) -> Verdict | None:
        """Run it; return how the session ends where it failed, None where the tree is prepared.

        Args:
            inbox: What OpenCode tells meanwhile; what is not its own is dropped.
        """
        call = asyncio.create_task(self._call())
        news: asyncio.Task[Event | Signal] | None = None
        try:
            async with asyncio.timeout(self._limit):
                while not call.done():
                    news = news or asyncio.create_task(inbox.get())
                    await asyncio.wait({call, news}, return_when=asyncio.FIRST_COMPLETED)
                    if news.done():
                        self._take(news.result())
                        news = None
            verdict = self._judge(call.result())
            with contextlib.suppress(OpenCodeError):
                await self._client.delete_session(self._session)
            return verdict
        except TimeoutError:
            with contextlib.suppress(OpenCodeError):
                await self._client.abort(self._session)
            return verdicts.failed(
                Failure.BROKEN,
                f"The set-up command did not end within {self._limit / 60:g} minutes and was stopped. "
                "What it starts to stay must have its output elsewhere (>/dev/null 2>&1 &).",
            )
        except OpenCodeGone:
            return verdicts.failed(
                Failure.AGENT_LOST, "OpenCode went away while the set-up command prepared the card's tree."
            )
        except OpenCodeError as error:
            return verdicts.failed(Failure.AGENT_LOST, f"The set-up command was not run: {error}.")
        finally:
            for task in (call, news):
                if task is not None:
                    task.cancel()

    async def _call(self) -> Message:
        script, command = (b64encode(text.encode()).decode() for text in (_SCRIPT, self._command))
        # OpenCode puts what it runs between double quotes: nothing in this means something there.
        words = f"bash <(echo {script} | base64 -d) {command} {self._mark}"
        return await self._client.shell(self._session, words, self._limit + _UNHEARD)

    def _take(self, item: Event | Signal) -> None:
        if isinstance(item, Signal):
            return
        properties = item.get("properties") or {}
        if item.get("type") == "message.part.updated" and properties.get("sessionID") == self._session:
            self._tell(_output(properties.get("part") or {}), over=False)

    def _tell(self, output: str, *, over: bool) -> str:
        """Say the lines that are new and whole; return what follows the mark."""
        text, found, rest = output.partition(self._mark)
        end = len(text) if over or found else text.rfind("\n") + 1
        if lines := [line for line in text[self._shown : end].splitlines() if line.strip()]:
            self._say(lines)
        self._shown = max(self._shown, end)
        return rest

    def _judge(self, message: Message) -> Verdict | None:
        output = "\n".join(filter(None, map(_output, message.get("parts") or [])))
        status = self._tell(output, over=True).strip()
        if status == "0":
            return None
        how = (
            f"ended with status {whole(status)}"
            if status.isascii() and status.isdecimal()
            else "was ended before it was done"
        )
        return verdicts.failed(
            Failure.BROKEN,
            f"The set-up command {how}, and the agent was not asked. Its last lines are in the output.",
        )


def _output(part: Part) -> str:
    state = part.get("state") or {}
    return (state.get("metadata") or {}).get("output") or state.get("output") or ""
