"""The tables of what is configured."""

# pyright: reportAssignmentType=false
# SQLModel declares `__tablename__` in a way that no plain string fits, though its documentation uses one.

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKey, LargeBinary, String, Uuid
from sqlmodel import Field, SQLModel

from vibe_app.db import UtcDateTime
from vibe_app.wire import now


class Secret(SQLModel, table=True):
    """A secret of a project, encrypted with the key that `key_id` names."""

    __tablename__ = "secrets"

    project_id: UUID = Field(
        sa_column=Column(Uuid, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    )
    name: str = Field(sa_column=Column(String(64), primary_key=True))
    key_id: str = Field(sa_column=Column(String(16), nullable=False))
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    updated_at: datetime = Field(default_factory=now, sa_column=Column(UtcDateTime, nullable=False))
