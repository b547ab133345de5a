"""What OpenCode's interface says, as far as the sidecar reads it: the shapes of its JSON.

Measured with OpenCode 1.18.33. Any field may be missing: the client leaves out whatever is not as it is
written here (`vibe_app.shapes`), and what is not written here at all.
"""

from __future__ import annotations

from typing import TypedDict


class Times(TypedDict, total=False):
    """Milliseconds since 1970."""

    start: float
    end: float
    completed: float


class CacheTokens(TypedDict, total=False):
    """Input that a provider kept."""

    read: float
    write: float


class Tokens(TypedDict, total=False):
    """What an answer or a session consumed."""

    input: float
    output: float
    reasoning: float
    cache: CacheTokens


class ErrorData(TypedDict, total=False):
    """What OpenCode knows of an error; the last three of a provider's answer."""

    message: str
    statusCode: int
    responseBody: str
    isRetryable: bool


class GatewayFault(TypedDict, total=False):
    """What of a gateway's refusal says that it is the gateway's own."""

    message: str


class GatewayRefusal(TypedDict, total=False):
    """The body of a gateway's 402, whatever the dialect."""

    code: str
    retry_at: str
    error: GatewayFault


class Error(TypedDict, total=False):
    """Why an answer or a session failed."""

    name: str
    data: ErrorData


class Status(TypedDict, total=False):
    """What a session does: `busy`, `idle` or `retry`; the rest tells of a retry.

    `next` is the moment at which the model is asked again, in milliseconds since 1970.
    """

    type: str
    attempt: int
    message: str
    next: float


class Todo(TypedDict, total=False):
    """A line of the agent's own list."""

    status: str
    content: str


class Metadata(TypedDict, total=False):
    """What a tool tells besides its output: each tool has other fields.

    `whole` and `cut` are not OpenCode's: `tool_outputs` puts them in.
    """

    output: str
    exit: int
    truncated: bool
    outputPath: str
    sessionId: str
    exists: bool
    diff: str
    preview: str
    todos: list[Todo]
    whole: str
    cut: bool


class ToolState(TypedDict, total=False):
    """How far a call is: `pending`, `running`, `completed` or `error`.

    `input` is what the model wrote, so it may be anything.
    """

    status: str
    input: dict[str, object]
    output: str
    error: str
    metadata: Metadata
    time: Times


class BashInput(TypedDict, total=False):
    """What bash is called with; `timeout` in milliseconds."""

    command: str
    timeout: float


class Settings(TypedDict, total=False):
    """Of a configuration what tells one folder's from another's."""

    instructions: list[str]


class PartNotes(TypedDict, total=False):
    """What whoever sent a part has noted with it; OpenCode keeps that."""

    vibe_session: str


class Part(TypedDict, total=False):
    """A part of a message: `text`, `reasoning`, `tool`, `step-finish` and others."""

    id: str
    type: str
    sessionID: str
    messageID: str
    text: str
    time: Times
    tool: str
    state: ToolState
    metadata: PartNotes


class MessageInfo(TypedDict, total=False):
    """What is known of a message; `summary` is true of one that sums up a conversation.

    An answer's parent is the message that it answers.
    """

    id: str
    sessionID: str
    parentID: str
    role: str
    summary: object
    modelID: str
    providerID: str
    finish: str
    error: Error
    time: Times
    tokens: Tokens


class SessionInfo(TypedDict, total=False):
    """What is known of a session; a sub-agent's names its parent."""

    id: str
    parentID: str
    directory: str
    title: str
    tokens: Tokens
    cost: float


class Info(MessageInfo, SessionInfo, total=False):
    """What an event tells of a message, or of a session."""


class Message(TypedDict, total=False):
    """A message of a transcript."""

    info: MessageInfo
    parts: list[Part]


class Question(TypedDict, total=False):
    """One thing that an agent asks."""

    question: str


class Request(TypedDict, total=False):
    """A permission or answers that OpenCode waits for."""

    id: str
    sessionID: str
    permission: str
    patterns: list[str]
    questions: list[Question]


class Properties(Request, total=False):
    """What an event tells; each type has other fields."""

    info: Info
    part: Part
    todos: list[Todo]
    status: Status
    error: Error
    messageID: str
    partID: str
    field: str
    delta: str


class Event(TypedDict, total=False):
    """One event of the stream of `GET /event`."""

    type: str
    properties: Properties


class Rule(TypedDict, total=False):
    """A rule of what agents may do."""

    permission: str
    pattern: str
    action: str
