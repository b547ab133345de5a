"""The tables of workspaces: what is wanted of each, how it is, who uses it."""

# pyright: reportAssignmentType=false
# SQLModel declares `__tablename__` in a way that no plain string fits, though its documentation uses one.

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, CheckConstraint, Column, Float, Index, Integer, String, Text, Uuid
from sqlmodel import Field, SQLModel

from vibe_app.db import UtcDateTime
from vibe_app.wire import now
from vibe_app.workspaces.states import Desired, WorkspaceStatus


def _one_of(column: str, values: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


class Workspace(SQLModel, table=True):
    """A project's workspace: what is wanted of it and how it is, as the reconciler last saw it.

    There is no foreign key: a row outlives its project until nothing is left of the workspace.
    Each wish that asks for something anew raises `generation`; `observed` is the one that `status`
    answers; `restart` is set while what runs is to be ended first. Each start raises `epoch`, from
    which the secrets of its services derive. `address` holds the addresses of its services, and whether
    they prove themselves, while it is ready. `failure` is how it failed, for who asked for it. `outdated`
    tells that it runs with other settings than those of now. `trouble` is how something of it ended
    unasked, and `trouble_final` whether running again would end in the same way. `erase_at` is when what
    belongs to no project is erased. `holder_id` is the person who took its place among those that run at
    once, and `placed_at` when, on the database's clock; `wished_by` somebody who waits for one since
    `wished_at`, which counts until `wished_until`, on that clock too.
    """

    __tablename__ = "workspaces"
    __table_args__ = (
        CheckConstraint(_one_of("desired", Desired), name="workspaces_desired"),
        CheckConstraint(_one_of("status", WorkspaceStatus), name="workspaces_status"),
        Index("workspaces_work", "desired", "status"),
    )

    project_id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    desired: str = Field(default=Desired.STOPPED.value, sa_column=Column(String(16), nullable=False))
    generation: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    observed: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    status: str = Field(default=WorkspaceStatus.STOPPED.value, sa_column=Column(String(16), nullable=False))
    reason: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    failure: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    notices: list[str] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    address: dict[str, str] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    epoch: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    restart: bool = Field(default=False, nullable=False)
    outdated: bool = Field(default=False, nullable=False)
    used_at: datetime = Field(default_factory=now, sa_column=Column(UtcDateTime, nullable=False))
    trouble: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    trouble_final: bool = Field(default=False, nullable=False)
    trouble_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime, nullable=True))
    erase_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime, nullable=True))
    holder_id: UUID | None = Field(default=None, sa_column=Column(Uuid, nullable=True))
    placed_at: float | None = Field(default=None, sa_column=Column(Float, nullable=True))
    wished_by: UUID | None = Field(default=None, sa_column=Column(Uuid, nullable=True))
    wished_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime, nullable=True))
    wished_until: float | None = Field(default=None, sa_column=Column(Float, nullable=True))


class WorkspaceUse(SQLModel, table=True):
    """A lease: one process uses a project's workspace until `until`, on the database's clock."""

    __tablename__ = "workspace_uses"

    project_id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    process: str = Field(sa_column=Column(String(64), primary_key=True))
    until: float = Field(sa_column=Column(Float, nullable=False))


class Installation(SQLModel, table=True):
    """The one row that names this installation to what it shares with others, such as a cluster."""

    __tablename__ = "installation"

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
