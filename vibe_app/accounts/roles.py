"""Roles and scopes, and who is asking. Pure words that every room above may use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from vibe_app.errors import Forbidden


class UserRole(StrEnum):
    """What a person is in the installation."""

    ADMIN = "admin"
    MEMBER = "member"


class ProjectRole(StrEnum):
    """What a person is in a project, from most to least."""

    OWNER = "owner"
    EDITOR = "editor"
    VIEWER = "viewer"

    def covers(self, needed: ProjectRole) -> bool:
        """Tell whether this role may do what `needed` may."""
        order = list(ProjectRole)
        return order.index(self) <= order.index(needed)


class Scope(StrEnum):
    """What an access token may be used for, within its owner's rights. Each includes `read`."""

    READ = "read"
    RUN = "run"
    WRITE = "write"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True)
class Actor:
    """The person who asks: every verb takes one first and checks it.

    Args:
        user_id: Which account.
        role: What the person is in the installation.
        email: The address.
        name: As others see it.
        can_create_projects: Whether the person may make projects.
        can_execute: Whether the person may make agents work.
        scopes: What the access token that was used is for; a login is for everything.
        project_id: The only project that the access token is for; None for all.
        token_id: The access token that was used; None for a login.
        login_id: The login that was used; None for an access token.
        kept_from: Why the person may not make agents work although an admin has allowed it: a sentence.
    """

    user_id: UUID
    role: UserRole
    email: str
    name: str
    can_create_projects: bool = True
    can_execute: bool = True
    scopes: frozenset[Scope] = ALL_SCOPES
    project_id: UUID | None = None
    token_id: UUID | None = None
    login_id: UUID | None = None
    kept_from: str = ""

    @property
    def is_admin(self) -> bool:
        """Whether this person administers the installation."""
        return self.role is UserRole.ADMIN

    def need_scope(self, needed: Scope, project_id: UUID | None) -> None:
        """Return if what was used to ask is for this.

        Args:
            needed: What it is asked for.
            project_id: The project that it is about; None for the installation.

        Raises:
            Forbidden: It is an access token without this scope, or for another project.
        """
        if needed not in self.scopes:
            raise Forbidden(
                f"This access token lacks the scope {needed.value}. Make one that has it in Settings.",
                "scope_missing",
            )
        if self.project_id is not None and project_id != self.project_id:
            raise Forbidden(
                "This access token is for another project. Use one that is for this project, or for all."
                if project_id is not None
                else "This access token is for one project only. Use one that is for all projects.",
                "other_project",
            )

    def need_admin(self) -> None:
        """Return if the person administers the installation, and uses what is for that.

        Raises:
            Forbidden: They do not, or an access token without the scope asks.
        """
        self.need_scope(Scope.ADMIN, None)
        if not self.is_admin:
            raise Forbidden("Only an admin of this installation may do this.", "not_an_admin")

    def need_login(self) -> None:
        """Return if the person is signed in.

        Raises:
            Forbidden: An access token asks, which may not do this whatever its scopes.
        """
        if self.token_id is not None:
            raise Forbidden(
                "An access token cannot do this. Sign in with your password to do it.", "login_needed"
            )

    @property
    def no_execution(self) -> str:
        """Why the person may not make agents work, as a sentence; empty for who may."""
        return self.kept_from if self.can_execute else MAY_NOT_EXECUTE

    def need_execution(self) -> None:
        """Return if the person may make agents work.

        Raises:
            Forbidden: An admin has not allowed it, or agents would not be kept in (`no_sandbox`).
        """
        if not self.can_execute:
            raise Forbidden(MAY_NOT_EXECUTE, "may_not_execute")
        if self.kept_from:
            raise Forbidden(self.kept_from, "no_sandbox")

    def need_creation(self) -> None:
        """Return if the person may make projects.

        Raises:
            Forbidden: An admin has not allowed it.
        """
        if not self.can_create_projects:
            raise Forbidden(MAY_NOT_CREATE, "may_not_create_projects")


MAY_NOT_EXECUTE = (
    "Your account may not execute tasks. An admin of this installation can allow it in Settings, People."
)
MAY_NOT_CREATE = (
    "Your account may not create projects. An admin of this installation can allow it in Settings, People."
)


def rights_of(subject: UUID) -> str:
    """Return the topic of a change that may take a right away: a person's id, or a project's."""
    return f"rights:{subject}"
