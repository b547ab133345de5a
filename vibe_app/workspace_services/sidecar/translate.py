"""OpenCode's events in, the entries of a session's output out. Pure: no network, no clock, no files.

A `Translator` may be fed events and transcripts in any mixture and as often as one
likes: what was said once is not said again. How far it came is kept in `marks`,
small JSON values that travel with each emission, so that whoever stores an emission
together with its marks can restore a translator that continues exactly there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vibe_app.shapes import shaped
from vibe_app.wire import EventType, clean_text
from vibe_app.workspace_services.sidecar import speakers, tails, wording
from vibe_app.workspace_services.sidecar.command_output import (
    LONGEST_CHUNK,
    OUTPUT_CAP,
    CommandMark,
    CommandOutput,
    Mark,
    Shown,
    shortened,
)
from vibe_app.workspace_services.sidecar.opencode_json import (
    Error,
    Event,
    Message,
    MessageInfo,
    Part,
    Properties,
    SessionInfo,
    Status,
    ToolState,
)


class Emission(NamedTuple):
    """One entry to show, and the marks that must be stored with it."""

    type: EventType
    text: str
    marks: dict[str, Any]


@dataclass
class _Stream:
    """A text that arrives bit by bit: what was received but not yet released.

    `start` is the offset of `held` in the whole text.
    """

    start: int
    held: str = ""

    @property
    def end(self) -> int:
        return self.start + len(self.held)


class Translator:
    """Translates what one OpenCode session, with its sub-agents, reports.

    Args:
        session: OpenCode's id of the session.
        workspace: The folder that paths are shown relative to.
        marks: The merged marks of everything emitted before, to continue there.
        cap: Characters of a single tool output that are shown from its start.
    """

    def __init__(
        self,
        session: str,
        workspace: str,
        marks: Mapping[str, Any] | None = None,
        cap: int = OUTPUT_CAP,
    ) -> None:
        self._session = session
        self._workspace = workspace
        self._cap = cap
        self.marks: dict[str, Any] = dict(marks or {})
        self._changed: dict[str, Any] = {}
        self._out: list[Emission] = []
        self._roles: dict[str, str] = {}
        self._streams: dict[str, _Stream] = {}
        self._commands: dict[str, CommandOutput] = {}
        self._speakers = speakers.Speakers()
        self._now_ms = 0.0
        self.error: Error | None = None
        """The last error that OpenCode reported for the session itself."""

    @property
    def children(self) -> dict[str, str]:
        """The sub-agents' sessions seen so far, with their titles."""
        return {key[6:]: self._word(key) for key in self.marks if key.startswith("child:")}

    def owns(self, session: object) -> bool:
        """Whether an OpenCode session is this run's own or one of its sub-agents'."""
        return session == self._session or f"child:{session}" in self.marks

    def awaits(self, part: Part) -> bool:
        """Whether a part is this run's and has more to say than was said."""
        return self.owns(part.get("sessionID")) and not self._progress(str(part.get("id")))[1]

    def feed(self, event: Event, now_ms: float = 0) -> list[Emission]:
        """Translate one event of `GET /event`; one of another session gives nothing.

        Args:
            event: The event as OpenCode sent it.
            now_ms: The present in milliseconds since 1970, for saying how long a retry waits, and how long
                a command's output has been waited for.
        """
        self._now_ms = now_ms
        kind = event.get("type")
        properties = event.get("properties") or {}
        if kind in ("session.created", "session.updated"):
            self._session_info(properties.get("info") or {})
        elif not self.owns(properties.get("sessionID")):
            return []
        elif kind == "message.updated":
            self._message(properties.get("info") or {})
        elif kind == "message.part.updated":
            self._part(properties.get("part") or {}, from_event=True)
        elif kind == "message.part.delta":
            self._delta(properties)
        elif kind == "session.status":
            self._status(properties.get("status") or {}, now_ms)
        elif kind == "session.error" and properties.get("sessionID") == self._session:
            self.error = properties.get("error")
        elif kind in ("permission.asked", "question.asked"):
            self._once(
                f"asked:{properties.get('id')}", wording.request(str(kind).partition(".")[0], properties)
            )
        return self._taken()

    def transcript(self, messages: Sequence[Message], now_ms: float = 0) -> list[Emission]:
        """Translate what is new in a transcript of the session or of a sub-agent; `now_ms` as in `feed`."""
        self._now_ms = now_ms
        for message in messages:
            self._message(message.get("info") or {})
            for part in message.get("parts") or []:
                self._part(part, from_event=False)
        return self._taken()

    def note(self, kind: EventType, text: str) -> list[Emission]:
        """Say a line of one's own in the right place of the stream."""
        self._say(kind, text)
        return self._taken()

    def gap(self) -> None:
        """Events may have been missed: trust only whole texts until each part starts anew."""
        self._streams.clear()

    def _taken(self) -> list[Emission]:
        taken, self._out = self._out, []
        return taken

    def _set(self, key: str, value: Any) -> None:
        if self.marks.get(key) != value:
            self.marks[key] = self._changed[key] = value

    def _word(self, key: str) -> str:
        """A mark that is a text; marks come back from where an agent can write."""
        return shaped(str, self.marks.get(key))

    def _emit(self, kind: EventType, text: str) -> None:
        marks, self._changed = self._changed, {}
        self._out.append(Emission(kind, text, marks))

    def _say(self, kind: EventType, text: str) -> None:
        self._end_line()
        self._emit(kind, wording.one_line(text, 2_000))

    def _once(self, key: str, text: str) -> None:
        if key not in self.marks:
            self._set(key, 1)
            self._say(EventType.STATUS, text)

    def _end_line(self) -> None:
        if self.marks.get("line"):
            self._set("line", "")
            self._emit(EventType.OUTPUT, "\n")

    def _show(self, part: str, raw: str) -> None:
        text = clean_text(tails.paired(raw))
        if not text:
            return
        line = self._word("line")
        if label := self._word(f"says:{part}"):
            text = speakers.labelled(text, label, begun=line == part)
        if line not in (part, ""):
            text = "\n" + text
        self._set("line", "" if text.endswith("\n") else part)
        self._emit(EventType.OUTPUT, text)

    def _status(self, status: Status, now_ms: float) -> None:
        if status.get("type") == "retry":
            self._once(f"retry:{status.get('attempt')}:{status.get('next')}", wording.retry(status, now_ms))

    def _session_info(self, info: SessionInfo) -> None:
        child = f"child:{info.get('id')}"
        if (parent := info.get("parentID")) and self.owns(parent) and child not in self.marks:
            title = (info.get("title") or "sub-agent").partition(" (@")[0]
            self._set(child, speakers.unique(wording.one_line(title, 60), self.children.values()))

    def _message(self, info: MessageInfo) -> None:
        role = info.get("role", "")
        own = info.get("sessionID") == self._session
        if role == "assistant" and info.get("summary") is True:
            role = "summary"
            if own:
                self._once(
                    f"summary:{info.get('id')}", "The conversation is too long for the model; summing it up"
                )
        self._roles[str(info.get("id"))] = role
        if role == "assistant" and own and (model := info.get("modelID")):
            self._model(str(info.get("providerID")), model)

    def _model(self, provider: str, model: str) -> None:
        words = f"Model: {provider}/{model}"
        if provider == "rehearsal":
            words = "Rehearsal model: no AI provider is configured, so a script plays the agent"
        self._once(f"model:{provider}/{model}", words)

    def _part(self, part: Part, *, from_event: bool) -> None:
        if self._roles.get(str(part.get("messageID"))) != "assistant":
            return
        kind, session = part.get("type"), str(part.get("sessionID"))
        child = "" if session == self._session else f"{self.children.get(session, 'sub-agent')} › "
        says = f"says:{part.get('id')}"
        if child and kind in ("tool", "text") and says not in self.marks:
            self._set(says, child)
        if kind == "tool":
            self._tool(part, child)
        elif kind == "text":
            self._text(part, from_event=from_event)
        elif kind == "reasoning" and not child:
            self._once(f"thinking:{part.get('messageID')}", "Thinking")

    def _delta(self, properties: Properties) -> None:
        key = str(properties.get("partID"))
        stream = self._streams.get(key)
        if stream is None or properties.get("field") != "text":
            return
        stream.held = tails.paired(stream.held + (properties.get("delta") or ""))
        self._release(key, stream, final=False)

    def _text(self, part: Part, *, from_event: bool) -> None:
        key, text = str(part.get("id")), part.get("text") or ""
        final = bool((part.get("time") or {}).get("end"))
        shown, finished = self._progress(key)
        if finished:
            return
        stream = self._streams.get(key)
        if stream is not None and not final and not from_event:
            return  # its deltas are on their way; taking the text from here as well would double them
        if stream is None:
            stream = _Stream(shown)
            # A delta says not where it belongs: it can only follow a text whose beginning was seen.
            if from_event and not final and len(text) >= shown:
                self._streams[key] = stream
        if len(text) > stream.end:
            stream.held = text[stream.start :]
        self._release(key, stream, final=final)
        if final:
            self._streams.pop(key, None)
            self._mark(key, stream.start, finished=True)
            if self.marks.get("line") == key:
                self._end_line()

    def _release(self, key: str, stream: _Stream, *, final: bool) -> None:
        """Show what is complete of the held text, in chunks, and move the marks."""
        while stream.held:
            piece = stream.held[:LONGEST_CHUNK]
            whole = final and len(piece) == len(stream.held)
            cut = len(piece) if whole else tails.complete(piece)
            if not cut:
                return
            raw, stream.held = piece[:cut], stream.held[cut:]
            stream.start += cut
            self._mark(key, stream.start)
            self._show(key, raw)

    def _notice(self, key: str, text: str) -> None:
        self._end_line()
        self._show(key, text)

    def _progress(self, key: str) -> tuple[int, bool]:
        mark = shaped(Mark, self.marks.get(key))
        return mark.get("n", 0), bool(mark.get("f"))

    def _mark(self, key: str, shown: int, *, finished: bool = False) -> None:
        """Note how much of a part was shown."""
        self._set(key, {"n": shown} | ({"f": 1} if finished else {}))

    def _tool(self, part: Part, child: str) -> None:
        key, name, state = str(part.get("id")), str(part.get("tool")), part.get("state") or {}
        status = state.get("status")
        if status == "pending" or self._progress(key)[1]:
            return
        if key not in self.marks:
            self._mark(key, 0)
            if name != "invalid":
                self._end_line()
                start = wording.begun(name, state.get("input") or {}, self._workspace)
                self._emit(EventType.STATUS, child + start)
        if name == "bash" and status != "error":
            self._bash(part, child)
        if status not in ("completed", "error"):
            return
        shown = self._progress(key)[0]
        if status == "completed" and name not in ("bash", "invalid") and not self._seen_below(state):
            stream = _Stream(shown, shortened(self._result(name, state), self._cap)[shown:])
            self._release(key, stream, final=True)
            shown = stream.start
        self._end_line()
        self._mark(key, shown, finished=True)
        self._commands.pop(key, None)
        self._speakers.ends(str(part.get("sessionID")), key)
        self._tool_end(name, state, self._word(f"says:{key}"), child=bool(child))

    def _result(self, name: str, state: ToolState) -> str:
        return wording.tool_result(name, state, self._workspace)

    def _seen_below(self, state: ToolState) -> bool:
        """Whether a finished tool is a sub-agent, whose words have all been shown."""
        return f"child:{(state.get('metadata') or {}).get('sessionId')}" in self.marks

    def _tool_end(self, name: str, state: ToolState, label: str, *, child: bool) -> None:
        kind = EventType.STATUS if child else EventType.ERROR
        if state.get("error") == "Tool execution aborted":
            self._say(EventType.STATUS, f"{label}{name}: stopped")
        elif state.get("status") == "error":
            self._say(kind, f"{label}{name}: {wording.tool_error(name, state, self._workspace)}")
        elif name == "invalid":
            error = str((state.get("input") or {}).get("error") or "unknown tool")
            self._say(kind, label + error.partition(" Available tools:")[0])
        elif name == "bash":
            words, bad = wording.command_end(state)
            if words:
                self._say(kind if bad else EventType.STATUS, label + words)
        elif line := wording.changed_file(name, state, self._workspace):
            self._say(EventType.STATUS, label + line)

    def _bash(self, part: Part, child: str) -> None:
        key, session = str(part.get("id")), str(part.get("sessionID"))
        state = part.get("state") or {}
        over = state.get("status") == "completed"
        for running, label in self._speakers.begins(session, key, state.get("input") or {}).items():
            self._set(f"says:{running}", f"{child}{label} › ")
        output = self._commands.get(key)
        if output is None:
            output = self._commands[key] = CommandOutput(shaped(CommandMark, self.marks.get(key)), self._cap)
        self._told(key, output.report(state, over=over, now_ms=self._now_ms))

    def _told(self, key: str, told: Iterable[Shown]) -> None:
        for shown in told:
            self._set(key, shown.mark)
            if shown.notice:
                self._notice(key, shown.text)
            else:
                self._show(key, shown.text)

    def settle(self) -> list[Emission]:
        """Translate a silence: what is drawn again and again, and so held back, is shown as it is now."""
        for key, output in self._commands.items():
            self._told(key, output.settle())
        return self._taken()


def merged(emissions: Iterable[Emission]) -> Iterator[Emission]:
    """Join neighbouring output texts, up to a sensible length, so that fewer entries say the same."""
    waiting: Emission | None = None
    for emission in emissions:
        if waiting is None:
            waiting = emission
        elif (
            waiting.type is EventType.OUTPUT is emission.type
            and len(waiting.text) + len(emission.text) <= LONGEST_CHUNK
        ):
            waiting = Emission(EventType.OUTPUT, waiting.text + emission.text, waiting.marks | emission.marks)
        else:
            yield waiting
            waiting = emission
    if waiting is not None:
        yield waiting
