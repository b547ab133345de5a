"""What the doors take and show of projects and their members."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from vibe_app.accounts.roles import ProjectRole
from vibe_app.addresses import Credential
from vibe_app.board.lifecycle import WorkspaceStatus
from vibe_app.board.people import Candidate
from vibe_app.board.projects.delivery import DELIVERIES, HOSTS
from vibe_app.board.projects.keys import clean_key
from vibe_app.board.rules import Body, Name, RoleWord, clean_body
from vibe_app.board.spending.limits import LimitsPatch, LimitsView
from vibe_app.errors import InvalidRequest
from vibe_app.networks import reach
from vibe_app.schema import Moment, Patch, Str, Taken, Version, View, documented

SESSION_LIMIT = 100


class RepoCredential(Taken):
    """What signs in to a repository's server, over https. It is never shown again."""

    username: Annotated[Str, documented(example="git", maxLength=4000)] = "git"
    token: Annotated[Str, documented(example="a token of the server", maxLength=4000, format="password")]

    def credential(self) -> Credential:
        """Return it as the parts below know it."""
        return Credential(self.username, self.token)


def _limit(value: int) -> int:
    if not 1 <= value <= SESSION_LIMIT:
        raise InvalidRequest("The limit of running sessions must be between 1 and 100.", "invalid_limit")
    return value


_RepoUrl = Annotated[
    Str,
    documented(
        example="https://example.org/team/app.git",
        description="A credential that stands in it is taken out and kept encrypted. file:// is for admins",
    ),
]
_Branch = Annotated[
    Str,
    documented(
        example="main", maxLength=255, description="Without one, the branch is the repository's own choice"
    ),
]


def _network(value: str) -> str:
    try:
        policy, hosts = reach(value)
    except ValueError as error:
        raise InvalidRequest(f"The network cannot be set so: {error}.", "invalid_network") from None
    return ", ".join(hosts) or policy


_Network = Annotated[
    Str,
    AfterValidator(_network),
    documented(
        example="example.org, *.example.org",
        maxLength=60_000,
        description="Where commands may go: `closed`, `open`, or hosts with commas; `*.` before one stands"
        " for all names below it. Null is the installation's own rule",
    ),
]


def _paths(values: list[str]) -> list[str]:
    for value in values:
        if not value or value.startswith("/") or ".." in value.split("/") or len(value.encode()) > 4096:
            raise InvalidRequest(
                f"{value[:100]!r} cannot be copied: name a file or folder from the project's root, such as "
                ".env or config/local.yaml.",
                "invalid_path",
            )
    return list(dict.fromkeys(value.rstrip("/") for value in values))


_Setup = Annotated[
    Str,
    AfterValidator(partial(clean_body, what="setup")),
    documented(
        example="npm ci",
        description="A command that prepares each card's folder before its first run, where the agent's "
        "commands run; 10 minutes at most",
    ),
]
_Copied = Annotated[
    list[Str],
    AfterValidator(_paths),
    documented(
        example=[".env"],
        maxItems=100,
        description="Files and folders that each card's folder is given though git ignores them",
    ),
    Field(max_length=100),
]


def _delivery(value: str) -> str:
    if value not in DELIVERIES:
        raise InvalidRequest(f"The delivery must be one of {', '.join(DELIVERIES)}.", "invalid_delivery")
    return value


def _host(value: str) -> str:
    if value not in HOSTS:
        raise InvalidRequest(f"The kind of host must be one of {', '.join(HOSTS)}.", "invalid_host")
    return value


_Delivery = Annotated[
    Str,
    AfterValidator(_delivery),
    documented(
        example="push",
        enum=list(DELIVERIES),
        description="What becomes of what is accepted: `none`, it stays; `push`, it goes to the repository; "
        "`request`, it goes there as a branch with a pull request, and the base branch follows once that is "
        "merged",
    ),
]
_DeliveryHost = Annotated[
    Str,
    AfterValidator(_host),
    documented(
        example="gitea",
        enum=list(HOSTS),
        description="Whose API opens pull requests; `auto` knows github.com, gitlab.com and codeberg.org; "
        "with `none` the branch alone is pushed",
    ),
]


_Key = Annotated[
    Str,
    AfterValidator(clean_key),
    documented(
        example="CAL", minLength=2, maxLength=5, description="What its cards' names begin with: `CAL-14`"
    ),
]


class NewProject(Taken):
    """A new project. Its key is made of its name where none is given."""

    name: Name
    key: _Key | None = None
    description: Body = ""
    repo_url: _RepoUrl | None = None
    branch: _Branch | None = None
    repo_credential: RepoCredential | None = None


