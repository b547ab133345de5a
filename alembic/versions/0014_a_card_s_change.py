"""a card's number, its change, comments on it, and what a session says of itself"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TASKS = sa.table(
    "tasks",
    sa.column("id", sa.Uuid()),
    sa.column("project_id", sa.Uuid()),
    sa.column("number", sa.Integer()),
    sa.column("created_at", sa.DateTime(timezone=True)),
)
_PROJECTS = sa.table("projects", sa.column("id", sa.Uuid()), sa.column("next_number", sa.Integer()))


def upgrade() -> None:
    op.add_column("projects", sa.Column("next_number", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("projects", sa.Column("setup", sa.Text(), nullable=True))
    op.add_column("projects", sa.Column("copied", sa.JSON(), nullable=True))
    op.add_column("projects", sa.Column("delivery", sa.JSON(), nullable=True))
    op.add_column("projects", sa.Column("remote_state", sa.JSON(), nullable=True))
    # An older server that goes on for a while makes cards without one: they are given theirs later.
    op.add_column("tasks", sa.Column("number", sa.Integer(), nullable=True))
    op.add_column("tasks", sa.Column("change_id", sa.Uuid(), nullable=True))
    op.add_column("tasks", sa.Column("conversation_id", sa.String(64), nullable=True))
    _number_cards(op.get_bind())
    op.create_index("tasks_number", "tasks", ["project_id", "number"], unique=True)
    for column in _of_sessions():
        op.add_column("sessions", column)
    _make_changes()
    _make_comments()
    op.create_table(
        "change_seen",
        sa.Column("change_id", sa.Uuid(), sa.ForeignKey("changes.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("user_id", sa.Uuid(), sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("path_hash", sa.String(64), primary_key=True),
        sa.Column("blob", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )


def _number_cards(connection: sa.Connection) -> None:
    """Number the cards of each project in the order in which they were made."""
    numbered = sa.func.row_number().over(
        partition_by=_TASKS.c.project_id, order_by=(_TASKS.c.created_at, _TASKS.c.id)
    )
    counted = sa.select(_TASKS.c.id, numbered.label("number")).subquery()
    found = sa.select(counted.c.number).where(counted.c.id == _TASKS.c.id).scalar_subquery()
    connection.execute(sa.update(_TASKS).values(number=found))
    count = (
        sa.select(sa.func.count())
        .select_from(_TASKS)
        .where(_TASKS.c.project_id == _PROJECTS.c.id)
        .scalar_subquery()
    )
    connection.execute(sa.update(_PROJECTS).values(next_number=count + 1))


def _of_sessions() -> list[sa.Column[Any]]:
    return [
        sa.Column("kind", sa.String(16), nullable=False, server_default="execute"),
        sa.Column("change_id", sa.Uuid(), nullable=True),
        sa.Column("came_from", sa.String(16), nullable=True),
        sa.Column("came_from_position", sa.Float(), nullable=True),
        sa.Column("conversation_id", sa.String(64), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("configuration_version", sa.Integer(), nullable=True),
        sa.Column("opencode_version", sa.String(32), nullable=True),
        sa.Column("image", sa.String(500), nullable=True),
        sa.Column("revision_before", sa.String(64), nullable=True),
        sa.Column("revision_after", sa.String(64), nullable=True),
        sa.Column("round_files", sa.Integer(), nullable=True),
        sa.Column("round_additions", sa.Integer(), nullable=True),
        sa.Column("round_deletions", sa.Integer(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("steps", sa.JSON(), nullable=True),
    ]


def _person(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Uuid(), sa.ForeignKey("users.id", ondelete="SET NULL"), nullable=True)


def _below(name: str, table: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Uuid(), sa.ForeignKey(f"{table}.id", ondelete="CASCADE"), nullable=False)


def _moment(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _make_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("id", sa.Uuid(), primary_key=True),
        _below("task_id", "tasks"),
        _below("project_id", "projects"),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("base_branch", sa.String(255), nullable=False),
        sa.Column("base_commit", sa.String(64), nullable=False),
        sa.Column("revision", sa.String(64), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("behind",)),
        sa.Column("prepared", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("file_count", "additions", "deletions")),
        sa.Column("left_out", sa.JSON(), nullable=False),
        sa.Column("conflicts", sa.JSON(), nullable=False),
        sa.Column("solves", sa.Integer(), nullable=False),
        sa.Column("files", sa.LargeBinary(), nullable=True),
        sa.Column("patches", sa.LargeBinary(), nullable=True),
        sa.Column("intent", sa.String(16), nullable=True),
        sa.Column("intent_details", sa.JSON(), nullable=True),
        _person("intent_by"),
        _moment("intent_at", nullable=True),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.Column("merge_old", sa.String(64), nullable=True),
        sa.Column("merge_new", sa.String(64), nullable=True),
        _person("decided_by"),
        _moment("decided_at", nullable=True),
        sa.Column("delivery", sa.JSON(), nullable=True),
        _moment("created_at"),
        _moment("updated_at"),
        sa.CheckConstraint("state IN ('open', 'accepting', 'accepted', 'discarded')", name="changes_state"),
    )
    op.create_index("changes_task", "changes", ["task_id", "created_at"])
    op.create_index("changes_project", "changes", ["project_id", "state"])
    open_ones, wanted = sa.text("state IN ('accepting', 'open')"), sa.text("intent IS NOT NULL")
    op.create_index(
        "changes_one_open",
        "changes",
        ["task_id"],
        unique=True,
        sqlite_where=open_ones,
        postgresql_where=open_ones,
    )
    op.create_index("changes_wanted", "changes", ["intent_at"], sqlite_where=wanted, postgresql_where=wanted)


def _make_comments() -> None:
    op.create_table(
        "review_comments",
        sa.Column("id", sa.Uuid(), primary_key=True),
        _below("change_id", "changes"),
        _below("task_id", "tasks"),
        _below("project_id", "projects"),
        _person("author_id"),
        sa.Column("revision", sa.String(64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("side", sa.String(3), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("line_end", sa.Integer(), nullable=False),
        sa.Column("quote", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("session_id", sa.Uuid(), sa.ForeignKey("sessions.id", ondelete="SET NULL"), nullable=True),
        _person("resolved_by"),
        _moment("created_at"),
        _moment("updated_at"),
        sa.CheckConstraint("state IN ('open', 'sent', 'resolved')", name="review_comments_state"),
        sa.CheckConstraint("side IN ('new', 'old')", name="review_comments_side"),
    )
    op.create_index("review_comments_change", "review_comments", ["change_id", "created_at"])
    op.create_index("review_comments_session", "review_comments", ["session_id"])


def downgrade() -> None:
    op.drop_table("change_seen")
    op.drop_table("review_comments")
    op.drop_table("changes")
    for column in _of_sessions():
        op.drop_column("sessions", column.name)
    op.drop_index("tasks_number", "tasks")
    for name in ("conversation_id", "change_id", "number"):
        op.drop_column("tasks", name)
    for name in ("remote_state", "delivery", "copied", "setup", "next_number"):
        op.drop_column("projects", name)
