"""Columns and conditions that the board's tables have in common."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Uuid,
    text,
)

from vibe_app.db import UtcDateTime


def one_of(column: str, values: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


def moment(nullable: bool = False) -> Column[datetime]:
    return Column(UtcDateTime, nullable=nullable)


def parent(target: str, primary_key: bool = False) -> Column[UUID]:
    return Column(Uuid, ForeignKey(target, ondelete="CASCADE"), nullable=False, primary_key=primary_key)


def partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    condition = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
