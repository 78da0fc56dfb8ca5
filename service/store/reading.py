"""Columns of jobs and trials for lists, plots and exports: never whole rows, since assignments are long.

Callers read the job itself first, and so learn whether it belongs to the tenant of the session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final

import numpy as np
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Text,
    and_,
    false,
    func,
    literal,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.orm import Session

from search.history import JobStatus, TrialStatus
from search.scoring.forgiving_factor import ForgivingFactor
from search.scoring.vectorized import Floats
from service.errors import JobNotFound
from service.store.models import Job, Trial, UtcDateTime
from service.store.query import Condition, FieldType, Sort
from service.store.scores import score_sql

SCORE: Final = "score"

TRIAL_FIELDS: Final[Mapping[str, FieldType]] = {
    "number": FieldType.INTEGER,
    "status": FieldType.TEXT,
    "reason": FieldType.TEXT,
    SCORE: FieldType.NUMBER,
    "metric": FieldType.NUMBER,
    "loss": FieldType.NUMBER,
    "cost": FieldType.NUMBER,
    "energy_pj": FieldType.NUMBER,
    "bits": FieldType.INTEGER,
    "epochs_done": FieldType.INTEGER,
    "attempt": FieldType.INTEGER,
    "created_at": FieldType.TIME,
    "started_at": FieldType.TIME,
    "finished_at": FieldType.TIME,
}
TRIAL_CHOICES: Final = {"status": tuple(TrialStatus)}

JOB_FIELDS: Final[Mapping[str, FieldType]] = {
    "id": FieldType.TEXT,
    "name": FieldType.TEXT,
    "status": FieldType.TEXT,
    "reason": FieldType.TEXT,
    "cause": FieldType.TEXT,
    "priority": FieldType.INTEGER,
    "cost_unit": FieldType.TEXT,
    "reference_cost": FieldType.NUMBER,
    "created_at": FieldType.TIME,
    "started_at": FieldType.TIME,
    "finished_at": FieldType.TIME,
}
JOB_CHOICES: Final = {"status": tuple(JobStatus)}

#: Where a page ended: the value that it is sorted by, and the number or id that orders equal values.
PageEnd = tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which rows a page has: those that meet the conditions, in order, after the end of the page before."""

    conditions: Sequence[Condition]
    sort: Sort
    after: PageEnd | None
    limit: int


@dataclass(frozen=True, slots=True)
class Scoring:
    """The score of trials as a function of metric and cost."""

    factor: ForgivingFactor
    reference: float

    def score(self, metric: float, cost: float) -> float:
        """The score of one trial."""
        return self.factor.score(metric, cost, self.reference)

    def sql(self) -> ColumnElement[float]:
        """The score of a row of `trials`."""
        return score_sql(Trial.metric, Trial.cost, factor=self.factor, reference=self.reference)


def version(session: Session, job_id: str) -> int:
    """The job's version, which grows with every change; JobNotFound."""
    number = session.scalar(select(Job.version).where(Job.id == job_id))
    if number is None:
        raise JobNotFound(f"no job has the id {job_id!r}")
    return number


# --- pages ---------------------------------------------------------------------------------------------------------


def trial_page(
    session: Session, job_id: str, names: Sequence[str], query: PageQuery, scoring: Scoring
) -> list[tuple[PageEnd, dict[str, Any]]]:
    """The named columns of a page of trials, each row with its `PageEnd`. Ties are ordered by number.

    The page is selected on narrow columns, which an index has; only its rows are then read in full.
    """
    score = scoring.sql()
    columns: dict[str, Any] = {name: getattr(Trial, name) for name in TRIAL_FIELDS if name != SCORE}
    columns[SCORE] = score
    key = columns[query.sort.field]
    cut = (
        select(Trial.number.label("number"), key.label("place"))
        .where(Trial.job_id == job_id, *(_matches(columns[c.field], c) for c in query.conditions))
        .where(_follows(key, Trial.number, query))
        .order_by(_ordering(key, query.sort), Trial.number)
        .limit(query.limit)
    ).subquery()
    shown = [columns[name].label(f"column_{name}") for name in names]
    rows = session.execute(
        select(cut.c.place, Trial.number, *shown)
        .join(cut, and_(Trial.job_id == job_id, Trial.number == cut.c.number))
        .order_by(_ordering(cut.c.place, query.sort), Trial.number)
    )
    return [((row[0], row[1]), dict(zip(names, row[2:], strict=True))) for row in rows]


def job_page(session: Session, query: PageQuery) -> list[Job]:
    """A page of jobs. Ties are ordered by id, as the sort ascends or descends."""
    key = getattr(Job, query.sort.field)
    descending = query.sort.descending
    statement = (
        select(Job)
        .where(*(_matches(getattr(Job, c.field), c) for c in query.conditions))
        .where(_follows(key, Job.id, query, descending_ids=descending))
        .order_by(_ordering(key, query.sort), Job.id.desc() if descending else Job.id)
        .limit(query.limit)
    )
    return list(session.scalars(statement))


