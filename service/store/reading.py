"""What lists, plots and exports read of jobs and trials: columns, never whole rows, since assignments are long.

Callers have read the job itself first: that is where a tenant's session finds only its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, false, func, or_, select, true
from sqlalchemy.orm import Session

from search.history import JobStatus, TrialStatus
from search.scoring.forgiving_factor import ForgivingFactor
from service.errors import JobNotFound
from service.store.models import Job, Trial
from service.store.query import Condition, Kind, Sort
from service.store.scores import score_sql

SCORE: Final = "score"

TRIAL_FIELDS: Final[Mapping[str, Kind]] = {
    "number": Kind.WHOLE,
    "status": Kind.TEXT,
    "reason": Kind.TEXT,
    SCORE: Kind.NUMBER,
    "metric": Kind.NUMBER,
    "loss": Kind.NUMBER,
    "cost": Kind.NUMBER,
    "energy_pj": Kind.NUMBER,
    "bits": Kind.WHOLE,
    "epochs_done": Kind.WHOLE,
    "attempt": Kind.WHOLE,
    "created_at": Kind.MOMENT,
    "started_at": Kind.MOMENT,
    "finished_at": Kind.MOMENT,
}
TRIAL_CHOICES: Final = {"status": tuple(TrialStatus)}

JOB_FIELDS: Final[Mapping[str, Kind]] = {
    "id": Kind.TEXT,
    "name": Kind.TEXT,
    "status": Kind.TEXT,
    "reason": Kind.TEXT,
    "cause": Kind.TEXT,
    "priority": Kind.WHOLE,
    "cost_unit": Kind.TEXT,
    "reference_cost": Kind.NUMBER,
    "created_at": Kind.MOMENT,
    "started_at": Kind.MOMENT,
    "finished_at": Kind.MOMENT,
}
JOB_CHOICES: Final = {"status": tuple(JobStatus)}

#: Where a page ended: the value it is sorted by, and the number or id that tells equal ones apart.
Place = tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """How a page is cut: conditions, order, the place after which it begins."""

    conditions: Sequence[Condition]
    sort: Sort
    after: Place | None
    limit: int


@dataclass(frozen=True, slots=True)
class Scoring:
    """What turns metric and cost into a score."""

    factor: ForgivingFactor
    reference: float

    def one(self, metric: float, cost: float) -> float:
        """The score of one trial."""
        return self.factor.score(metric, cost, self.reference)

    def sql(self) -> ColumnElement[float]:
        """The score of a row of `trials`."""
        return score_sql(Trial.metric, Trial.cost, factor=self.factor, reference=self.reference)


def version(session: Session, job_id: str) -> int:
    """The job's version, which grows with every change; JobNotFound."""
    found = session.scalar(select(Job.version).where(Job.id == job_id))
    if found is None:
        raise JobNotFound(f"no job has the id {job_id!r}")
    return found


# --- pages ---------------------------------------------------------------------------------------------------------


def trial_page(
    session: Session, job_id: str, names: Sequence[str], order: Order, scoring: Scoring
) -> list[tuple[Place, dict[str, Any]]]:
    """The named columns of a page of trials, each with its place. Ties stand by number.

    The page is cut on narrow columns, which an index holds; only its rows are then read in full.
    """
    score = scoring.sql()
    columns: dict[str, Any] = {name: getattr(Trial, name) for name in TRIAL_FIELDS if name != SCORE}
    columns[SCORE] = score
    key = columns[order.sort.field]
    cut = (
        select(Trial.number.label("number"), key.label("place"))
        .where(Trial.job_id == job_id, *(_holds(columns[c.field], c) for c in order.conditions))
        .where(_follows(key, Trial.number, order))
        .order_by(_ordering(key, order.sort), Trial.number)
        .limit(order.limit)
    ).subquery()
    shown = [columns[name].label(f"column_{name}") for name in names]
    rows = session.execute(
        select(cut.c.place, Trial.number, *shown)
        .join(cut, and_(Trial.job_id == job_id, Trial.number == cut.c.number))
        .order_by(_ordering(cut.c.place, order.sort), Trial.number)
    )
    return [((row[0], row[1]), dict(zip(names, row[2:], strict=True))) for row in rows]


