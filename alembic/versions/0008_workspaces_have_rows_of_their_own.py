"""workspaces have rows of their own, which outlive their projects, and so have jobs"""

from __future__ import annotations

from uuid import uuid4

import sqlalchemy as sa

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workspaces",
        sa.Column("project_id", sa.Uuid(), primary_key=True),
        sa.Column("desired", sa.String(16), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("observed", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("failure", sa.JSON(), nullable=True),
        sa.Column("notices", sa.JSON(), nullable=True),
        sa.Column("address", sa.JSON(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("restart", sa.Boolean(), nullable=False),
        sa.Column("outdated", sa.Boolean(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("trouble_final", sa.Boolean(), nullable=False),
        sa.Column("trouble_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erase_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("desired IN ('stopped', 'running', 'erased')", name="workspaces_desired"),
        sa.CheckConstraint("status IN ('stopped', 'starting', 'ready', 'failed')", name="workspaces_status"),
    )
    op.create_index("workspaces_work", "workspaces", ["desired", "status"])
    op.create_table(
        "workspace_uses",
        sa.Column("project_id", sa.Uuid(), primary_key=True),
        sa.Column("process", sa.String(64), primary_key=True),
        sa.Column("until", sa.Float(), nullable=False),
    )
    installation = op.create_table("installation", sa.Column("id", sa.Uuid(), primary_key=True))
    op.bulk_insert(installation, [{"id": uuid4()}])
    op.create_table(
        "jobs",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.Column("due", sa.Float(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
    )
    # What runs is found again by whoever takes charge first: until then it is wanted, and not said to be
    # ready. Why one has failed, and what is missing in one, stays known.
    op.execute(
        "INSERT INTO workspaces (project_id, desired, generation, observed, status, reason, notices, epoch,"
        " restart, outdated, trouble_final, used_at)"
        " SELECT id, CASE WHEN workspace_status IN ('ready', 'starting') THEN 'running' ELSE 'stopped' END,"
        " 0, 0, CASE workspace_status WHEN 'failed' THEN 'failed' ELSE 'stopped' END,"
        " CASE workspace_status WHEN 'failed' THEN workspace_reason END, workspace_notices, 0,"
        " false, false, false, workspace_used_at FROM projects"
    )


def downgrade() -> None:
    for column in ("status", "reason", "notices", "used_at"):
        op.execute(
            f"UPDATE projects SET workspace_{column} = (SELECT {column} FROM workspaces"
            " WHERE workspaces.project_id = projects.id)"
            " WHERE id IN (SELECT project_id FROM workspaces)"
        )
    op.drop_table("jobs")
    op.drop_table("installation")
    op.drop_table("workspace_uses")
    op.drop_index("workspaces_work", table_name="workspaces")
    op.drop_table("workspaces")