def _ordering(key: Any, sort: Sort) -> Any:
    """NULL comes last, on every database. A column that is never NULL is left to its index."""
    directed = key.desc() if sort.descending else key.asc()
    return directed.nulls_last() if getattr(key, "nullable", True) else directed


def _follows(key: Any, unique: Any, query: PageQuery, *, descending_ids: bool = False) -> ColumnElement[bool]:
    if query.after is None:
        return true()
    value, last = query.after[0], _bound(query.after[1])
    later = unique < last if descending_ids else unique > last
    if value is None:
        return and_(key.is_(None), later)
    value = _bound(value)
    if key is unique:
        return or_(unique < last if query.sort.descending else unique > last)
    beyond: ColumnElement[bool] = key < value if query.sort.descending else key > value
    following = or_(beyond, and_(key == value, later))
    return or_(following, key.is_(None)) if getattr(key, "nullable", True) else following


def _bound(value: Any) -> Any:
    """A value to compare with: PostgreSQL refuses integers that the column could not hold unless they have a type."""
    return literal(value, BigInteger) if type(value) is int else value


def _matches(column: Any, condition: Condition) -> ColumnElement[bool]:
    operator, values = condition.operator, [_bound(value) for value in condition.values]
    value = values[0]
    if operator == ":":
        present = [value for value in values if value is not None]
        missing = column.is_(None) if len(present) < len(values) else false()
        return or_(column.in_(present), missing) if present else or_(missing)
    if operator == "!=":
        return or_(column.is_not(None)) if value is None else or_(column != value, column.is_(None))
    if operator == "~":
        return or_(func.lower(column).contains(str(condition.values[0]).lower(), autoescape=True))
    comparisons: dict[str, ColumnElement[bool]] = {
        "<": column < value,
        "<=": column <= value,
        ">": column > value,
        ">=": column >= value,
    }
    return comparisons[operator]


# --- columns -------------------------------------------------------------------------------------------------------

#: Columns of the table itself: ORM rows would take longer than the query.
_COLUMNS: Final = Trial.__table__.c

#: What the database has of a `UtcDateTime`: text in SQLite.
_STORED_TIME: Final = DateTime(timezone=True).with_variant(Text(), "sqlite")


def point_columns(
    session: Session, job_id: str, names: Sequence[str], numbers: tuple[int, int] | None = None
) -> dict[str, tuple[Any, ...]]:
    """These columns of every trial of the job by number, or of those from `numbers[0]` to `numbers[1]`.

    Times are as `seconds_since` takes them.
    """
    statement = select(*(unzoned(_COLUMNS[name]) for name in names)).where(_COLUMNS.job_id == job_id)
    if numbers is not None:
        statement = statement.where(_COLUMNS.number.between(*numbers))
    rows = session.connection().execute(statement.order_by(_COLUMNS.number))
    return dict(zip(names, transposed(rows.all(), len(names)), strict=True))


def unzoned(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A time as the database has it: giving each row of SQLite a zone takes longer than the query."""
    return type_coerce(column, _STORED_TIME) if isinstance(column.type, UtcDateTime) else column


def seconds_since(start: datetime, moments: Sequence[Any]) -> Floats:
    """Seconds from `start` to each time of a column that was read `unzoned`; NaN where there is none."""
    times = [_naive(moment) if isinstance(moment, datetime) else moment for moment in moments]
    origin = np.datetime64(_naive(start), "us")
    passed = np.array(times, dtype="datetime64[us]") - origin
    return np.where(np.isnat(passed), np.nan, passed.astype(np.int64) / 1e6)


def _naive(moment: datetime) -> datetime:
    """In UTC, without a zone, which NumPy does not know."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def measured_columns(session: Session, job_id: str) -> list[tuple[Any, ...]]:
    """number, metric, cost, energy_pj, bits of the measured trials, by number, as columns."""
    c = _COLUMNS
    rows = session.connection().execute(
        select(c.number, c.metric, c.cost, c.energy_pj, c.bits)
        .where(c.job_id == job_id, c.status == TrialStatus.DONE)
        .where(c.metric.is_not(None), c.cost.is_not(None))
        .order_by(c.number)
    )
    return transposed(rows.all(), 5)


def transposed(rows: Sequence[Any], width: int) -> list[tuple[Any, ...]]:
    """Rows as columns. `zip(*rows)` makes an iterator of each row, which takes as long as the query."""
    return [tuple(map(itemgetter(place), rows)) for place in range(width)]


# --- exports -------------------------------------------------------------------------------------------------------


def export_rows(session: Session, job_id: str, batch: int) -> Iterator[Sequence[Any]]:
    """Every trial by number, in batches: the fields of a list without the score, then the assignment."""
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
