"""What workers have and jobs ask for: cores, memory, accelerators, extras. A worker takes what fits it.

The parent process of a worker declares what each of its `slots` has, in its row of the workers' table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, or_, select
from sqlalchemy.orm import Session

from search.history import TrialStatus
from service.store.models import Job, JobExtra, Trial, Worker
from service.store.workers import dead_before, host_of


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a worker has for each of the `slots` trials that it trains at once."""

    cores: int
    memory_mb: int
    accelerators: int = 0
    extras: tuple[str, ...] = ()
    slots: int = 1


@dataclass(frozen=True, slots=True)
class Request:
    """What a job asks for; 0: whatever there is."""

    cores: int = 0
    memory_mb: int = 0
    accelerators: int = 0
    extras: tuple[str, ...] = ()

    @classmethod
    def of_spec(cls, spec: Mapping[str, Any]) -> Request:
        """That of a stored specification; one of an earlier version asks for nothing."""
        resources = spec.get("resources") or {}
        return cls(
            resources.get("cores") or 0,
            resources.get("memory_mb") or 0,
            resources.get("accelerators") or 0,
            tuple(resources.get("extras") or ()),
        )

    def columns(self) -> dict[str, int]:
        """The numbers, by column of the table of jobs."""
        return {name: getattr(self, name) for name in _NUMBERS}

    def fits(self, capacity: Capacity) -> bool:
        """Whether a worker has it all."""
        return all(getattr(self, name) <= getattr(capacity, name) for name in _NUMBERS) and set(
            self.extras
        ) <= set(capacity.extras)


#: What is compared by size, and how it is called.
_NUMBERS: Final[Mapping[str, str]] = {
    "cores": "cores for a trial",
    "memory_mb": "MB of memory for a trial",
    "accelerators": "accelerators",
}

#: Has more than any job may ask for: what a process takes for which nobody has declared anything.
_LIMITLESS: Final = 2**31 - 1


def fits() -> ColumnElement[bool]:
    """Whether a job fits the worker whose `parameters` a statement is executed with."""
    lacking = select(JobExtra.name).where(
        JobExtra.job_id == Job.id, JobExtra.name.not_in(bindparam("has_extras", expanding=True))
    )
    return and_(
        *(getattr(Job, name) <= bindparam(f"has_{name}") for name in _NUMBERS),
        or_(bindparam("has_all"), ~lacking.correlate(Job).exists()),
    )


def parameters(capacity: Capacity | None) -> dict[str, Any]:
    """Those of a statement with `fits`; None: everything fits."""
    numbers = {
        f"has_{name}": _LIMITLESS if capacity is None else getattr(capacity, name) for name in _NUMBERS
    }
    extras = () if capacity is None else capacity.extras
    return {**numbers, "has_extras": list(extras), "has_all": capacity is None}


def request_of(session: Session, job_id: str) -> Request | None:
    """What a job asks for; None if there is no such job."""
    row = session.execute(select(*(getattr(Job, name) for name in _NUMBERS)).where(Job.id == job_id)).first()
    if row is None:
        return None
    names = select(JobExtra.name).where(JobExtra.job_id == job_id).order_by(JobExtra.name)
    return Request(row.cores, row.memory_mb, row.accelerators, tuple(session.scalars(names)))


def declare(session: Session, name: str, capacity: Capacity) -> None:
    """Note what a living worker has."""
    row = session.get(Worker, name)
    if row is not None:
        for field, value in asdict(capacity).items():
            setattr(row, field, list(value) if field == "extras" else value)


def declared(session: Session, heartbeat: timedelta) -> list[tuple[str, Capacity]]:
    """The workers that are alive and have declared what they have, by name."""
    alive = Worker.seen_at >= dead_before(session, heartbeat)
    rows = session.scalars(select(Worker).where(alive, Worker.slots.is_not(None)).order_by(Worker.name))
    return [
        (
            row.name,
            Capacity(
                row.cores or 0,
                row.memory_mb or 0,
                row.accelerators or 0,
                tuple(row.extras or ()),
                row.slots or 0,
            ),
        )
        for row in rows
    ]


def has_free_slot(session: Session, request: Request, heartbeat: timedelta) -> bool:
    """Whether a living worker that a job fits can take another trial now."""
    slots: Counter[str] = Counter()
    for name, capacity in declared(session, heartbeat):
        if request.fits(capacity):
            slots[host_of(name)] += capacity.slots
    if not slots:
        return False
    running = session.scalars(
        select(Trial.worker).where(Trial.status == TrialStatus.RUNNING, Trial.worker.is_not(None))
    )
    busy = Counter(host_of(name) for name in running if name is not None)
    return any(count > busy[host] for host, count in slots.items())


def unmet(session: Session, request: Request, heartbeat: timedelta) -> str | None:
    """What no living worker has, and the remedy; None if one has it, or nobody has declared anything."""
    capacities = [capacity for _, capacity in declared(session, heartbeat)]
    if not capacities or any(request.fits(capacity) for capacity in capacities):
        return None
    lacking = _lacking(request, capacities)
    what = ", ".join(lacking) if lacking else "all of `resources` at once"
    return (
        f"no worker that is alive has {what}; start one on a machine that has it (its FEWBITS_WORKER_CORES,"
        " FEWBITS_TRIAL_MEMORY_MB, FEWBITS_WORKER_ACCELERATORS, FEWBITS_WORKER_EXTRAS), or ask for less in the"
        " job's `resources`"
    )


def _lacking(request: Request, capacities: Sequence[Capacity]) -> list[str]:
    lacking = []
    for name, words in _NUMBERS.items():
        most = max(getattr(capacity, name) for capacity in capacities)
        if getattr(request, name) > most:
            lacking.append(f"{getattr(request, name)} {words} (the most is {most})")
    return lacking + [f"the extra {name}" for name in request.extras if not _has(capacities, name)]


def _has(capacities: Collection[Capacity], extra: str) -> bool:
    return any(extra in capacity.extras for capacity in capacities)
