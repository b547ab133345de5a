"""when a host is asked next how a change's pull request is"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("changes", sa.Column("asks_at", sa.DateTime(timezone=True), nullable=True))
    asking = sa.text("asks_at IS NOT NULL")
    op.create_index("changes_asking", "changes", ["asks_at"], sqlite_where=asking, postgresql_where=asking)


def downgrade() -> None:
    op.drop_index("changes_asking", "changes")
    op.drop_column("changes", "asks_at")
