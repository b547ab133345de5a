"""The tables of what was spent: each request to a model, and their sums by model, which outlive projects."""

# pyright: reportAssignmentType=false
# SQLModel declares `__tablename__` in a way that no plain string fits, though its documentation uses one.

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, String, Uuid
from sqlmodel import Field, SQLModel

from vibe_app.board.tables import moment, parent


def _count() -> Column[int]:
    return Column(BigInteger, nullable=False)


class ModelRequest(SQLModel, table=True):
    """One request to a model, as the workspace's gateway counted it.

    `journal` and `number` name it in that gateway's journal, so that none is counted twice. Without a
    session it was a talk through the passage to OpenCode, or its session was erased. `cost_nano` is
    NULL where the price is not known.
    """

    __tablename__ = "model_requests"
    __table_args__ = (
        Index("model_requests_session", "session_id"),
        Index("model_requests_newest", "project_id", "at"),
    )

    project_id: UUID = Field(sa_column=parent("projects.id", primary_key=True))
    journal: str = Field(sa_column=Column(String(64), primary_key=True))
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    session_id: UUID | None = Field(
        default=None, sa_column=Column(Uuid, ForeignKey("sessions.id", ondelete="SET NULL"), nullable=True)
    )
    provider: str = Field(sa_column=Column(String(64), nullable=False))
    model: str = Field(sa_column=Column(String(200), nullable=False))
    usage: str = Field(sa_column=Column(String(8), nullable=False))
    status: int = Field(nullable=False)
    seconds: float = Field(sa_column=Column(Float, nullable=False))
    tokens_input: int = Field(sa_column=_count())
    tokens_output: int = Field(sa_column=_count())
    tokens_reasoning: int = Field(sa_column=_count())
    tokens_cache_read: int = Field(sa_column=_count())
    tokens_cache_write: int = Field(sa_column=_count())
    cost_nano: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    at: datetime = Field(sa_column=moment())


class ModelTotal(SQLModel, table=True):
    """All requests to one model so far, those of deleted projects among them: the figures of `/metrics`."""

    __tablename__ = "model_totals"

    provider: str = Field(sa_column=Column(String(64), primary_key=True))
    model: str = Field(sa_column=Column(String(200), primary_key=True))
    requests: int = Field(sa_column=_count())
    unpriced_requests: int = Field(sa_column=_count())
    tokens_input: int = Field(sa_column=_count())
    tokens_output: int = Field(sa_column=_count())
    tokens_reasoning: int = Field(sa_column=_count())
    tokens_cache_read: int = Field(sa_column=_count())
    tokens_cache_write: int = Field(sa_column=_count())
    unpriced_tokens: int = Field(sa_column=_count())
    cost_nano: int = Field(sa_column=_count())
