"""The table of what runs by itself."""

# pyright: reportAssignmentType=false
# SQLModel declares `__tablename__` in a way that no plain string fits, though its documentation uses one.

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Float, Integer, String, Text
from sqlmodel import Field, SQLModel

from vibe_app.db import UtcDateTime


class JobRow(SQLModel, table=True):
    """A job: who runs it, and how its last run went. Leases and `due` are on the database's clock.

    `epoch` grows with each claim and fences what its owner writes.
    """

    __tablename__ = "jobs"

    name: str = Field(sa_column=Column(String(64), primary_key=True))
    owner: str | None = Field(default=None, sa_column=Column(String(64), nullable=True))
    epoch: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    lease_until: float = Field(default=0.0, sa_column=Column(Float, nullable=False))
    due: float = Field(default=0.0, sa_column=Column(Float, nullable=False))
    started_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime, nullable=True))
    finished_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime, nullable=True))
    failed_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime, nullable=True))
    failure: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
