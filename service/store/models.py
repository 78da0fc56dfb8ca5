"""The tables. Rows are the truth: a search is rebuilt from them at any time.

Metric and cost stand in columns of their own and are never mixed; a score is a view over both.
Times are UTC; `*_s` are seconds, `*_pj` picojoules.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, MetaData, Text, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from search.history import JobStatus, TrialStatus
from service.store.tenancy import LOCAL, Owned

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC; aware in Python, also where the database stores no time zone (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return an aware time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """What all tables share."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 -- read by SQLAlchemy
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        JobStatus: Text,
        TrialStatus: Text,
        str: Text,
    }


class Leased:
    """Columns of a row that one worker at a time works on, until its lease expires: see `service.store.leases`."""

    attempt: Mapped[int] = mapped_column(default=0)  #: fencing token: writes of an older attempt are refused
    lease_until: Mapped[datetime | None]
    worker: Mapped[str | None]


class Queued(Leased):
    """Columns of a row that waits in the queue until a worker claims it."""

    status: Mapped[str]  #: TrialStatus or FinalStatus
    reason: Mapped[str | None]  #: why it failed, for people
    attempts_before: Mapped[int] = mapped_column(default=0)  #: those before its user had it retried
    enqueued_at: Mapped[datetime]  #: when its message was last sent
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    epochs_done: Mapped[int] = mapped_column(default=0)


class Job(Leased, Owned, Base):
    """A search job. Its lease is that of the final report, or of the measurement of its sensitivity."""

    __tablename__ = "jobs"
    __table_args__ = (Index(None, "tenant", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)  #: JobStatus
    reason: Mapped[str | None]  #: why it ended, for people
    cause: Mapped[str | None]  #: Cause
    priority: Mapped[int] = mapped_column(default=0)  #: trials of jobs with a higher one start first
    cores: Mapped[int] = mapped_column(
        default=0
    )  #: of its `resources`, as the next two; 0: whatever there is
    memory_mb: Mapped[int] = mapped_column(default=0)
    accelerators: Mapped[int] = mapped_column(default=0)
    parallel_trials: Mapped[int] = mapped_column(
        default=2
    )  #: of the specification; a column, since every claim reads it
    model_key: Mapped[str | None] = mapped_column(index=True)  #: jobs with the same key search the same model
    spec: Mapped[dict[str, Any]]  #: SearchSpec
    submitted_by: Mapped[str | None]  #: name of the key it was submitted with
    cost_unit: Mapped[str]  #: "energy_pj" or "bits": what `cost` means in this job
    reference_cost: Mapped[float]
    float_metric: Mapped[float | None]  #: of the float model on the validation data, once it was measured
    sensitivity: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True)
    )  #: Sensitivity, where the oracle needs it
    reference: Mapped[dict[str, Any]]  #: Cost of the float model, with its layers
    #: What the float model costs in int8 and fp32; NULL: stored before revision 0020.
    reference_values: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    #: `search.schedules.Block` of each block, in order; NULL: the job has none, or as above.
    blocks: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    space_size: Mapped[str]  #: number of assignments, as text: it may not fit an integer column
    warnings: Mapped[list[Any]]
    oracle_state: Mapped[str | None]  #: keras-tuner's state; JSON text
    proposals: Mapped[int] = mapped_column(
        default=0
    )  #: how often the oracle was asked; of two that ask at once, one is refused
    failures: Mapped[int] = mapped_column(default=0)  #: how often in a row the oracle raised an error
    exhausted: Mapped[bool] = mapped_column(default=False)  #: the oracle has nothing new to propose
    #: Grows with every change of the job or its trials; an event's id is the version it made.
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    checked_at: Mapped[datetime]  #: when the sweep last sent a message for it
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]  #: when it was paused; NULL unless it is
    idle_s: Mapped[float] = mapped_column(
        default=0.0
    )  #: how long it was paused, or had ended, since it started
    best_trial: Mapped[int | None]  #: number of the trial the final report is about


class JobExtra(Base):
    """An extra that a worker must have to work on a job."""

    __tablename__ = "job_extras"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


