"""What the doors take and show of accounts, logins and tokens.

Limits noted here are for the documentation: the verbs check and word them.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from vibe_app.accounts.roles import ProjectRole, Scope, UserRole
from vibe_app.schema import Moment, Str, Taken, Version, View, documented

_Email = Annotated[Str, documented(example="ada@example.org", maxLength=254)]
_Password = Annotated[
    Str, documented(example="a long enough password", minLength=10, maxLength=200, format="password")
]
_Name = Annotated[Str, documented(example="Ada", minLength=1, maxLength=100)]
_UserRoleIn = Annotated[Str, documented(enum=list(UserRole), example="member")]


class SetUp(Taken):
    """The first account."""

    email: _Email
    name: _Name
    password: _Password
    setup_token: Annotated[Str, documented(example="5f0c2a91…")] = ""
    """What the one-time link carries that the server printed when it started."""


class Credentials(Taken):
    """An address and its password."""

    email: _Email
    password: _Password


class LoginOut(View):
    """A login: send the token as `Authorization: Bearer`; a browser sends the cookie and the key."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"
    key: str = Field(description="What a browser sends beside the cookie, as `X-Vibe-Key`")
    expires_in: int = Field(description="Seconds until the login ends")


class LoginEntry(View):
    """One of one's own logins."""

    id: UUID
    host: str = Field(description="The network address that the server saw; empty where that is not known")
    browser: str = Field(description="What signed in, by its own word; empty where that is not known")
    created_at: Moment
    expires_at: Moment
    last_used_at: Moment | None = Field(description="Noted at most every 5 minutes")
    current: bool = Field(description="Whether it is the one that asks")


class LoginList(View):
    """A page of one's own logins."""

    logins: list[LoginEntry]
    total_count: int


class UserOut(View):
    """A person with an account."""

    id: UUID
    email: str
    name: str
    role: UserRole
    can_create_projects: bool = Field(description="An admin always may")
    can_execute: bool = Field(description="Whether the person may make agents work; an admin always may")
    version: int = Field(description="Grows with each change of name, role and rights")
    created_at: Moment


class ChangeMe(Taken):
    """What to change of one's own account; what is absent stays."""

    name: _Name | None = None
    password: _Password | None = None
    current_password: Annotated[Str, documented(format="password")] = ""
    keep_tokens: bool = Field(
        default=False, description="With a new password: one's access tokens stay, else they end"
    )
    version: Version = None


class NewUser(Taken):
    """A new account."""

    email: _Email
    name: _Name
    password: _Password
    role: _UserRoleIn = UserRole.MEMBER.value
    can_create_projects: bool = True
    can_execute: bool = True


class InvitedTo(Taken):
    """A project that somebody who is invited belongs to from the beginning."""

    project_id: UUID
    role: ProjectRole = ProjectRole.EDITOR


class Invite(Taken):
    """A new account, whose person sets the password."""

    email: _Email
    name: _Name
    role: _UserRoleIn = UserRole.MEMBER.value
    can_create_projects: bool = True
    can_execute: bool = True
    projects: list[InvitedTo] = Field(default_factory=list[InvitedTo], max_length=100)


class PasswordLinkOut(View):
    """A link by which a person sets their password, once; shown this once."""

    path: str = Field(
        description="Where it leads, on the board's own address",
        json_schema_extra={"example": "/reset?token=…"},
    )
    token: str
    expires_at: Moment


class InvitedOut(View):
    """A new account, and the link for its person."""

    user: UserOut
    link: PasswordLinkOut


class ResetPassword(Taken):
    """A new password, and the link's token."""

    token: Annotated[Str, documented(example="5f0c2a91…")]
    password: _Password


class ChangeUser(Taken):
    """What to change of an account; what is absent stays."""

    name: _Name | None = None
    role: _UserRoleIn | None = None
    password: _Password | None = None
    can_create_projects: bool | None = None
    can_execute: bool | None = None
    version: Version = None


class UserList(View):
    """A page of accounts."""

    users: list[UserOut]
    total_count: int


class NewToken(Taken):
    """A new personal access token."""

    name: _Name
    days: Annotated[int, documented(minimum=1, maximum=365)] = 90
    scopes: list[Annotated[Str, documented(enum=list(Scope))]] = Field(
        default=[Scope.READ.value],
        description="What it may be used for, within one's own rights; each includes `read`",
    )
    project_id: UUID | None = Field(default=None, description="The only project that it is for; null for all")


class ChangeToken(Taken):
    """A new name for a token."""

    name: _Name


class TokenOut(View):
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


class TokenList(View):
    """A page of one's own tokens."""

    tokens: list[TokenOut]
    total_count: int
