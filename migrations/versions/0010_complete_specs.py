"""Stored specifications say what earlier versions left unsaid."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from search.spec.stored import completed

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_JOBS = sa.table("jobs", sa.column("id", sa.String), sa.column("spec", sa.JSON))


def upgrade() -> None:
    """Apply."""
    connection = op.get_bind()
    for job_id, spec in connection.execute(sa.select(_JOBS.c.id, _JOBS.c.spec)).all():
        whole = completed(spec)
        if whole != spec:
            connection.execute(sa.update(_JOBS).where(_JOBS.c.id == job_id).values(spec=whole))


def downgrade() -> None:
    """Leave the specifications as they are: no field says which of its values were added here."""
