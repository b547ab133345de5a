"""The tables of what is configured."""

# pyright: reportAssignmentType=false
# SQLModel declares `__tablename__` in a way that no plain string fits, though its documentation uses one.

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, Column, ForeignKey, LargeBinary, String, Text, Uuid
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


class Provider(SQLModel, table=True):
    """A provider of models; its key, if it has one, is encrypted with the key that `key_id` names."""

    __tablename__ = "providers"
    __table_args__ = (CheckConstraint("kind IN ('openai', 'anthropic', 'google')", name="providers_kind"),)

    id: str = Field(sa_column=Column(String(64), primary_key=True))
    name: str = Field(sa_column=Column(String(100), nullable=False))
    kind: str = Field(sa_column=Column(String(16), nullable=False))
    base_url: str = Field(sa_column=Column(Text, nullable=False))
    models: list[str] = Field(sa_column=Column(JSON, nullable=False))
    key_id: str | None = Field(default=None, sa_column=Column(String(16), nullable=True))
    data: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    created_at: datetime = Field(default_factory=now, sa_column=Column(UtcDateTime, nullable=False))
    updated_at: datetime = Field(default_factory=now, sa_column=Column(UtcDateTime, nullable=False))
