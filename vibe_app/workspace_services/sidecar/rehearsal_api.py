"""Serves the rehearsal model the way OpenAI-compatible endpoints are served.

Only what OpenCode asks for is there: `POST /chat/completions`, streamed, with usage.
The script itself is in `rehearsal.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from vibe_app.workspace_services.sidecar.rehearsal import NAME, Answer, Lines, answer, pieces

# Seconds at pace 1, so that a person sees it happen: in all about 4 s for the usual story.
_THINKING = 0.35
_PER_PIECE = 0.03
_TICK = 0.05
_LINES_AT_ONCE = 100


class Rehearsal:
    """The endpoint's state: the pace, and how often each failing step has failed.

    Args:
        pace: Factor on the pauses; 0 means none.
    """

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self._failures: dict[tuple[str, int], int] = {}

    def decide(self, session: str, messages: Sequence[Mapping[str, Any]]) -> tuple[int, Answer]:
        """Return the HTTP status to answer with, and the answer for status 200."""
        chosen = answer(messages)
        if not chosen.status and not chosen.fault:
            return 200, chosen
        step = (session, len(messages))
        failed = self._failures.get(step, 0)
        if chosen.times and failed >= chosen.times:
            return 200, Answer(("The model answers again.",))
        if len(self._failures) > 1000:
            self._failures.clear()
        self._failures[step] = failed + 1
        return chosen.status or 200, chosen

    @property
    def retry_after_ms(self) -> int:
        """How long a failed request should wait: short in tests, since OpenCode asks six times."""
        return max(1, int(1500 * self._pace))

    async def stream(self, chosen: Answer, asked: int) -> AsyncIterator[bytes]:
        """Yield the answer as server-sent events; `asked` is the size of the request in characters."""
        said = 0
        await asyncio.sleep(_THINKING * self._pace)
        yield _chunk({"role": "assistant", "content": ""})
        async for piece in self._texts(chosen):
            said += len(piece)
            yield _chunk({"content": piece})
        if chosen.fault == "hang":
            await asyncio.Event().wait()
        if chosen.fault == "rubbish":
            yield b"data: {this is not JSON\n\n"
        if chosen.fault == "cut":
            raise ConnectionResetError("the script says so")
        for index, wanted in enumerate((chosen, *chosen.beside) if chosen.tool else ()):
            arguments = json.dumps(wanted.arguments)
            said += len(arguments)
            function = {"name": wanted.tool, "arguments": arguments}
            # The id is unique within a conversation because the conversation grows.
            call = {"index": index, "id": f"call_{asked}_{index}", "type": "function", "function": function}
            yield _chunk({"tool_calls": [call]})
        usage = {
            "prompt_tokens": asked // 4,
            "completion_tokens": said // 4,
            "total_tokens": (asked + said) // 4,
        }
        yield _chunk({}, finish="tool_calls" if chosen.tool else "stop")
        yield _event({**_FRAME, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    async def _texts(self, chosen: Answer) -> AsyncIterator[str]:
        for text in chosen.texts:
            if isinstance(text, Lines):
                async for piece in _printed(text):
                    yield piece
                continue
            for piece in pieces(text):
                yield piece
                await asyncio.sleep(_PER_PIECE * self._pace)


async def _printed(lines: Lines) -> AsyncIterator[str]:
    clock = asyncio.get_running_loop().time
    start, printed = clock(), 0
    while printed < lines.count:
        due = printed + _LINES_AT_ONCE
        if lines.per_second:
            due = int((clock() - start + _TICK) * lines.per_second)
        due = min(max(due, printed + 1), lines.count)
        yield "".join(f"rehearsal line {number} of {lines.count}\n" for number in range(printed + 1, due + 1))
        printed = due
        await asyncio.sleep(_TICK if lines.per_second else 0)


_FRAME = {"id": "chatcmpl-rehearsal", "object": "chat.completion.chunk", "created": 0, "model": NAME}


def _chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    return _event({**_FRAME, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
