"""The sensitivity of a job's float model to each quantizer, measured before its first trials."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("jobs", sa.Column("sensitivity", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("jobs", "sensitivity")
