"""What the API takes and gives. Views become bodies here; rules about values live in the verbs.

Bodies refuse fields that they do not know, so that a misspelt one is noticed.
Limits noted here are for the documentation: the verbs check and word them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from vibe_app.accounts.roles import ProjectRole, Scope, UserRole
from vibe_app.board.lifecycle import Priority, SessionStatus, TaskStatus
from vibe_app.wire import iso


def _unicode(value: str) -> str:
    # JSON can spell half of a surrogate pair, which no database and no hash takes.
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("it contains characters that are not Unicode text") from None
    return value


Str = Annotated[str, AfterValidator(_unicode)]
Moment = Annotated[
    datetime,
    PlainSerializer(iso, return_type=str),
    Field(json_schema_extra={"example": "2026-11-22T09:30:00.000Z", "format": "date-time"}),
]
Page = Annotated[int, Query(ge=1, le=1_000_000, description="Which page, from 1")]
PageSize = Annotated[int, Query(ge=1, le=100, description="How many on a page, 1 to 100")]


def _documented(**extra: Any) -> Any:
    return Field(json_schema_extra=extra)


_Email = Annotated[Str, _documented(example="ada@example.org", maxLength=254)]
_Password = Annotated[
    Str, _documented(example="a long enough password", minLength=10, maxLength=200, format="password")
]
_Name = Annotated[Str, _documented(example="Ada", minLength=1, maxLength=100)]
_Title = Annotated[Str, _documented(example="Add a README file", minLength=1, maxLength=200)]
_Body = Annotated[
    Str, _documented(example="Say in a few lines what the project is for.", description="Markdown, to 64 KiB")
]
_Labels = Annotated[list[Str], _documented(example=["docs"], maxItems=20)]
_PriorityIn = Annotated[Str, _documented(enum=list(Priority), example="normal")]
_RoleIn = Annotated[Str, _documented(enum=list(ProjectRole), example="editor")]
_UserRoleIn = Annotated[Str, _documented(enum=list(UserRole), example="member")]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, view: object) -> Self:
        """Make the body of a view."""
        return cls.model_validate(view)

    @classmethod
    def all(cls, views: Iterable[object]) -> list[Self]:
        """Make the bodies of several views."""
        return [cls.model_validate(view) for view in views]


class Message(BaseModel):
    """A word on what was done."""

    message: str


class SetUp(_In):
    """The first account."""

    email: _Email
    name: _Name
    password: _Password
    setup_token: Annotated[Str, _documented(example="5f0c2a91…")] = ""
    """What the one-time link carries that the server printed when it started."""


class Credentials(_In):
    """An address and its password."""

    email: _Email
    password: _Password


class LoginOut(BaseModel):
    """A login: send the token as `Authorization: Bearer`; a browser sends the cookie and the key."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"
    key: str = Field(description="What a browser sends beside the cookie, as `X-Vibe-Key`")
    expires_in: int = Field(description="Seconds until the login ends")


class LoginEntry(_Out):
    """One of one's own logins."""

    id: UUID
    host: str = Field(description="The network address that the server saw; empty where that is not known")
    browser: str = Field(description="What signed in, by its own word; empty where that is not known")
    created_at: Moment
    expires_at: Moment
    last_used_at: Moment | None = Field(description="Noted at most every 5 minutes")
    current: bool = Field(description="Whether it is the one that asks")


class LoginList(BaseModel):
    """A page of one's own logins."""

    logins: list[LoginEntry]
    total_count: int


class UserOut(_Out):
    """A person with an account."""

    id: UUID
    email: str
    name: str
    role: UserRole
    can_create_projects: bool = Field(description="An admin always may")
    can_execute: bool = Field(description="Whether the person may make agents work; an admin always may")
    created_at: Moment


class ChangeMe(_In):
    """What to change of one's own account; what is absent stays."""

    name: _Name | None = None
    password: _Password | None = None
    current_password: Annotated[Str, _documented(format="password")] = ""
    keep_tokens: bool = Field(
        default=False, description="With a new password: one's access tokens stay, else they end"
    )


class NewUser(_In):
    """A new account."""

    email: _Email
    name: _Name
    password: _Password
    role: _UserRoleIn = UserRole.MEMBER.value
    can_create_projects: bool = True
    can_execute: bool = True


class ChangeUser(_In):
    """What to change of an account; what is absent stays."""

    name: _Name | None = None
    role: _UserRoleIn | None = None
    password: _Password | None = None
    can_create_projects: bool | None = None
    can_execute: bool | None = None


class UserList(BaseModel):
    """A page of accounts."""

    users: list[UserOut]
    total_count: int


