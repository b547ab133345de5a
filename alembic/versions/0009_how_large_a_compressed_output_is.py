"""how large the output of a compressed session is"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("output_size", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("sessions", "output_size")
