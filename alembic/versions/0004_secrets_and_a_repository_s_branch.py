"""secrets, and what is known of a repository

Addresses that hold a credential are taken apart by the next start of the server, not here: the
key that encrypts it is the server's, and whoever migrates need not have it.
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "secrets",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "name"),
    )
    op.add_column("projects", sa.Column("repo_branch", sa.String(length=255), nullable=True))
    op.add_column("projects", sa.Column("workspace_notices", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("projects", "workspace_notices")
    op.drop_column("projects", "repo_branch")
    op.drop_table("secrets")
