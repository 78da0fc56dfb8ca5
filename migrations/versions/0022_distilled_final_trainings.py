"""Final trainings that learn from the float model."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("final_trainings", sa.Column("distill", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("final_trainings", "distill")
