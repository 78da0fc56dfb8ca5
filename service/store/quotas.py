"""Quotas of tenants: limits, usage, and the errors raised where a request would exceed a limit.

A limit is the tenant's (`fewbits keys limit`), else that of the settings; None: unlimited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ScalarResult, Text, cast, extract, func, select
from sqlalchemy.orm import Session

from search.history import JOB_ENDED
from service.errors import QuotaExhausted, QuotaReached
from service.settings import Settings
from service.store.export_models import Export
from service.store.final_training_models import FinalTraining
from service.store.key_models import Tenant
from service.store.models import Artifact, Attempt, Job, Trial, now
from service.store.session import dialect_insert
from service.store.upload_models import Upload

RUNNING_JOBS: Final = "running_jobs"
TRIALS: Final = "trials"
STORED_BYTES: Final = "stored_bytes"
COMPUTE_S: Final = "compute_s"


#: Exports and final trainings that may wait or run for each unfinished job that is allowed.
WORK_PER_JOB: Final = 10


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a quota is used; `limit` None: unlimited."""

    used: float
    limit: float | None


def limits(session: Session, settings: Settings, tenant: str) -> Mapping[str, float | None]:
    """The limits of the tenant, by quota."""
    row = session.get(Tenant, tenant) or Tenant()
    return {
        RUNNING_JOBS: _first(row.max_running_jobs, settings.max_running_jobs),
        TRIALS: _first(row.max_trials, settings.max_trials),
        STORED_BYTES: _first(row.max_stored_bytes, settings.max_stored_bytes),
        COMPUTE_S: _first(row.max_compute_s, settings.max_compute_s),
    }


def _first(limit: float | None, default: float | None) -> float | None:
    return default if limit is None else limit


def _locked_limits(session: Session, settings: Settings, tenant: str) -> Mapping[str, float | None]:
    """The limits; if there are any, the tenant's row is locked until the transaction ends.

    Of two requests that arrive at once the second then counts what the first has stored.
    """
    by_quota = limits(session, settings, tenant)
    if any(limit is not None for limit in by_quota.values()):
        insert = dialect_insert(session)
        session.execute(insert(Tenant).values(name=tenant, created_at=now()).on_conflict_do_nothing())
        session.execute(select(Tenant.name).where(Tenant.name == tenant).with_for_update())
    return by_quota


def usage(session: Session, settings: Settings, tenant: str) -> dict[str, Usage]:
    """The usage of every quota of the tenant."""
    return {
        name: Usage(_USED[name](session, tenant), limit)
        for name, limit in limits(session, settings, tenant).items()
    }


def check_submission(
    session: Session, settings: Settings, tenant: str, trials: int, specification_bytes: int = 0
) -> None:
    """QuotaReached or QuotaExhausted unless the tenant may submit a job of `trials` trials now, whose specification
    has so many bytes.
    """
    by_quota = _locked_limits(session, settings, tenant)
    running = by_quota[RUNNING_JOBS]
    if running is not None and running_jobs(session, tenant) >= running:
        raise QuotaReached(
            RUNNING_JOBS, f"at most {running:g} unfinished jobs are allowed; wait for one or cancel one"
        )
    check_trials(session, settings, tenant, trials)
    check_compute(session, settings, tenant)
    check_bytes(session, settings, tenant, specification_bytes)


def check_work_on_trial(session: Session, settings: Settings, tenant: str) -> None:
    """QuotaReached or QuotaExhausted unless the tenant may train a model to its end, or export it, besides what it has
    asked for: both take compute time and bytes. Call it when the row has been added.
    """
    running = _locked_limits(session, settings, tenant)[RUNNING_JOBS]
    if running is not None and _open_work(session, tenant) > running * WORK_PER_JOB:
        raise QuotaReached(
            RUNNING_JOBS,
            f"at most {running * WORK_PER_JOB:g} exports and final trainings may wait or run; wait for one to end",
        )
    check_compute(session, settings, tenant)
    check_bytes(session, settings, tenant, 0)


def check_trials(session: Session, settings: Settings, tenant: str, more: int) -> None:
    """QuotaExhausted unless the tenant may plan `more` trials besides those it has."""
    limit = _locked_limits(session, settings, tenant)[TRIALS]
    if limit is not None and (used := _trials(session, tenant)) + more > limit:
        raise QuotaExhausted(
            TRIALS, f"trial quota exceeded: {used} of {limit:g} used or planned, {more} more requested"
        )


