"""who holds a place among the workspaces that run at once, and who waits for one"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workspaces", sa.Column("holder_id", sa.Uuid(), nullable=True))
    op.add_column("workspaces", sa.Column("placed_at", sa.Float(), nullable=True))
    op.add_column("workspaces", sa.Column("wished_by", sa.Uuid(), nullable=True))
    op.add_column("workspaces", sa.Column("wished_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("workspaces", sa.Column("wished_until", sa.Float(), nullable=True))
    op.add_column("sessions", sa.Column("lacks_place", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("sessions", "lacks_place")
    for name in ("wished_until", "wished_at", "wished_by", "placed_at", "holder_id"):
        op.drop_column("workspaces", name)
