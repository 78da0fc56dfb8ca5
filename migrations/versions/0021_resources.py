"""What jobs ask for, what workers have, and the shares of tenants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_OF_JOBS = ("cores", "memory_mb", "accelerators")
_OF_WORKERS = ("slots", *_OF_JOBS)
_OF_TENANTS = {"weight": "1", "turn": "0", "next_turn": "0"}


def upgrade() -> None:
    """Apply."""
    for name in _OF_JOBS:
        op.add_column("jobs", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "job_extras",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_job_extras_job_id_jobs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "name", name="pk_job_extras"),
    )
    for name in _OF_WORKERS:
        op.add_column("workers", sa.Column(name, sa.Integer(), nullable=True))
    op.add_column("workers", sa.Column("extras", sa.JSON(), nullable=True))
    for name, value in _OF_TENANTS.items():
        op.add_column("tenants", sa.Column(name, sa.Double(), nullable=False, server_default=value))


def downgrade() -> None:
    """Undo."""
    for name in _OF_TENANTS:
        op.drop_column("tenants", name)
    for name in ("extras", *_OF_WORKERS):
        op.drop_column("workers", name)
    op.drop_table("job_extras")
    for name in _OF_JOBS:
        op.drop_column("jobs", name)