def job_page(session: Session, order: Order) -> list[Job]:
    """A page of jobs. Ties stand by id, the later first where the sort falls."""
    key = getattr(Job, order.sort.field)
    falls = order.sort.descending
    query = (
        select(Job)
        .where(*(_holds(getattr(Job, c.field), c) for c in order.conditions))
        .where(_follows(key, Job.id, order, falls=falls))
        .order_by(_ordering(key, order.sort), Job.id.desc() if falls else Job.id)
        .limit(order.limit)
    )
    return list(session.scalars(query))


def _ordering(key: Any, sort: Sort) -> Any:
    """What has no value stands last, on every database. What always has one is left to its index."""
    directed = key.desc() if sort.descending else key.asc()
    return directed.nulls_last() if getattr(key, "nullable", True) else directed


def _follows(key: Any, unique: Any, order: Order, *, falls: bool = False) -> ColumnElement[bool]:
    if order.after is None:
        return true()
    value, last = order.after
    later = unique < last if falls else unique > last
    if value is None:
        return and_(key.is_(None), later)
    if key is unique:
        return or_(unique < last if order.sort.descending else unique > last)
    beyond: ColumnElement[bool] = key < value if order.sort.descending else key > value
    following = or_(beyond, and_(key == value, later))
    return or_(following, key.is_(None)) if getattr(key, "nullable", True) else following


def _holds(column: Any, condition: Condition) -> ColumnElement[bool]:
    operator, values = condition.operator, condition.values
    value = values[0]
    if operator == ":":
        known = [each for each in values if each is not None]
        missing = column.is_(None) if None in values else false()
        return or_(column.in_(known), missing) if known else or_(missing)
    if operator == "!=":
        return or_(column.is_not(None)) if value is None else or_(column != value, column.is_(None))
    if operator == "~":
        return or_(func.lower(column).contains(str(value).lower(), autoescape=True))
    compared: dict[str, ColumnElement[bool]] = {
        "<": column < value,
        "<=": column <= value,
        ">": column > value,
        ">=": column >= value,
    }
    return compared[operator]


# --- columns -------------------------------------------------------------------------------------------------------

#: Columns of the table itself: an ORM's rows would cost more than the database.
_COLUMNS: Final = Trial.__table__.c


def point_columns(session: Session, job_id: str, names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """These columns of every trial of the job, by number."""
    rows = session.connection().execute(
        select(*(_COLUMNS[name] for name in names)).where(_COLUMNS.job_id == job_id).order_by(_COLUMNS.number)
    )
    return dict(zip(names, _turned(rows.all(), len(names)), strict=True))


def measured_columns(session: Session, job_id: str) -> list[tuple[Any, ...]]:
    """number, metric, cost, energy_pj, bits of the measured trials, by number, as columns."""
    c = _COLUMNS
    rows = session.connection().execute(
        select(c.number, c.metric, c.cost, c.energy_pj, c.bits)
        .where(c.job_id == job_id, c.status == TrialStatus.DONE)
        .where(c.metric.is_not(None), c.cost.is_not(None))
        .order_by(c.number)
    )
    return _turned(rows.all(), 5)


def _turned(rows: Sequence[Any], width: int) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


# --- exports -------------------------------------------------------------------------------------------------------


def export_rows(session: Session, job_id: str, batch: int) -> Iterator[Sequence[Any]]:
    """Every trial by number: the fields of a list without the score, then the assignment; in batches."""
    columns = [getattr(Trial, name) for name in TRIAL_FIELDS if name != SCORE]
    after = -1
    while True:
        rows = session.execute(
            select(*columns, Trial.assignment)
            .where(Trial.job_id == job_id, Trial.number > after)
            .order_by(Trial.number)
            .limit(batch)
        ).all()
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def assignments(session: Session, job_id: str, batch: int) -> Iterator[dict[str, Any]]:
    """The assignment of every trial, by number."""
    after = -1
    while True:
        rows = session.execute(
            select(Trial.number, Trial.assignment)
            .where(Trial.job_id == job_id, Trial.number > after)
            .order_by(Trial.number)
            .limit(batch)
        ).all()
        if not rows:
            return
        yield from (assignment for _, assignment in rows)
        after = rows[-1][0]
