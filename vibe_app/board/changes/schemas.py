"""What the doors take and show of changes and of the comments on them."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from vibe_app.board import rules
from vibe_app.board.lifecycle import ChangeState, CommentState
from vibe_app.schema import Moment, Str, Taken, View, documented
from vibe_app.wire.git import ChangedFile, LeftOut

Revision = Annotated[Str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$"), documented(example="0" * 40)]
"""The hash of the checkpoint that somebody saw."""


Message = Annotated[
    Str, AfterValidator(partial(rules.clean_body, what="message")), documented(description="To 64 KiB")
]
CommentBody = Annotated[
    Str, AfterValidator(partial(rules.clean_body, what="comment")), documented(description="To 64 KiB")
]


class RequestView(View):
    """The pull request of an accepted change, as its host last said."""

    number: int
    url: str
    state: Literal["open", "merged", "closed"]


class DeliveryView(View):
    """How what was accepted stands with the project's repository."""

    state: Literal["waiting", "pushed", "opened", "pushed_branch", "nothing", "failed"] = Field(
        description="`pushed` to its branch; `opened` as a pull request; `pushed_branch`, as a branch for "
        "which a person opens the request; `nothing`, all of it is there already; `failed`, see `error`"
    )
    branch: str | None = Field(default=None, description="Where it was pushed to")
    commit: str | None = None
    request: RequestView | None = None
    code: str | None = None
    error: str | None = Field(default=None, description="Why it failed, or why the request was not looked up")
    at: Moment | None = None


class ChangeCard(View):
    """A card's newest change, as the board shows it."""

    state: ChangeState
    revision: str | None = Field(description="Its newest checkpoint; null while nothing differs")
    files: int
    additions: int
    deletions: int
    conflicts: bool = Field(description="It does not fit on the base branch as it is")
    request: RequestView | None = Field(default=None, description="Its pull request, once it is accepted")
    busy: str | None = Field(
        default=None, description="What is being done with it: accept, discard or restore"
    )
    behind: int = Field(default=0, description="By how many commits the base branch has moved on since")


class BaseView(View):
    """On what a change is founded."""

    branch: str
    commit: str
    behind: int = Field(description="By how many commits the base branch has moved on since")


class ProblemView(View):
    """Why the last decision about a change was not carried out."""

    code: str
    error: str


class ChangeView(View):
    """A card's change: what its tree holds that the base branch does not."""

    id: UUID | None = None
    state: Literal["none", "open", "accepting", "accepted", "discarded"]
    revision: str | None = None
    base: BaseView | None = None
    files: list[ChangedFile] = Field(default_factory=list[ChangedFile])
    file_count: int = 0
    additions: int = 0
    deletions: int = 0
    brings: int = Field(
        default=0, description="Commits of the remote's that it brings into the base branch's history"
    )
    left_out: list[LeftOut] = Field(
        default_factory=list[LeftOut], description="What of the tree is not in it, and why"
    )
    conflicts: list[str] = Field(default_factory=list[str], description="Files that conflict with the base")
    intent: str | None = Field(
        default=None, description="What is being done with it: accept, discard or restore"
    )
    problem: ProblemView | None = None
    by_request: bool = Field(
        default=False, description="Accepting it leaves the base branch alone and opens a pull request"
    )
    commit: str | None = Field(
        default=None, description="The commit of the base branch, or of its request, once it is accepted"
    )
    decided_by: UUID | None = None
    decided_at: Moment | None = None
    restorable: bool = Field(default=False, description="It was discarded, and can still be restored")
    delivery: DeliveryView | None = Field(
        default=None, description="How it stands with the remote repository"
    )
    seen: list[str] = Field(default_factory=list[str], description="Files that you have seen as they are now")


class FollowUp(Taken):
    """What to tell the agent in the conversation that it has had about the card."""

    message: Message = ""
    comment_ids: list[UUID] = Field(default_factory=list[UUID], max_length=500)
    revision: Revision | None = Field(default=None, description="The revision that you saw")


class AcceptChange(Taken):
    """How to accept a change."""

    revision: Revision
    strategy: Literal["squash", "merge"] = "squash"
    message: Message = Field(default="", description="Of the commit; without one it is the card's title")
    anyway: bool = Field(
        default=False, description="Also where something would be lost that is in no checkpoint"
    )


class NameRevision(Taken):
    """Names what somebody saw when they decided."""

    revision: Revision | None = None
    anyway: bool = Field(
        default=False, description="Also where something would be lost that is in no checkpoint"
    )


class NewComment(Taken):
    """A comment on a line, or some lines, of a file of a change."""

    revision: Revision
    path: Annotated[Str, Field(min_length=1, max_length=20_000)]
    side: Literal["new", "old"] = "new"
    line: int = Field(ge=1, le=2**31 - 1)
    line_end: int | None = Field(default=None, ge=1, le=2**31 - 1)
    quote: Annotated[Str, Field(max_length=64 << 10)] = Field(
        default="", description="The text of those lines"
    )
    body: CommentBody


class CommentPatch(Taken):
    """What to change of a comment: its words, for who wrote it, or whether it is resolved."""

    body: CommentBody | None = None
    was: CommentBody | None = Field(
        default=None, description="The words that you read: where there are others by now, nothing is changed"
    )
    state: Literal["open", "resolved"] | None = None


class CommentView(View):
    """A comment on a change."""

    id: UUID
    author_id: UUID | None
    revision: str
    path: str
    side: Literal["new", "old"]
    line: int
    line_end: int
    quote: str
    body: str
    state: CommentState
    session_id: UUID | None = Field(description="The run that it was sent with")
    outdated: bool = Field(default=False, description="Its lines are not there any more")
    now_line: int | None = Field(default=None, description="Where its lines are in the newest revision")
    created_at: Moment
    updated_at: Moment


class CommentList(View):
    """All comments on a card's change, oldest first."""

    comments: list[CommentView]
    total_count: int


class SeenFile(Taken):
    """That you have seen a file of a change, or not."""

    path: Annotated[Str, Field(min_length=1, max_length=20_000)]
    seen: bool = True