class ProjectPatch(Patch):
    """What to change of a project; what is absent stays.

    Address, branch and credential count for workspaces that are made from then on: one that exists
    keeps its files, its history and its `origin`. Null takes each away. A credential belongs to its
    server: a new address with another host takes it away as well.
    """

    nullable: ClassVar[frozenset[str]] = frozenset(
        {"repo_url", "branch", "repo_credential", "network", "setup", "copied", "delivery", "delivery_host"}
    )

    name: Name | None = None
    key: _Key | None = None
    description: Body | None = None
    session_limit: (
        Annotated[int, AfterValidator(_limit), documented(minimum=1, maximum=SESSION_LIMIT)] | None
    ) = None
    limits: LimitsPatch | None = None
    network: _Network | None = None
    setup: _Setup | None = None
    copied: _Copied | None = None
    delivery: _Delivery | None = None
    delivery_host: _DeliveryHost | None = None
    repo_url: _RepoUrl | None = None
    branch: _Branch | None = None
    repo_credential: RepoCredential | None = None


class ChangeProject(ProjectPatch):
    """As `ProjectPatch`; with a version, what somebody else has changed since is not written over."""

    beside: ClassVar[frozenset[str]] = frozenset({"version"})

    version: Version = None


@dataclass(frozen=True)
class WorkspaceView:
    """How a project's workspace is, and why.

    `notices` are sentences on what of the repository is not in it.
    """

    status: WorkspaceStatus
    reason: str | None
    notices: list[str] = field(default_factory=list[str])


class ProjectCard(View):
    """A project as lists of names show it, with the beginning of its description."""

    id: UUID
    name: str
    key: str = Field(description="What its cards' names begin with: `CAL-14`")
    description: str
    session_limit: int = Field(description="Sessions of it that may run at once")
    role: ProjectRole = Field(description="What the asker is in it")
    live_sessions: int
    task_count: int
    created_at: Moment
    updated_at: Moment


class ProjectView(ProjectCard):
    """A project."""

    version: int = Field(description="Grows with each change of what people set of it")
    limits: LimitsView = Field(description="The project's own limits of what a session may spend")
    limits_in_force: LimitsView = Field(
        description="What its next session may spend: its own limits within the installation's"
    )
    network: str | None = Field(description="`closed`, `open`, or hosts; null: see `network_in_force`")
    network_in_force: str = Field(description="The same; the installation's rule for null")
    setup: str | None = Field(description="The command that prepares each card's folder")
    copied: list[str] | None = Field(description="What each card's folder is given though git ignores it")
    delivery: str = Field(description="What becomes of what is accepted: `none`, `push` or `request`")
    delivery_host: str = Field(description="Whose API opens pull requests, as the settings say")
    remote: dict[str, Any] | None = Field(
        description="How the base branch stood to its remote when that was last looked at: `outcome` "
        "(`same`, `forwarded`, `merged`, `diverged`, `gone`, or `unreachable` with `why`), `ahead`, `behind`,"
        " `at`"
    )
    joining_task_id: UUID | None = Field(
        description="The card that brings the base branch together with its remote, until it is done"
    )
    repo_url: str | None = Field(description="Without any credential")
    branch: str | None = Field(description="Null is the repository's own choice")
    has_credential: bool = Field(description="Whether a token or a deploy key signs in to its server")
    workspace: WorkspaceView


class ProjectList(View):
    """A page of projects, by name. It ends early where it would hold more than 1 MiB of text."""

    projects: list[ProjectView]
    total_count: int
    next: str | None = Field(description="What to send as `after` for those that follow; null at the end")


class NewMember(Taken):
    """A person to add to a project, by address or by id."""

    email: Annotated[Str, documented(example="ada@example.org", maxLength=254)] | None = None
    user_id: UUID | None = None
    role: RoleWord = ProjectRole.EDITOR

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.email is None) == (self.user_id is None):
            raise ValueError("give either email or user_id")
        return self


class CandidateList(View):
    """People who could be added to a project, by name; 20 at most."""

    people: list[Candidate]


class ChangeMember(Taken):
    """A member's new role; with a version, one that somebody else has given since is not written over."""

    role: RoleWord
    version: Version = None


class MemberView(View):
    """One person's role in a project."""

    user_id: UUID
    role: ProjectRole
    version: int = Field(description="Grows when the role changes")
    created_at: Moment


class MemberOut(MemberView):
    """A person in a project."""

    email: str
    name: str


class MemberList(View):
    """A page of members, owners first."""

    members: list[MemberOut]
    total_count: int
