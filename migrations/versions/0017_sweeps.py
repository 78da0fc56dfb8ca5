"""When the service was last swept, and what keeps a worker from working."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    moment = sa.DateTime(timezone=True)
    op.add_column("workers", sa.Column("problem", sa.Text(), nullable=True))
    op.create_table(
        "sweeps",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("began_at", moment, nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.Column("calm_since", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sweeps"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("sweeps")
    op.drop_column("workers", "problem")
