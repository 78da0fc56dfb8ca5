"""How a job went: attempts of workers, and choices of trials; and what workers do now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from quantization.specs.parse import parse_quantizer
from service.api.deps import READS, DatabaseDep, JobId, SessionDep, SettingsDep, WholeDatabaseDep
from service.api.health import worker_state
from service.api.responses import etag_of, is_known, mark, not_modified, problem_responses
from service.errors import InvalidParameter
from service.schemas.history import (
    AttemptsView,
    ChoiceColumnView,
    ChoicesView,
    Label,
    QueueView,
    WaitingJobView,
    WorkerView,
)
from service.store import history, jobs
from service.store.capacity import Capacity

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"], dependencies=[READS])
queue_router = APIRouter(prefix="/v1/queue", tags=["queue"], dependencies=[READS])

_MISSING: Final = problem_responses(_404="No such job")

#: Trials whose choices are sent at most.
MAX_TRIALS: Final = 2000
#: Choices of all of them together.
MAX_LABELS: Final = 400_000

#: What the row of a worker says of what it has.
_DECLARED: Final = tuple(field.name for field in fields(Capacity))


@router.get("/attempts", responses=_MISSING)
def read_attempts(request: Request, response: Response, job_id: JobId, session: SessionDep) -> AttemptsView:
    """Every attempt of a worker at a trial of the job, as columns: who worked when, and how it ended."""
    job = jobs.get(session, job_id)
    etag = etag_of(job.id, job.version, "attempts")
    if is_known(request, etag):
        return not_modified(etag)  # type: ignore[return-value]
    mark(response, etag)
    rows = history.attempts(session, job_id)
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * 7
    started_s, ended_s = (
        tuple(
            None if moment is None else (moment - job.created_at).total_seconds() for moment in columns[index]
        )
        for index in (3, 4)
    )
    spent = (
        end - start
        for start, end in zip(started_s, ended_s, strict=True)
        if start is not None and end is not None
    )
    return AttemptsView(
        job_id=job.id,
        version=job.version,
        compute_s=sum(spent),
        trial=columns[0],
        attempt=columns[1],
        worker=columns[2],
        started_s=started_s,
        ended_s=ended_s,
        outcome=columns[5],
        reason=columns[6],
    )


@router.get("/choices", responses=_MISSING)
def read_choices(
    request: Request,
    response: Response,
    job_id: JobId,
    session: SessionDep,
    numbers: Annotated[
        str | None,
        Query(
            max_length=20_000,
            pattern=r"^[0-9]{1,9}(,[0-9]{1,9})*$",
            description="up to 2,000 trials, as `3,7,12`; by default the newest measured ones",
        ),
    ] = None,
) -> ChoicesView:
    """What the oracle chose in up to 2,000 trials, as columns: one for each choice, with the bits of its labels.

    Of networks with so many choices that these would be more than 400,000 labels, the newest of the trials.
    """
    named = None if numbers is None else _numbers(numbers)
    job = jobs.get(session, job_id)
    etag = etag_of(job.id, job.version, "choices", numbers)
    if is_known(request, etag):
        return not_modified(etag)  # type: ignore[return-value]
    mark(response, etag)
    rows = history.choices(session, job_id, named, MAX_TRIALS, MAX_LABELS)
    names = dict.fromkeys(name for _, values in rows for name in values)
    return ChoicesView(
        job_id=job.id,
        version=job.version,
        number=tuple(number for number, _ in rows),
        choices=tuple(_column(name, [values.get(name) for _, values in rows]) for name in names),
    )


def _numbers(text: str) -> list[int]:
    parts = text.split(",")
    if len(parts) > MAX_TRIALS:
        raise InvalidParameter("numbers", f"names {len(parts)} trials; {MAX_TRIALS} are allowed")
    return [int(part) for part in parts]


def _column(name: str, values: Sequence[Label]) -> ChoiceColumnView:
    labels = sorted(
        {value for value in values if value is not None}, key=lambda label: (_bits(label) or 0, str(label))
    )
    codes = {label: code for code, label in enumerate(labels)}
    return ChoiceColumnView(
        name=name,
        labels=tuple(labels),
        bits=tuple(_bits(label) for label in labels),
        codes=tuple(-1 if value is None else codes[value] for value in values),
    )


def _bits(label: Label) -> int | None:
    """Bits of a quantizer; None for widths, learning rates and the like."""
    if not isinstance(label, str):
        return None
    try:
        return parse_quantizer(label).bits
    except ValueError:
        return None


@queue_router.get("")
def read_queue(
    response: Response, settings: SettingsDep, database: DatabaseDep, whole: WholeDatabaseDep
) -> QueueView:
    """Live workers, and the tenant's jobs that have not ended, in the order in which their trials begin."""
    response.headers["Cache-Control"] = "no-store"
    with whole.reading() as session:
        workers = history.live_workers(session, settings.heartbeat)
    with database.reading() as session:
        running = history.running_trials(session)
        waiting = history.waiting_jobs(session)
    names = ("job_id", "name", "status", "priority", "parallel_trials", "queued", "running", "created_at")
    return QueueView(
        worker=worker_state(whole, settings),
        workers=tuple(
            WorkerView(
                name=worker.name,
                started_at=worker.started_at,
                seen_at=worker.seen_at,
                **{name: getattr(worker, name) for name in _DECLARED},
                **dict(
                    zip(
                        ("job_id", "trial", "since"),
                        running.get(worker.name, (None, None, None)),
                        strict=True,
                    )
                ),
            )
            for worker in workers
        ),
        jobs=tuple(WaitingJobView(**dict(zip(names, row, strict=True))) for row in waiting),
    )
