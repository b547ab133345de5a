"""since when, how often and how long a run waits for its model's provider"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("wait_from", sa.Float(), nullable=True))
    op.add_column("sessions", sa.Column("waited", sa.Float(), nullable=True))
    op.add_column("sessions", sa.Column("waits", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("sessions", "waits")
    op.drop_column("sessions", "waited")
    op.drop_column("sessions", "wait_from")
