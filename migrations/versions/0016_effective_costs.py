"""What each trial costs with its trained weights."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("trials", sa.Column("effective", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("trials", "effective")
