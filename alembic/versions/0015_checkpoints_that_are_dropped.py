"""which checkpoints are to be dropped, and which were"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("changes", sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True))
    kept = sa.text("state = 'discarded' AND dropped_at IS NULL")
    op.create_index(
        "changes_to_drop",
        "changes",
        ["project_id", "decided_at"],
        sqlite_where=kept,
        postgresql_where=kept,
    )
    op.create_table(
        "deleted_cards",
        sa.Column(
            "project_id", sa.Uuid(), sa.ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("deleted_cards")
    op.drop_index("changes_to_drop", "changes")
    op.drop_column("changes", "dropped_at")
