"""Whose turn it is: the order in which queued trials begin.

First the tenant whose running trials are the fewest for its weight; among equal ones the tenant whose turn is the
earliest (start-time fair queueing: Goyal, Vin, Cheng 1996, with a trial as the unit of service); then the job with the
highest priority; then the oldest trial. Trials that do not fit a worker are not in its order.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row, Select, bindparam, case, func, select, update
from sqlalchemy.orm import Session, aliased

from search.history import TrialStatus
from service.store import capacity as capacities
from service.store.capacity import Capacity
from service.store.key_models import Tenant
from service.store.lifecycle import CLAIMABLE
from service.store.models import Job, Trial


def running_of_job(job_id: Any) -> Select[int]:
    """How many trials of a job run."""
    other = aliased(Trial)
    return select(func.count()).where(other.job_id == job_id, other.status == TrialStatus.RUNNING)


_other_job, _other_trial, _other_tenant = aliased(Job), aliased(Trial), aliased(Tenant)

#: Running trials by tenant.
_RUNNING: Final = (
    select(_other_job.tenant.label("tenant"), func.count().label("trials"))
    .join(_other_trial, _other_trial.job_id == _other_job.id)
    .where(_other_trial.status == TrialStatus.RUNNING)
    .group_by(_other_job.tenant)
    .subquery()
)

#: The turn that was last taken: a tenant that was away comes next, and has nothing to make up for.
_LAST_TURN: Final = select(func.coalesce(func.max(_other_tenant.turn), 0.0)).scalar_subquery()

_WEIGHT: Final = func.coalesce(Tenant.weight, 1.0)
_SHARE: Final = func.coalesce(_RUNNING.c.trials, 0) / _WEIGHT
_NEXT: Final = func.coalesce(Tenant.next_turn, 0.0)
_TURN: Final = case((_NEXT > _LAST_TURN, _NEXT), else_=_LAST_TURN)


#: The trials that may begin, in order; built once, since every claim executes it. `hint`: the first among equals.
_CLAIMABLE: Final = (
    select(Trial.id, Trial.job_id, Job.tenant, Job.priority, _SHARE.label("share"), _TURN.label("turn"))
    .join(Job, Job.id == Trial.job_id)
    .outerjoin(Tenant, Tenant.name == Job.tenant)
    .outerjoin(_RUNNING, _RUNNING.c.tenant == Job.tenant)
    .where(
        Trial.status == TrialStatus.QUEUED,
        Job.status.in_(CLAIMABLE),
        running_of_job(Job.id).scalar_subquery() < Job.parallel_trials,
    )
    .order_by(_SHARE, _TURN, Job.priority.desc(), Trial.id != bindparam("hint"), Trial.id)
    .limit(1)
)
_FIRST: Final = _CLAIMABLE.where(capacities.fits())
_FIRST_OF_JOB: Final = _FIRST.where(Job.id == bindparam("only"))
_FIRST_ELSEWHERE: Final = _CLAIMABLE.where(~capacities.fits())


def first(
    session: Session, hint: int, capacity: Capacity | None, job_id: str | None = None
) -> Row[Any] | None:
    """The trial that comes first for a worker: of the tenant and the job whose turn it is the one with the id `hint`,
    else the oldest. With a `job_id` it is one of that job; None while one of another job comes before them.
    """
    parameters = capacities.parameters(capacity) | {"hint": hint}
    row = session.execute(_FIRST, parameters).one_or_none()
    if row is None or job_id in (None, row.job_id):
        return row
    of_job = session.execute(_FIRST_OF_JOB, parameters | {"only": job_id}).one_or_none()
    return of_job if of_job is not None and _rank(of_job) == _rank(row) else None


def _rank(row: Row[Any]) -> tuple[float, float, int]:
    return row.share, row.turn, row.priority


def first_elsewhere(session: Session, hint: int, capacity: Capacity) -> Row[Any] | None:
    """The trial that comes first of those that do not fit a worker."""
    return session.execute(_FIRST_ELSEWHERE, capacities.parameters(capacity) | {"hint": hint}).one_or_none()


_TAKE: Final = (
    update(Tenant)
    .where(Tenant.name == bindparam("taker"))
    .values(turn=bindparam("taken"), next_turn=bindparam("taken") + 1.0 / Tenant.weight)
    .execution_options(synchronize_session=False)
)


def take(session: Session, row: Row[Any]) -> None:
    """Note that the trial of a tenant begins. Tenants without a row, as where no keys are, take no turns."""
    session.execute(_TAKE, {"taker": row.tenant, "taken": row.turn})
