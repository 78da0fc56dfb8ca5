"""The name of the key that each job was submitted with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("jobs", sa.Column("submitted_by", sa.Text(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("jobs", "submitted_by")
