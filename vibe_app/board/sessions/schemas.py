"""What the doors take and show of sessions: as a card shows one, as a list does, and the whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from math import inf
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import Field

from vibe_app.board.lifecycle import SessionKind, SessionStatus
from vibe_app.board.spending.limits import Limits, LimitsView, usd
from vibe_app.schema import Moment, Str, Taken, View, documented


class Execute(Taken):
    """What to tell the agent beyond the card."""

    instructions: Annotated[Str, documented(example="Keep it under ten lines.")] = ""


class Executed(View):
    """The session that was started, and its first outcome."""

    session_id: UUID
    status: SessionStatus


class StepsView(View):
    """How far the agent is on its own list of things to do."""

    done: int
    total: int
    current: str


class SessionCard(View):
    """A session without its prompt and output, as a card shows it."""

    id: UUID
    task_id: UUID
    project_id: UUID
    kind: SessionKind = Field(
        default=SessionKind.EXECUTE, description="A new conversation, or one that goes on"
    )
    status: SessionStatus
    error: str | None = Field(description="Why it failed")
    failure: str | None = Field(description="Why it failed, as a word for programs")
    started_at: Moment | None
    completed_at: Moment | None
    duration_ms: int | None
    created_at: Moment
    updated_at: Moment
    created_by: UUID | None
    queue_position: int | None = Field(None, description="Its place in line, from 1, while it waits in one")
    waiting_for: str | None = Field(None, description="What it waits for, in words")
    quiet_since: Moment | None = Field(
        None, description="When it was last heard of, while it runs and that is longer ago than is usual"
    )
    asking: bool | None = Field(description="Whether a completed one ends with a question to you")
    attempt: int = Field(description="Counts from 1; grows when a lost session is taken up again")
    stop_requested: bool
    model: str
    tokens_input: int | None = Field(
        description="Tokens that models read, without those of a cache; null where nobody counted them"
    )
    tokens_output: int | None = Field(description="Tokens that models wrote, without their reasoning")
    tokens_reasoning: int | None
    tokens_cache_read: int | None
    tokens_cache_write: int | None
    cost: float | None = Field(description="US dollars; null where the cost of any part is not known")
    cost_at_least: float | None = Field(
        description="US dollars of what is known; null where nobody counted it"
    )
    model_requests: int | None = Field(description="Requests to models, those of sub-agents among them")
    limits: LimitsView = Field(description="What it may spend, as it was when it started")
    steps: StepsView | None = Field(
        default=None, description="How far the agent is on its own list of things to do"
    )
    change_id: UUID | None = Field(default=None, description="The change whose tree it works in")
    conversation_id: str | None = Field(default=None, description="What OpenCode calls the conversation")
    configuration_version: int | None = Field(
        default=None, description="Null: the installation's own configuration"
    )
    opencode_version: str | None = None
    image: str | None = Field(
        default=None, description="The image of its workspace; null for one on the board's machine"
    )
    revision_before: str | None = Field(default=None, description="The tree's checkpoint before it")
    revision_after: str | None = Field(default=None, description="The tree's checkpoint after it")
    round_files: int | None = Field(default=None, description="Files that differ between the two")
    round_additions: int | None = None
    round_deletions: int | None = None
    last_line: str = Field(description="The last line that it wrote")
    last_seq: int = Field(description="Number of its newest event")
    last_event_at: Moment | None


class SessionPreview(SessionCard):
    """A session in a list: of its long texts the first 1,000 characters, and how large they are."""

    prompt: str = Field(description="The first 1,000 characters of what was sent to the agent")
    prompt_size: int = Field(description="Bytes of the whole prompt")
    output: str = Field(
        description="The first 1,000 characters of the run's plain text; while it is live, the last"
    )
    message: str | None = Field(description="The first 1,000 characters of what a person wrote to follow up")
    summary: str | None = Field(
        description="The first 4,000 characters of the agent's last message, Markdown"
    )
    output_size: int | None = Field(
        description="Bytes of the whole output; null while it is live, and where an earlier version "
        "compressed it"
    )


class SessionView(SessionCard):
    """One run of a task, whole. While it is live, `output` is only the last stretch of it."""

    prompt: str = Field(description="As sent to the agent")
    output: str = Field(description="Plain text of the run")
    message: str | None = Field(description="What a person wrote to follow up")
    summary: str | None = Field(description="The agent's last message, as Markdown")


class SessionList(View):
    """A page of sessions, newest first. Each is read whole by its id."""

    sessions: list[SessionPreview]
    total_count: int


Kind = TypeVar("Kind", bound=SessionCard)
_REASONED = frozenset({"queue_position", "waiting_for", "quiet_since", "cost", "cost_at_least", "limits"})


def session_view(
    kind: type[Kind], row: Any, waits: Mapping[UUID, tuple[int | None, str]], quiet_notice: float = inf
) -> Kind:
    """Make a view of a session's row, or of a selection of its columns.

    Args:
        kind: How much is shown of it; the row has these columns.
        row: Where it was selected with its `silence`, it may be shown as quiet.
        waits: What is known of those that wait.
        quiet_notice: Seconds of silence after which one that runs is quiet.
    """
    position, reason = waits.get(row.id, (None, None))
    silence = getattr(row, "silence", None) or 0.0
    # One without an owner waits to be taken up again, which is no silence of the agent's.
    quiet = row.status is SessionStatus.RUNNING and row.owner is not None and silence > quiet_notice
    since = datetime.fromtimestamp(row.heard_at, UTC) if quiet else None
    values = {name: getattr(row, name) for name in kind.model_fields if name not in _REASONED}
    if row.status is not SessionStatus.FAILED:
        # The row remembers why it was taken up again: no word on a run that may well complete.
        values["failure"] = None
    values |= {"queue_position": position, "waiting_for": reason, "quiet_since": since}
    known = usd(row.cost_nano) if row.model_requests is not None else None
    values |= {"cost": _cost(row), "cost_at_least": known, "limits": LimitsView.show(Limits.of(row))}
    return kind.model_validate(values)


def _cost(row: Any) -> float | None:
    if row.model_requests is not None:
        return None if row.unpriced_requests else usd(row.cost_nano)
    if row.cost_nano is not None:
        return usd(row.cost_nano)
    # What a version before has written; it wrote 0 where it knew no price.
    return row.cost or None