class NewToken(_In):
    """A new personal access token."""

    name: _Name
    days: Annotated[int, _documented(minimum=1, maximum=365)] = 90
    scopes: Annotated[
        list[Annotated[Str, _documented(enum=list(Scope))]],
        Field(description="What it may be used for, within one's own rights; each includes `read`"),
    ] = [Scope.READ.value]
    project_id: UUID | None = Field(default=None, description="The only project that it is for; null for all")


class ChangeToken(_In):
    """A new name for a token."""

    name: _Name


class TokenOut(_Out):
    """A personal access token without its secret."""

    id: UUID
    name: str
    scopes: list[Scope]
    project_id: UUID | None = Field(description="The only project that it is for; null for all")
    created_at: Moment
    expires_at: Moment
    last_used_at: Moment | None


class NewTokenOut(TokenOut):
    """A token right after it was made: the only time that its secret is shown."""

    token: str = Field(description="Send it as `Authorization: Bearer`; it is kept only as a hash")


class TokenList(BaseModel):
    """A page of one's own tokens."""

    tokens: list[TokenOut]
    total_count: int


class RepoCredential(_In):
    """What signs in to a repository's server, over https. It is never shown again."""

    username: Annotated[Str, _documented(example="git", maxLength=4000)] = "git"
    token: Annotated[Str, _documented(example="a token of the server", maxLength=4000, format="password")]


_RepoUrl = Annotated[
    Str,
    _documented(
        example="https://example.org/team/app.git",
        description="A credential that stands in it is taken out and kept encrypted. file:// is for admins",
    ),
]
_Branch = Annotated[
    Str,
    _documented(
        example="main", maxLength=255, description="Without one, the branch is the repository's own choice"
    ),
]


class NewProject(_In):
    """A new project."""

    name: _Name
    description: _Body = ""
    repo_url: _RepoUrl | None = None
    branch: _Branch | None = None
    repo_credential: RepoCredential | None = None


class ChangeProject(_In):
    """What to change of a project; what is absent stays.

    Address, branch and credential count for workspaces that are made from then on: one that exists
    keeps its files, its history and its `origin`. Null takes each away. A credential belongs to its
    server: a new address with another host takes it away as well.
    """

    repo_url: _RepoUrl | None = None
    branch: _Branch | None = None
    repo_credential: RepoCredential | None = None

    name: _Name | None = None
    description: _Body | None = None
    session_limit: Annotated[int, _documented(minimum=1, maximum=100)] | None = None


class WorkspaceOut(_Out):
    """How a project's workspace is, and why."""

    status: Literal["stopped", "starting", "ready", "failed"]
    reason: str | None
    notices: list[str] = Field(description="Sentences on what of the repository is not in it")


class ProjectOut(_Out):
    """A project."""

    id: UUID
    name: str
    description: str
    repo_url: str | None = Field(description="Without any credential")
    branch: str | None = Field(description="Null is the repository's own choice")
    has_credential: bool = Field(description="Whether a token signs in to the repository's server")
    session_limit: int = Field(description="Sessions of it that may run at once")
    role: ProjectRole = Field(description="What the asker is in it")
    workspace: WorkspaceOut
    live_sessions: int
    task_count: int
    created_at: Moment
    updated_at: Moment


class ProjectList(BaseModel):
    """A page of projects, by name."""

    projects: list[ProjectOut]
    total_count: int


class NewMember(_In):
    """A person to add to a project, by address or by id."""

    email: _Email | None = None
    user_id: UUID | None = None
    role: _RoleIn = ProjectRole.EDITOR.value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.email is None) == (self.user_id is None):
            raise ValueError("give either email or user_id")
        return self


class ChangeMember(_In):
    """A member's new role."""

    role: _RoleIn


class MemberOut(BaseModel):
    """A person in a project."""

    user_id: UUID
    email: str
    name: str
    role: ProjectRole
    created_at: Moment


class MemberList(BaseModel):
    """A page of members, owners first."""

    members: list[MemberOut]
    total_count: int


class NewTask(_In):
    """A new card, for the bottom of TODO."""

    title: _Title
    description: _Body = ""
    priority: _PriorityIn = Priority.NORMAL.value
    labels: _Labels = []


