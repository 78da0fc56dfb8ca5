"""Stored specifications say that the input of a bundled network is called `input`, as it was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from search.spec.stored import completed

revision = "0013"
down_revision = "0012"
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
    """Take the name out, which versions before this one refuse."""
    connection = op.get_bind()
    for job_id, spec in connection.execute(sa.select(_JOBS.c.id, _JOBS.c.spec)).all():
        model = spec.get("model")
        if isinstance(model, dict) and "input_name" in model:
            shorter = {name: value for name, value in model.items() if name != "input_name"}
            connection.execute(
                sa.update(_JOBS).where(_JOBS.c.id == job_id).values(spec={**spec, "model": shorter})
            )
