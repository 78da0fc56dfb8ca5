"""How often the test data of a job were looked at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_JOBS = sa.table(
    "jobs", sa.column("id"), sa.column("status"), sa.column("best_trial"), sa.column("finished_at", _MOMENT)
)
_TRIALS = sa.table("trials", sa.column("id"), sa.column("job_id"), sa.column("number"))
_FINALS = sa.table(
    "final_trainings",
    *(sa.column(name) for name in ("trial_id", "status", "test_metric")),
    sa.column("finished_at", _MOMENT),
)


def upgrade() -> None:
    """Apply."""
    table = op.create_table(
        "test_looks",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("optimistic", sa.Boolean(), nullable=False),
        sa.Column("metric", sa.Double(), nullable=True),
        sa.Column("created_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_test_looks_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "number", name=op.f("pk_test_looks")),
    )
    rows = _earlier(op.get_bind())
    if rows:
        op.bulk_insert(table, rows)


def _earlier(connection: sa.Connection) -> list[dict[str, object]]:
    """The looks that are still known: the report of every job that ended, and then its final trainings."""
    rows: list[dict[str, object]] = []
    reports = sa.select(_JOBS).where(_JOBS.c.status == "done", _JOBS.c.best_trial.is_not(None))
    for job in connection.execute(reports).all():
        finals = (
            sa.select(_TRIALS.c.number, _FINALS.c.test_metric, _FINALS.c.finished_at)
            .join(_TRIALS, _TRIALS.c.id == _FINALS.c.trial_id)
            .where(_TRIALS.c.job_id == job.id, _FINALS.c.status == "done")
            .order_by(_FINALS.c.finished_at, _TRIALS.c.number)
        )
        looks = [(job.best_trial, "report", None, job.finished_at)]
        looks += [
            (row.number, "final_training", row.test_metric, row.finished_at)
            for row in connection.execute(finals)
        ]
        for number, (trial, kind, metric, moment) in enumerate(looks, start=1):
            optimistic = number > 2 or (number == 2 and trial != job.best_trial)
            values = (job.id, number, trial, kind, optimistic, metric, moment)
            names = ("job_id", "number", "trial", "kind", "optimistic", "metric", "created_at")
            rows.append(dict(zip(names, values, strict=True)))
    return rows


def downgrade() -> None:
    """Undo."""
    op.drop_table("test_looks")