class ChangeTask(_In):
    """What to change of a card; what is absent stays."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        None, description="The version that you read; or name it in If-Match"
    )

    title: _Title | None = None
    description: _Body | None = None
    priority: _PriorityIn | None = None
    labels: _Labels | None = None


class MoveTask(_In):
    """Where to put a card: into a column, above or below another card of it, or at its end."""

    status: Annotated[Str, _documented(enum=list(TaskStatus), example="DONE")]
    before_id: UUID | None = None
    after_id: UUID | None = None


class SessionCard(_Out):
    """A session without its prompt and output, as a card shows it."""

    id: UUID
    task_id: UUID
    project_id: UUID
    status: SessionStatus
    error: str | None = Field(description="Why it failed")
    started_at: Moment | None
    completed_at: Moment | None
    duration_ms: int | None
    created_at: Moment
    updated_at: Moment
    queue_position: int | None = Field(description="Its place in line, from 1, while it waits in one")
    waiting_for: str | None = Field(description="What it waits for, in words")
    quiet_since: Moment | None = Field(
        description="When it was last heard of, while it runs and that is longer ago than is usual"
    )
    asking: bool | None = Field(description="Whether a completed one ends with a question to you")
    attempt: int = Field(description="Counts from 1; grows when a lost session is taken up again")
    stop_requested: bool
    model: str
    tokens_input: int | None
    tokens_output: int | None
    cost: float | None = Field(description="US dollars, where known")
    last_seq: int = Field(description="Number of its newest event")


class SessionOut(SessionCard):
    """One run of a task. While it is live, `output` is only the last stretch of it."""

    prompt: str = Field(description="As sent to the agent")
    output: str = Field(description="Plain text of the run")


class SessionList(BaseModel):
    """A page of sessions, newest first."""

    sessions: list[SessionOut]
    total_count: int


class TaskOut(_Out):
    """A card."""

    id: UUID
    project_id: UUID
    title: str
    description: str
    priority: Priority
    labels: list[str]
    status: TaskStatus
    position: float = Field(description="Orders its column, smallest first")
    version: int = Field(description="Grows with each change of title, description, priority or labels")
    created_by: UUID | None
    created_at: Moment
    updated_at: Moment
    session: SessionCard | None = Field(description="Its latest run")


class TaskList(BaseModel):
    """A page of cards in board order."""

    tasks: list[TaskOut]
    total_count: int


class Execute(_In):
    """What to tell the agent beyond the card."""

    instructions: Annotated[Str, _documented(example="Keep it under ten lines.")] = ""


class Executed(BaseModel):
    """The session that was started, and its first outcome."""

    session_id: UUID
    status: SessionStatus


class FileEntry(BaseModel):
    """One entry of a folder."""

    name: str
    path: str = Field(description="From the workspace's root")
    type: Literal["file", "directory", "symlink", "other"]
    size: int
    modified: str = Field(json_schema_extra={"example": "2026-11-22T09:30:00.000Z", "format": "date-time"})
    leads_to: Literal["file", "directory"] | None = Field(
        default=None, description="What a link leads to; null where it leads out of the workspace, or nowhere"
    )


class FileList(BaseModel):
    """A folder of the workspace, folders first."""

    path: str
    entries: list[FileEntry]
    total_count: int


class FileContent(BaseModel):
    """A file of the workspace."""

    path: str
    size: int = Field(description="Of the whole file, in bytes")
    offset: int = Field(description="Byte at which the content begins; a text is cut between characters")
    encoding: str = Field(description="`utf-8`, or `base64` where the file is no text")
    content: str
    version: str | None = Field(description="Changes with the content; null where this is only a part")


class FileWritten(BaseModel):
    """A file that was put in place."""

    path: str
    size: int
    version: str


class FilePath(BaseModel):
    """Where something is in the workspace."""

    path: str


class NewFolder(_In):
    """A folder to be made."""

    path: Annotated[Str, _documented(example="docs/images")]
    parents: bool = Field(default=False, description="Make missing folders on the way")


class MoveFile(_In):
    """A file or folder and its new name or place."""

    path: Annotated[Str, _documented(example="notes.md")]
    to: Annotated[Str, _documented(example="docs/notes.md")]
    parents: bool = Field(default=False, description="Make missing folders on the way")


class SearchResult(BaseModel):
    """Something that was found."""

    path: str
    type: Literal["file", "directory", "symlink", "other"]
    line: int | None = Field(default=None, description="From 1; of a search in text")
    text: str | None = Field(default=None, description="The line, shortened; of a search in text")


class SearchResults(BaseModel):
    """What was found, nearest to the root first."""

    results: list[SearchResult]
    truncated: bool = Field(description="Time or room did not suffice for all")


class ChangedFile(BaseModel):
    """A file that was written."""

    path: str
    type: Literal["file", "directory", "symlink", "other"]
    size: int
    modified: str = Field(json_schema_extra={"example": "2026-11-22T09:30:00.000Z", "format": "date-time"})


class ChangedFiles(BaseModel):
    """What was written, the newest first."""

    results: list[ChangedFile]
    truncated: bool = Field(description="Time or room did not suffice for all")


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Everything that it needs answers."""

    status: Literal["ready"] = "ready"


class NotReady(BaseModel):
    """What does not answer."""

    error: str
    code: Literal["not_ready"] = "not_ready"
    reasons: dict[str, str] = Field(description="What is wrong with each part that is not ready")