def check_compute(session: Session, settings: Settings, tenant: str) -> None:
    """QuotaExhausted if the tenant's compute time is used up."""
    if not has_compute_left(session, settings, tenant):
        raise QuotaExhausted(COMPUTE_S, "the compute time of the tenant's trials is used up")


def has_compute_left(session: Session, settings: Settings, tenant: str) -> bool:
    """True unless the tenant's compute time is used up."""
    limit = limits(session, settings, tenant)[COMPUTE_S]
    return limit is None or _compute_s(session, tenant) < limit


def check_bytes(session: Session, settings: Settings, tenant: str, more: int) -> None:
    """QuotaExhausted unless the tenant may store `more` bytes besides what it has; even 0 bytes need some of the quota
    to be left.
    """
    limit = _locked_limits(session, settings, tenant)[STORED_BYTES]
    if limit is not None:
        used = _stored_bytes(session, tenant)
        if used + more > limit or used >= limit:
            raise QuotaExhausted(
                STORED_BYTES,
                f"storage quota exceeded: {used:.0f} of {limit:g} bytes used, {more} more requested",
            )


def running_jobs(session: Session, tenant: str) -> int:
    """Number of the tenant's jobs that have not ended."""
    open_jobs = select(func.count()).where(Job.tenant == tenant, Job.status.not_in(JOB_ENDED))
    return session.scalar(open_jobs) or 0


def _open_work(session: Session, tenant: str) -> int:
    """Number of final trainings and exports of the tenant's trials that wait or run."""
    return sum(
        session.scalar(
            select(func.count())
            .select_from(row)
            .join(Trial, Trial.id == row.trial_id)
            .join(Job, Job.id == Trial.job_id)
            .where(Job.tenant == tenant, row.finished_at.is_(None))
        )
        or 0
        for row in (FinalTraining, Export)
    )


def _trials(session: Session, tenant: str) -> int:
    """Number of trials of jobs that ended, and of those that the budgets of the others allow."""
    stored = session.scalar(
        select(func.count())
        .select_from(Trial)
        .join(Job)
        .where(Job.tenant == tenant, Job.status.in_(JOB_ENDED))
    )
    planned: ScalarResult[int] = session.scalars(
        select(Job.spec["budget"]["trials"].as_integer()).where(
            Job.tenant == tenant, Job.status.not_in(JOB_ENDED)
        )
    )
    return (stored or 0) + sum(planned.all())


def _compute_s(session: Session, tenant: str) -> float:
    """Seconds from start to end of the attempts at the tenant's trials, of its final trainings and its exports."""
    spent: Any = extract("epoch", Attempt.ended_at) - extract("epoch", Attempt.started_at)
    trials = session.scalar(
        select(func.sum(spent))
        .select_from(Attempt)
        .join(Trial, Trial.id == Attempt.trial_id)
        .join(Job, Job.id == Trial.job_id)
        .where(Job.tenant == tenant, Attempt.ended_at.is_not(None))
    )
    later = sum(_seconds(session, tenant, row) for row in (FinalTraining, Export))
    return float(trials or 0.0) + later


def _seconds(session: Session, tenant: str, row: type[FinalTraining | Export]) -> float:
    """Seconds from start to end of what was done with trials of the tenant after their jobs."""
    spent: Any = extract("epoch", row.finished_at) - extract("epoch", row.started_at)
    total = session.scalar(
        select(func.sum(spent))
        .select_from(row)
        .join(Trial, Trial.id == row.trial_id)
        .join(Job, Job.id == Trial.job_id)
        .where(Job.tenant == tenant, row.started_at.is_not(None), row.finished_at.is_not(None))
    )
    return float(total or 0.0)


def _stored_bytes(session: Session, tenant: str) -> int:
    """Bytes of the files and exports of the tenant's trials, of the specifications of its jobs, which may contain
    networks, and of its uploads, declared ones included.
    """
    files = sum(
        session.scalar(
            select(func.sum(row.size_bytes))
            .select_from(row)
            .join(Trial, Trial.id == row.trial_id)
            .join(Job, Job.id == Trial.job_id)
            .where(Job.tenant == tenant)
        )
        or 0
        for row in (Artifact, Export)
    )
    specifications = session.scalar(
        select(func.sum(func.length(cast(Job.spec, Text)))).where(Job.tenant == tenant)
    )
    uploads = session.scalar(select(func.sum(Upload.size_bytes)).where(Upload.tenant == tenant))
    return int(files) + int(specifications or 0) + int(uploads or 0)


_USED: Final = {
    RUNNING_JOBS: running_jobs,
    TRIALS: _trials,
    STORED_BYTES: _stored_bytes,
    COMPUTE_S: _compute_s,
}
