"""The messages that the app and the services of a workspace exchange, and nothing else.

Both sides import them, so a field can only change for both at once. Those of the sidecar are here,
with what every service says; those of the file browser are in `files`. None imports a web framework,
a database or settings: the services ship alone.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, TypedDict

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class EventType(StrEnum):
    """What an entry of a session's output is."""

    OUTPUT = "output"
    ERROR = "error"
    STATUS = "status"
    DONE = "done"


class SidecarStatus(StrEnum):
    """How far the sidecar has come with a session. The last three are final."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Failure(StrEnum):
    """Why a run failed, as far as it decides whether repeating it is worth while."""

    AGENT_LOST = "agent_lost"
    """OpenCode or its workspace went away in mid-run. Worth repeating."""
    PROVIDER_BUSY = "provider_busy"
    """The model endpoint was overloaded, refused or unreachable. Worth repeating."""
    PROVIDER_REFUSED = "provider_refused"
    """Bad key, unknown model, refused prompt, context too long. Final at once."""
    PROVIDER_WAIT = "provider_wait"
    """The model's provider asks to come back later. Worth repeating then, and its place is free meanwhile."""
    BUDGET_EXHAUSTED = "budget_exhausted"
    """The session has reached a limit of what it may spend: no fault of the agent. Final at once."""
    DISK_FULL = "disk_full"
    """The workspace has no room left. Final at once: the next attempt would find it as full."""
    NO_PROGRESS = "no_progress"
    """The same again and again, or silence, without anything new. Final at once."""
    BROKEN = "broken"
    """Anything else, such as rubbish from the model. Final at once."""


RETRYABLE = frozenset({Failure.AGENT_LOST, Failure.PROVIDER_BUSY})


class Event(BaseModel):
    """One entry of a session's output.

    `output` texts are chunks of one stream: a line ends where the text has a
    newline, and a chunk may end in mid-line. `status`, `error` and `done` texts
    are whole lines, mostly one, without a trailing newline. `seq` counts from 1 without gaps.
    """

    model_config = ConfigDict(frozen=True)

    seq: int = Field(ge=1)
    type: EventType
    text: str
    timestamp: datetime


def _within_reason(count: int) -> int:
    return min(max(count, 0), 2**31 - 1)


Count = Annotated[int, AfterValidator(_within_reason)]
"""A number that every database can keep, whatever a model's endpoint claims."""


class Usage(BaseModel):
    """What a run consumed, as OpenCode reports it: tokens, and US dollars."""

    tokens_input: Count = 0
    tokens_output: Count = 0
    cost: float = 0.0


class StartSession(BaseModel):
    """Body of `POST /sessions`."""

    session_id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")
    prompt: str = Field(min_length=1)
    title: str = Field(default="", max_length=200)
    model: str | None = Field(default=None, description="provider/model; the workspace's default when absent")
    spends_for: str | None = Field(
        default=None,
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Under which id the workspace's gateway knows the session; absent where it has none",
    )
    tree: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="Number of the card in whose tree it works"
    )
    conversation: str | None = Field(
        default=None,
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="OpenCode's id of the conversation that it goes on with; a new one begins when absent",
    )
    lost_prompt: str | None = Field(
        default=None, description="What is said in place of `prompt` where there is no such conversation"
    )
    again: str | None = Field(
        default=None,
        description="What is said in place of `prompt` where that conversation has it already, from an "
        "attempt that was lost; it is known there by `spends_for`",
    )
    notices: list[str] = Field(
        default_factory=list[str], max_length=100, description="Sentences that the run begins with"
    )
    setup: str = Field(
        default="", max_length=64 << 10, description="A command that prepares the tree before the prompt"
    )


class Steps(BaseModel):
    """How far the agent is on its own list of things to do."""

    done: Count = 0
    total: Count = 0
    current: str = Field(default="", max_length=200, description="What it does now")


