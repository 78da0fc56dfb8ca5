"""The blocks of a job's schedule, and what its model costs unquantized in other types."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("jobs", sa.Column("blocks", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("reference_values", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("jobs", "reference_values")
    op.drop_column("jobs", "blocks")
