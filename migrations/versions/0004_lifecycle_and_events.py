"""Pauses, priorities, attempts, events, idempotency keys.

Columns are added and dropped in place: copying a table, as Alembic does on SQLite, deletes the rows that
refer to it by ON DELETE CASCADE.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)

_JOBS = sa.table(
    "jobs",
    sa.column("id", sa.Text()),
    sa.column("status", sa.Text()),
    sa.column("spec", sa.JSON()),
    sa.column("parallel_trials", sa.Integer()),
    sa.column("model_key", sa.Text()),
    sa.column("cancel_requested", sa.Boolean()),
)


def _new_job_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("parallel_trials", sa.Integer(), nullable=False, server_default="2"),
        sa.Column("model_key", sa.Text(), nullable=True),
        sa.Column("paused_at", _MOMENT, nullable=True),
        sa.Column("idle_s", sa.Double(), nullable=False, server_default="0"),
    ]


def upgrade() -> None:
    """Apply."""
    for column in _new_job_columns():
        op.add_column("jobs", column)
    op.create_index(op.f("ix_jobs_model_key"), "jobs", ["model_key"])
    op.add_column("trials", sa.Column("attempts_before", sa.Integer(), nullable=False, server_default="0"))
    op.drop_index(op.f("ix_trials_status_lease_until"), table_name="trials")
    op.create_index(op.f("ix_trials_status_job_id"), "trials", ["status", "job_id"])
    op.create_table(
        "attempts",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["trials.id"], name=op.f("fk_attempts_trial_id_trials"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("trial_id", "attempt", name=op.f("pk_attempts")),
    )
    op.create_table(
        "events",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_events_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "id", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_created_at"), "events", ["created_at"])
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant", sa.Text(), nullable=False, server_default="local"),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_idempotency_keys_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant", "route", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_job_id"), "idempotency_keys", ["job_id"])
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"])
    op.create_table(
        "discarded_blobs",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("discarded_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_discarded_blobs")),
    )
    _fill_in()
    op.drop_column("jobs", "cancel_requested")


def _fill_in() -> None:
    """What the new columns say of jobs that are there already."""
    connection = op.get_bind()
    ended = ("done", "failed", "cancelled")
    connection.execute(
        sa.update(_JOBS)
        .where(_JOBS.c.cancel_requested, _JOBS.c.status.not_in(ended))
        .values(status="cancelling")
    )
    for job_id, spec in connection.execute(sa.select(_JOBS.c.id, _JOBS.c.spec)).all():
        model = json.dumps(spec["model"], sort_keys=True)
        connection.execute(
            sa.update(_JOBS)
            .where(_JOBS.c.id == job_id)
            .values(
                parallel_trials=spec.get("parallel_trials", 2),
                model_key=hashlib.sha256(model.encode()).hexdigest(),
            )
        )


def downgrade() -> None:
    """Undo. A paused or stopping job becomes a running one."""
    op.add_column(
        "jobs", sa.Column("cancel_requested", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    connection = op.get_bind()
    connection.execute(
        sa.update(_JOBS)
        .where(_JOBS.c.status == "cancelling")
        .values(status="running", cancel_requested=sa.true())
    )
    connection.execute(
        sa.update(_JOBS).where(_JOBS.c.status.in_(("paused", "stopping"))).values(status="running")
    )
    op.drop_table("discarded_blobs")
    op.drop_index(op.f("ix_idempotency_keys_created_at"), table_name="idempotency_keys")
    op.drop_index(op.f("ix_idempotency_keys_job_id"), table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index(op.f("ix_events_created_at"), table_name="events")
    op.drop_table("events")
    op.drop_table("attempts")
    op.drop_index(op.f("ix_trials_status_job_id"), table_name="trials")
    op.create_index(op.f("ix_trials_status_lease_until"), "trials", ["status", "lease_until"])
    op.drop_column("trials", "attempts_before")
    op.drop_index(op.f("ix_jobs_model_key"), table_name="jobs")
    for column in _new_job_columns():
        op.drop_column("jobs", column.name)