class Trial(Queued, Base):
    """One assignment, trained and measured."""

    __tablename__ = "trials"
    __table_args__ = (
        UniqueConstraint("job_id", "number"),
        Index(None, "job_id", "assignment_key"),
        Index(None, "status", "job_id"),
        Index(  # what lists and plots read, so that they need not touch the long rows
            "ix_trials_columns",
            *(
                "job_id",
                "number",
                "status",
                "metric",
                "cost",
                "energy_pj",
                "bits",
                "started_at",
                "finished_at",
            ),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    number: Mapped[int]
    assignment: Mapped[dict[str, Any]]
    assignment_key: Mapped[str]
    oracle_trial: Mapped[dict[str, Any]]  #: keras-tuner's own state of the trial
    seed: Mapped[int]
    epochs: Mapped[int | None]  #: the epoch it trains up to; NULL: the job's
    initial_epoch: Mapped[int] = mapped_column(default=0)  #: the epoch it starts after
    parent: Mapped[int | None]  #: number of the trial whose training it continues
    proof: Mapped[dict[str, Any] | None]  #: why it was pruned or infeasible, in numbers
    metric: Mapped[float | None]  #: on the validation data
    post_training_metric: Mapped[float | None]  #: as `metric`, before any training
    loss: Mapped[float | None]
    cost: Mapped[float | None]  #: in the job's cost unit
    energy_pj: Mapped[float | None]
    bits: Mapped[int | None] = mapped_column(BigInteger)
    best_epoch: Mapped[int | None]
    executions: Mapped[list[Any] | None]  #: seed, metric, loss, best epoch of each; NULL where there was one
    durations_s: Mapped[dict[str, Any] | None]
    versions: Mapped[dict[str, Any] | None]
    effective: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True)
    )  #: granularity -> ebops, bits, energy_pj with the trained weights


class Attempt(Base):
    """A trial as one worker tried it."""

    __tablename__ = "attempts"

    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    worker: Mapped[str]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]  #: AttemptOutcome; NULL while it runs
    reason: Mapped[str | None]  #: for people


class Event(Base):
    """Something that happened in a job, written in the transaction in which it happened.

    `id` is the job's `version` after it. Reserving an id locks the job's row, so the events of a job become visible in
    the order of their ids, on PostgreSQL too: a reader that has seen one has seen all before it.
    """

    __tablename__ = "events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str]  #: EventType
    trial: Mapped[int | None]  #: number of the trial it is about
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(index=True)


class IdempotencyKey(Owned, Base):
    """A request that must not be carried out twice, and the job it made; NULL while it is being carried out."""

    __tablename__ = "idempotency_keys"

    tenant: Mapped[str] = mapped_column(primary_key=True, default=LOCAL, server_default=LOCAL)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(index=True)


class DiscardedBlob(Base):
    """Content whose last reference may be gone. The sweep removes it once no row references it or is about to."""

    __tablename__ = "discarded_blobs"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    discarded_at: Mapped[datetime]


class TrialEpoch(Base):
    """The metrics of a trial at the end of one epoch of one attempt."""

    __tablename__ = "epochs"

    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    metrics: Mapped[dict[str, Any]]
    duration_s: Mapped[float]


class TrialLayer(Base):
    """The energy of one layer of a trial's network, in picojoules; `included` are the parts of `included_pj`."""

    __tablename__ = "layer_energies"

    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    class_name: Mapped[str]
    inputs_pj: Mapped[float]
    outputs_pj: Mapped[float]
    parameters_pj: Mapped[float]
    operations_pj: Mapped[float]
    included_pj: Mapped[float] = mapped_column("counted_pj")
    included: Mapped[list[str] | None] = mapped_column(JSON)  #: None: stored by version 0.1.0


class Artifact(Base):
    """A file of a trial; its bytes lie in the blob store under their SHA-256."""

    __tablename__ = "artifacts"

    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]


class Worker(Base):
    """A worker process and when it last reported."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    problem: Mapped[str | None]  #: what keeps it from working: a full disk
    slots: Mapped[int | None]  #: trials that it trains at once; NULL: it has not declared what it has
    cores: Mapped[int | None]  #: for each of them, as the next two
    memory_mb: Mapped[int | None]
    accelerators: Mapped[int | None]
    extras: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))


class DrainedHost(Base):
    """A machine whose workers begin nothing new: see `service.store.draining`."""

    __tablename__ = "drained_hosts"

    host: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]


class Sweep(Base):
    """When the service was last swept: one row, also the turn of the one who sweeps."""

    __tablename__ = "sweeps"

    id: Mapped[int] = mapped_column(primary_key=True)
    worker: Mapped[str]
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    calm_since: Mapped[datetime]  #: since when sweeps have followed one another without a gap


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)
