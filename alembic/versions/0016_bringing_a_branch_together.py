"""which card brings a project's base branch together with its remote, and what a change brings in"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("projects", sa.Column("joining_task_id", sa.Uuid(), nullable=True))
    op.add_column("changes", sa.Column("brings", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("changes", "brings")
    op.drop_column("projects", "joining_task_id")