class SessionState(BaseModel):
    """Answer of `POST /sessions`, `GET /sessions/{id}` and `POST /sessions/{id}/stop`."""

    session_id: str
    status: SidecarStatus
    last_seq: int = 0
    heard: bool = Field(
        default=True, description="The conversation has what was to be said, for all one knows"
    )
    error: str | None = None
    failure: Failure | None = None
    usage: Usage = Usage()
    retry_at: datetime | None = Field(None, description="When to try again what failed as provider_wait")
    asking: bool = Field(False, description="It completed, and its last answer ends with a question")
    conversation: str = Field(default="", max_length=64, description="OpenCode's id of the conversation")
    began_anew: bool = Field(default=False, description="The conversation to go on with was gone")
    prepared: bool = Field(default=False, description="Its set-up command has succeeded, or it had none")
    steps: Steps | None = None
    summary: str = Field(default="", description="The agent's last message, as Markdown")


class Heard(BaseModel):
    """Answer of `GET /conversations/{id}/heard?session=`: does it hold what was said for that session?"""

    heard: bool


class Refusal(TypedDict, total=False):
    """What a service of a workspace answers with a status of 400 and above."""

    error: str
    detail: str
    code: str


KEEP_ALIVE = 75
"""Seconds for which a server keeps an idle connection.

uvicorn's own 5 s are also those after which httpx lets go of one: a request sent in just that moment
was broken off. Proxies mostly let go after 60 s.
"""


class LiveSessions(BaseModel):
    """Answer of `GET /sessions`: those that are not over, and the ids of those whose journal is still kept.

    Whoever holds all that a journal says lets it be deleted: `DELETE /sessions/{id}`.
    """

    sessions: list[SessionState]
    kept: list[str] = []


MEMORY_NOTICE = "[killed: the memory limit was reached]"
"""The last line of a command that the kernel ended for want of memory, written beside the agent."""

# Blanks, marks of direction and of joining, and the letters and symbols that Unicode draws as nothing.
_NO_SHAPE = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
_SHAPELESS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_SGR = r"\x1b\[[0-9;:]*m"
# Whole escape sequences other than colours (CSI, OSC and its kin, two-byte ones), then lone control
# characters.
_UNSAFE = re.compile(
    rf"(?P<keep>{_SGR})"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_](?:[^\x07\x1b\n]|\x1b(?!\\))*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


def clean_text(text: str) -> str:
    """Return `text` safe to show: printable characters, newlines, tabs and colour codes only.

    Cursor movement, titles, clipboard writes and every other terminal sequence
    are removed; `\\r\\n` and a lone `\\r` become a newline; lone surrogates, which no
    database stores, become a question mark.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _UNSAFE.sub(lambda match: match.group("keep") or "", text)
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text


def plain_text(text: str) -> str:
    """Return `text` as `clean_text` does, without colours as well."""
    return re.sub(_SGR, "", clean_text(text))


def is_blank(text: str) -> bool:
    """Tell whether nothing of a text is to be seen: it is of blanks and of characters without a shape."""
    return all(each in _SHAPELESS or unicodedata.category(each) in _NO_SHAPE for each in text)


def unicode_text(text: str) -> str:
    """Return the text; JSON can spell half of a surrogate pair, which no database and no hash takes.

    Raises:
        ValueError: It does.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it contains characters that are not Unicode text") from None
    return text


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """Write a moment as ISO 8601 in UTC with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


HUGE = 2**63 - 1
"""What `whole` returns for every number above it: more than any size, place or event has."""


def whole(digits: str) -> int:
    """Read a whole number that came from outside, however many digits it has.

    `int` raises ValueError above 4300 digits (docs.python.org, "Integer string conversion length
    limitation").

    Args:
        digits: ASCII digits, at least one.
    """
    significant = digits.lstrip("0") or "0"
    return min(int(significant[:20]), HUGE)


def number(value: object) -> int:
    """Read a whole number out of somebody else's JSON, written as a number or as text.

    Returns:
        It, at least 0 and at most `HUGE`; a fraction without what follows the point; 0 where it is none.
    """
    if isinstance(value, bool):
        return 0
    if isinstance(value, int | float):
        return int(min(max(value, 0), HUGE)) if value == value else 0
    text = str(value) if isinstance(value, str) else ""
    return whole(text) if text.isascii() and text.isdecimal() else 0
