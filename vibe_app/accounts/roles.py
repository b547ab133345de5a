"""Roles, and who is asking. Pure words that every room above may use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


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


@dataclass(frozen=True)
class Actor:
    """The person who asks: every verb takes one first and checks it."""

    user_id: UUID
    role: UserRole
    email: str
    name: str

    @property
    def is_admin(self) -> bool:
        """Whether this person administers the installation."""
        return self.role is UserRole.ADMIN
