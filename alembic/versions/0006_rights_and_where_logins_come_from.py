"""what tokens are for, what people may do, and where logins come from"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Whoever is here keeps what they could do, and so does every token.
    op.add_column(
        "users", sa.Column("can_create_projects", sa.Boolean(), server_default=sa.true(), nullable=False)
    )
    op.add_column("users", sa.Column("can_execute", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("logins", sa.Column("host", sa.String(length=64), server_default="", nullable=False))
    op.add_column("logins", sa.Column("browser", sa.String(length=80), server_default="", nullable=False))
    op.add_column("logins", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    with op.batch_alter_table("access_tokens", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("scopes", sa.String(length=64), server_default="read run write admin", nullable=False)
        )
        batch_op.add_column(sa.Column("project_id", sa.Uuid(), nullable=True))
        batch_op.create_foreign_key(
            "access_tokens_project", "projects", ["project_id"], ["id"], ondelete="CASCADE"
        )


def downgrade() -> None:
    # An older version knows no limits: a token that has some would be good for everything there.
    op.execute("DELETE FROM access_tokens WHERE project_id IS NOT NULL OR scopes <> 'read run write admin'")
    with op.batch_alter_table("access_tokens", schema=None) as batch_op:
        batch_op.drop_constraint("access_tokens_project", type_="foreignkey")
        batch_op.drop_column("project_id")
        batch_op.drop_column("scopes")
    for table, column in (
        ("logins", "last_used_at"),
        ("logins", "browser"),
        ("logins", "host"),
        ("users", "can_execute"),
        ("users", "can_create_projects"),
    ):
        op.drop_column(table, column)
