"""An index of the columns that lists and plots of trials read: rows are long, mostly because of the assignment."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COLUMNS = ["job_id", "number", "status", "metric", "cost", "energy_pj", "bits", "started_at", "finished_at"]


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_trials_columns", "trials", _COLUMNS)


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_trials_columns", "trials")
