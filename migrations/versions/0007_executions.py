"""The executions of a trial that is trained several times."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("trials", sa.Column("executions", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("trials", "executions")
