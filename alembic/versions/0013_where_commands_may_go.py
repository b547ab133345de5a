"""where the commands of a project's agent may go on the network"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("projects", sa.Column("network", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("projects", "network")
