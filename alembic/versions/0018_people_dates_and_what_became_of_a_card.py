"""who a card is for and until when, what it needs, what happened to it; the archive; links for passwords"""

from __future__ import annotations

import re
import unicodedata

import sqlalchemy as sa

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TASKS = sa.table(
    "tasks",
    sa.column("id", sa.Uuid()),
    sa.column("project_id", sa.Uuid()),
    sa.column("number", sa.Integer()),
    sa.column("created_at", sa.DateTime(timezone=True)),
)
_PROJECTS = sa.table(
    "projects",
    sa.column("id", sa.Uuid()),
    sa.column("name", sa.String()),
    sa.column("key", sa.String()),
    sa.column("next_number", sa.Integer()),
)
_SHOWN, _DELETED = "deleted_at IS NULL AND archived_at IS NULL", "deleted_at IS NOT NULL"


def upgrade() -> None:
    op.add_column("projects", sa.Column("key", sa.String(5), nullable=True))
    with op.batch_alter_table("tasks") as batch:
        batch.add_column(sa.Column("assignee_id", sa.Uuid(), nullable=True))
        batch.create_foreign_key("tasks_assignee", "users", ["assignee_id"], ["id"], ondelete="SET NULL")
        batch.add_column(sa.Column("due_on", sa.Date(), nullable=True))
        for name in ("archived_at", "deleted_at"):
            batch.add_column(sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    connection = op.get_bind()
    _give_keys(connection)
    _number_cards(connection)
    _index("tasks_board", "tasks", ["project_id", "status", "position", "id"], _SHOWN)
    _index("tasks_assignee", "tasks", ["assignee_id"], "assignee_id IS NOT NULL")
    _index("tasks_deleted", "tasks", ["deleted_at"], _DELETED)
    _index("sessions_ended", "sessions", ["completed_at"], "deleted_at IS NULL")
    op.create_table(
        "task_dependencies",
        _below("task_id", "tasks", primary_key=True),
        _below("needs_id", "tasks", primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("task_id <> needs_id", name="task_dependencies_self"),
    )
    op.create_index("task_dependencies_needs", "task_dependencies", ["needs_id"])
    op.create_table(
        "task_activity",
        sa.Column("id", sa.Uuid(), primary_key=True),
        _below("task_id", "tasks"),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.Uuid(), sa.ForeignKey("users.id", ondelete="SET NULL"), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
    )
    op.create_index("task_activity_task", "task_activity", ["task_id", "at"])
    op.create_table(
        "password_links",
        sa.Column("id", sa.Uuid(), primary_key=True),
        _below("user_id", "users"),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("password_links_user", "password_links", ["user_id"])


def _below(name: str, table: str, primary_key: bool = False) -> sa.Column[object]:
    parent = sa.ForeignKey(f"{table}.id", ondelete="CASCADE")
    return sa.Column(name, sa.Uuid(), parent, nullable=False, primary_key=primary_key)


def _index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def _give_keys(connection: sa.Connection) -> None:
    for project_id, name in connection.execute(sa.select(_PROJECTS.c.id, _PROJECTS.c.name)).all():
        this = _PROJECTS.c.id == project_id
        connection.execute(sa.update(_PROJECTS).where(this).values(key=_key_of(name)))


def _key_of(name: str) -> str:
    """Two to five capitals: the first letters of several words, or the beginning of one."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().upper()
    words = re.findall(r"[A-Z]+", plain)
    key = "".join(word[0] for word in words)[:5] if len(words) > 1 else "".join(words)[:3]
    return key if len(key) > 1 else (key + "PRJ")[:3]


def _number_cards(connection: sa.Connection) -> None:
    """Number the cards that an older server has made without, after those of their project that have one."""
    rows = connection.execute(
        sa.select(_TASKS.c.id, _TASKS.c.project_id)
        .where(_TASKS.c.number.is_(None))
        .order_by(_TASKS.c.project_id, _TASKS.c.created_at, _TASKS.c.id)
    ).all()
    for task_id, project_id in rows:
        this = _PROJECTS.c.id == project_id
        number = connection.execute(sa.select(_PROJECTS.c.next_number).where(this)).scalar_one()
        connection.execute(sa.update(_TASKS).where(_TASKS.c.id == task_id).values(number=number))
        connection.execute(sa.update(_PROJECTS).where(this).values(next_number=number + 1))


def downgrade() -> None:
    for table in ("password_links", "task_activity", "task_dependencies"):
        op.drop_table(table)
    op.drop_index("sessions_ended", "sessions")
    for name in ("tasks_deleted", "tasks_assignee", "tasks_board"):
        op.drop_index(name, "tasks")
    with op.batch_alter_table("tasks") as batch:
        batch.drop_constraint("tasks_assignee", type_="foreignkey")
        for name in ("deleted_at", "archived_at", "due_on", "assignee_id"):
            batch.drop_column(name)
    op.drop_column("projects", "key")
