"""Whether a run gets on, read from what OpenCode reports. Pure: no network, no clock, no files.

OpenCode asks a model again for as long as it does not say that it is done, however often that is
(measured with 1.18.33: without a finish reason 15 times a second, after "context too long" with 7 summaries
a second). A `Progress` is fed with the events and transcripts of a run and of its sub-agents, in any mixture
and as often as one likes, and says when nothing new comes of it any more.

New is a result of a tool that was not there before in this run, for the same call, and, for a request, a text
that was not there before. What is new somewhere else starts the count anew: a test that fails in the same way
after each edit is no repetition, since each edit is new.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from vibe_app.wire import Failure, number
from vibe_app.workspace_services.sidecar.opencode_json import Event, Message, MessageInfo, Part
from vibe_app.workspace_services.sidecar.wording import one_line, tool_start

SAME_CALLS = 8
"""Times that one call may have the same result, with no new one of any call in between."""
SAME_WAITS = 60
"""The same for a call that takes `WAIT_MS` or longer: whoever waits for something asks again and again."""
WAIT_MS = 5_000
UNENDED = 5
"""Answers in a row without a call that do not say that they are the last."""
BARREN = 25
"""Requests in a row of which nothing new came: no text, no result."""
SUMMARIES = 3
"""Summaries of the conversation with no new result of a tool in between."""
SILENCE = 600.0
"""Seconds for which a model may keep its stream open without a word. OpenCode itself asks again after 300 s
in which nothing comes at all; comments, which gateways send to keep a stream open, it takes for words."""
LONG_CALLS = 6
"""Times `SILENCE` for a call that is being written: of its arguments OpenCode reports nothing until they are
complete."""

# What OpenCode numbers anew in each result: sessions of sub-agents and files with whole outputs.
_NUMBERED = re.compile(r"\b(?:ses|tool|msg|prt|call)_[A-Za-z0-9]+")


class Stuck(NamedTuple):
    """What shows that a run does not get on.

    `session` is the OpenCode session in which it showed, `since` when something new came last, on the clock
    that `feed` was given. Where `unless_files_change` is set, a changed file would be news as well.
    """

    failure: Failure
    words: str
    session: str
    since: float
    unless_files_change: bool = False


@dataclass
class _Thread:
    """One OpenCode session: the run's own or a sub-agent's. Counts since the last news."""

    since: float
    calls: Counter[bytes] = field(default_factory=Counter[bytes])
    unended: int = 0
    barren: int = 0
    summaries: int = 0


@dataclass
class _Step:
    """One answer of the model, while it comes."""

    texts: dict[str, str] = field(default_factory=dict[str, str])
    thought: bool = False
    calls: int = 0
    news: bool = False
    whole: bool = False


class Progress:
    """Watches one run.

    Args:
        workspace: The folder that paths are shown relative to.
        clock: The present, in seconds on any clock that only goes forward.
        silence: Seconds for which a model may keep its stream open without a word.
    """

    def __init__(self, workspace: str, clock: float, silence: float = SILENCE) -> None:
        self._workspace = workspace
        self._silence = silence
        self._heard = clock
        self._clock = clock
        self._threads: dict[str, _Thread] = {}
        self._steps: dict[str, _Step] = {}
        self._roles: dict[str, str] = {}
        self._open: dict[str, str] = {}
        self._waits: set[str] = set()
        self._done: set[str] = set()
        self._seen: set[bytes] = set()
        self._answered = False
        self._stuck: Stuck | None = None

    def feed(self, event: Event, clock: float) -> None:
        """Take in one event of the run's own OpenCode session or of a sub-agent's.

        Args:
            event: As OpenCode sent it.
            clock: The present.
        """
        self._clock = clock
        properties = event.get("properties") or {}
        session = str(properties.get("sessionID"))
        match event.get("type"):
            case "message.updated":
                self._message(session, properties.get("info") or {})
            case "message.part.updated":
                self._part(session, properties.get("part") or {})
            case "message.part.delta":
                self._heard = clock
            case "session.status":
                waits = (properties.get("status") or {}).get("type") == "retry"
                if waits != (session in self._waits):
                    # The same again is no sign of life: it is asked for every few seconds.
                    (self._waits.add if waits else self._waits.discard)(session)
                    self._heard = clock
            case _:
                pass

    def transcript(self, session: str, messages: Sequence[Message], clock: float) -> None:
        """Take in what is new in a transcript."""
        heard, self._clock = self._heard, clock
        for message in messages:
            info = message.get("info") or {}
            self._roles.setdefault(str(info.get("id")), _role(info))
            for part in message.get("parts") or []:
                self._part(session, part)
            self._message(session, info)
        self._heard = heard

    def stuck(self, clock: float) -> Stuck | None:
        """Return what shows that the run does not get on, None while it does."""
        return self._stuck or self._silent(clock)

    def moved_on(self, clock: float) -> None:
        """Start all counts anew: something new came that OpenCode does not report."""
        self._stuck = None
        for session in self._threads:
            self._threads[session] = _Thread(clock)

    def _silent(self, clock: float) -> Stuck | None:
        if self._waits or "running" in self._open.values():
            return None
        limit = self._silence * (LONG_CALLS if self._open else 1)
        if clock - self._heard < limit:
            return None
        words = (
            f"The model's stream has been open for {limit:.0f} s without a word: it sends signs of life, or "
            "nothing at all, and no answer"
        )
        return Stuck(Failure.NO_PROGRESS, words, "", self._heard)

    def _thread(self, session: str) -> _Thread:
        return self._threads.setdefault(session, _Thread(self._clock))

    def _message(self, session: str, info: MessageInfo) -> None:
        key, role = str(info.get("id")), _role(info)
        if key not in self._roles or role == "summary" != self._roles[key]:
            self._heard = self._clock
        self._roles[key] = role
        if role == "summary" and f"summary:{key}" not in self._done:
            self._done.add(f"summary:{key}")
            self._summed_up(session)
        completed = role == "assistant" and (info.get("time") or {}).get("completed")
        # A transcript may be of two moments: the message newer than its parts.
        if completed and key not in self._done and (step := self._steps.get(key)) and step.whole:
            self._done.add(key)
            self._heard = self._clock
            del self._steps[key]
            if info.get("error") is None:
                self._stepped(session, step, info)

    def _part(self, session: str, part: Part) -> None:
        key, message = str(part.get("id")), str(part.get("messageID"))
        self._heard = self._clock
        if self._roles.get(message) != "assistant" or key in self._done or message in self._done:
            return
        step = self._steps.setdefault(message, _Step())
        match part.get("type"):
            case "text":
                step.texts[key] = str(part.get("text") or "")
            case "reasoning":
                step.thought = True
            case "step-finish":
                step.whole = True
            case "tool":
                status = str((part.get("state") or {}).get("status"))
                if status not in ("completed", "error"):
                    # A sub-agent's own work is seen in its own session.
                    if part.get("tool") != "task":
                        self._open[key] = status
                    return
                self._open.pop(key, None)
                self._done.add(key)
                step.calls += 1
                step.news |= self._called(session, part)
            case _:
                pass

    def _called(self, session: str, part: Part) -> bool:
        """Count a call; tell whether its result is new."""
        thread, state, name = self._thread(session), part.get("state") or {}, str(part.get("tool"))
        arguments = state.get("input") or {}
        result = state.get("output") if state.get("status") == "completed" else state.get("error")
        asked: object = arguments
        if name == "invalid":
            # A call that cannot be made brings nothing, whatever its arguments are.
            asked, result = arguments.get("tool"), ""
        key = _digest(name, asked, result)
        news = name != "invalid" and key not in self._seen
        self._answered = True
        if news:
            self._seen.add(key)
            self._threads[session] = thread = _Thread(self._clock, unended=thread.unended)
        thread.calls[key] += 1
        times = state.get("time") or {}
        took = times.get("end", 0) - times.get("start", 0)
        if thread.calls[key] >= (SAME_WAITS if took >= WAIT_MS else SAME_CALLS):
            what = tool_start(name, arguments, self._workspace)
            if name == "invalid":
                what = one_line(f"{arguments.get('tool')}, a call that cannot be made")
            words = (
                f"The same call was made {thread.calls[key]} times, with the same result and with nothing "
                f"new in between ({what})"
            )
            self._stuck = Stuck(Failure.NO_PROGRESS, words, session, thread.since, True)
        return news

    def _stepped(self, session: str, step: _Step, info: MessageInfo) -> None:
        """Count an answer that is complete."""
        thread = self._thread(session)
        text, finish = "\n".join(step.texts.values()).strip(), info.get("finish")
        digest = _digest("text", text, "")
        news = step.news or (bool(text) and digest not in self._seen)
        self._seen.add(digest)
        ended = step.calls > 0 or finish not in ("unknown", "tool-calls")
        thread.barren = 0 if news else thread.barren + 1
        thread.unended = 0 if ended else thread.unended + 1
        if not (self._answered or text or step.thought or ended or _tokens(info)):
            self._stuck = Stuck(Failure.PROVIDER_REFUSED, _NO_MODEL, session, thread.since)
        elif thread.unended >= UNENDED:
            said = f"; the last one said: {one_line(text, 120)}" if text else ", and the last one was empty"
            words = (
                f"{thread.unended} answers of the model in a row ended without a finish reason that fits "
                f"them and without a tool call{said}"
            )
            self._stuck = Stuck(Failure.NO_PROGRESS, words, session, thread.since)
        elif thread.barren >= BARREN:
            words = (
                f"{thread.barren} requests in a row brought nothing new: "
                "no new words and no new result of a tool"
            )
            self._stuck = Stuck(Failure.NO_PROGRESS, words, session, thread.since, True)
        self._answered = True

    def _summed_up(self, session: str) -> None:
        # After a summary the agent may well read again what it has read before.
        before = self._thread(session)
        thread = self._threads[session] = _Thread(before.since, summaries=before.summaries + 1)
        if thread.summaries > SUMMARIES:
            words = (
                f"The conversation was too long for the model and was summed up {SUMMARIES} times "
                "without any work in between"
            )
            self._stuck = Stuck(Failure.NO_PROGRESS, words, session, thread.since)


_NO_MODEL = (
    "What answers at the model's address does not stream chat completions: its first answer held no word, no "
    "call and no count of tokens. Check VIBE_MODEL_BASE_URL: it is what stands before /chat/completions, for "
    "example https://models.example.com/v1."
)


def _role(info: MessageInfo) -> str:
    return "summary" if info.get("summary") is True else str(info.get("role", ""))


def _tokens(info: MessageInfo) -> int:
    tokens = info.get("tokens") or {}
    return number(tokens.get("input")) + number(tokens.get("output")) + number(tokens.get("reasoning"))


def _digest(name: str, asked: object, result: object) -> bytes:
    text = json.dumps([name, asked, _NUMBERED.sub("", str(result or ""))], sort_keys=True, default=str)
    return blake2b(text.encode(), digest_size=16).digest()
