"""what a session may spend and has spent, request by request"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

LIMITS = (
    ("limit_nano", sa.BigInteger()),
    ("limit_tokens", sa.BigInteger()),
    ("limit_minutes", sa.Integer()),
    ("limit_requests", sa.Integer()),
)
COUNTS = (
    ("tokens_reasoning", sa.BigInteger()),
    ("tokens_cache_read", sa.BigInteger()),
    ("tokens_cache_write", sa.BigInteger()),
    ("cost_nano", sa.BigInteger()),
    ("model_requests", sa.Integer()),
    ("unpriced_requests", sa.Integer()),
)
SUMS = (
    "requests",
    "unpriced_requests",
    "tokens_input",
    "tokens_output",
    "tokens_reasoning",
    "tokens_cache_read",
    "tokens_cache_write",
    "unpriced_tokens",
    "cost_nano",
)


def upgrade() -> None:
    for name, kind in LIMITS:
        op.add_column("projects", sa.Column(name, kind, nullable=True))
    for name, kind in (*COUNTS, *LIMITS):
        op.add_column("sessions", sa.Column(name, kind, nullable=True))
    # Nothing was ever free: 0 stood for a price that nobody knew.
    op.execute("UPDATE sessions SET cost_nano = CAST(ROUND(cost * 1000000000) AS BIGINT) WHERE cost > 0")
    op.create_table(
        "model_requests",
        sa.Column("project_id", sa.Uuid(), sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
        sa.Column("journal", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("session_id", sa.Uuid(), sa.ForeignKey("sessions.id", ondelete="SET NULL"), nullable=True),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("usage", sa.String(8), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("tokens_input", sa.BigInteger(), nullable=False),
        sa.Column("tokens_output", sa.BigInteger(), nullable=False),
        sa.Column("tokens_reasoning", sa.BigInteger(), nullable=False),
        sa.Column("tokens_cache_read", sa.BigInteger(), nullable=False),
        sa.Column("tokens_cache_write", sa.BigInteger(), nullable=False),
        sa.Column("cost_nano", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "journal", "number"),
    )
    op.create_index("model_requests_session", "model_requests", ["session_id"])
    op.create_index("model_requests_newest", "model_requests", ["project_id", "at"])
    op.create_table(
        "model_totals",
        sa.Column("provider", sa.String(64), primary_key=True),
        sa.Column("model", sa.String(200), primary_key=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in SUMS),
    )


def downgrade() -> None:
    op.drop_table("model_totals")
    op.drop_table("model_requests")
    op.execute(
        "UPDATE sessions SET cost = cost_nano / 1000000000.0"
        " WHERE cost_nano IS NOT NULL AND COALESCE(unpriced_requests, 0) = 0"
    )
    for name, _ in reversed((*COUNTS, *LIMITS)):
        op.drop_column("sessions", name)
    for name, _ in reversed(LIMITS):
        op.drop_column("projects", name)
