"""All trials of a job as columns, in one response: for plots and data frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from search.history import TrialStatus
from search.scoring.pareto import on_front
from search.scoring.vectorized import merits
from service.api import pagination
from service.api.deps import READS, JobId, SessionDep
from service.api.negotiation import negotiated
from service.api.responses import etag_of, is_known, mark, not_modified, problem_responses
from service.schemas.jobs import PointsView
from service.store import history, jobs, reading
from service.store.models import Job
from service.store.query import parse_fields
from service.views import columns
from service.views.scoring import score_of, scoring

router = APIRouter(prefix="/v1/jobs/{job_id}/points", tags=["trials"], dependencies=[READS])

FORMATS: Final = (columns.JSON, columns.NDJSON, columns.ARROW)

#: The name of `status` in 0.1: deprecated, still sent by default, gone after one minor version.
_OLD_STATUS: Final = "state"

#: Columns that are sent by default, and all that `fields` may name.
USUAL: Final = ("number", "status", "metric", "cost", "score", "front", _OLD_STATUS)
FIELDS: Final = (*USUAL, "energy_pj", "bits", "finished_s")

_STORED: Final = {_OLD_STATUS: "status", "finished_s": "finished_at"}
_COMPUTED: Final = {"score", "front"}


@router.get(
    "",
    response_model=PointsView,
    responses={
        200: {
            "content": {
                columns.NDJSON: {"schema": {"type": "string"}},
                columns.ARROW: {"schema": {"type": "string", "format": "binary"}},
            },
            "description": "The columns; NDJSON: one line per trial",
        },
        **problem_responses(_404="No such job", _406="None of the requested formats is available"),
    },
)
def read_points(
    request: Request,
    job_id: JobId,
    session: SessionDep,
    fields: pagination.FieldsText = None,
    after: Annotated[
        int, Query(ge=0, le=2**31 - 1, description="only trials that changed after this version of the job")
    ] = 0,
) -> Response:
    """All trials of the job by number, as columns of equal length; values that were not measured are null.

    `fields` names columns: number, status, metric, cost, score, front (by default), energy_pj, bits, finished_s.
    `after` in the response is 0 where all trials are sent, because events since that version are stored no more.
    """
    media_type = negotiated(request, FORMATS)
    names = USUAL if fields is None else parse_fields(fields, FIELDS)
    if media_type == columns.ARROW:
        columns.arrow()
    etag = etag_of(job_id, reading.version(session, job_id), media_type, after, *names)
    if is_known(request, etag):
        return not_modified(etag)
    job = jobs.get(session, job_id)
    changed = history.changed_trials(session, job_id, after) if after else None
    points = point_columns(session, job, names, changed)
    head = {
        "after": 0 if changed is None else after,
        "job_id": job.id,
        "version": job.version,
        "cost_unit": job.cost_unit,
        "reference_cost": job.reference_cost,
        "count": len(next(iter(points.values()))),
    }
    response = Response(_body(media_type, head, points), media_type=media_type)
    mark(response, etag)
    response.headers["Vary"] = "Accept"
    return response


def _body(media_type: str, head: dict[str, Any], points: columns.Columns) -> bytes:
    if media_type == columns.ARROW:
        return columns.to_arrow(head, points)
    return columns.to_ndjson(points) if media_type == columns.NDJSON else columns.to_columnar(head, points)


def point_columns(
    session: Session, job: Job, names: tuple[str, ...], numbers: Sequence[int] | None = None
) -> dict[str, Any]:
    """The named columns of all trials, or of those with these numbers, as lists by number."""
    if numbers is None:
        return _columns(session, job, names)
    if not numbers:
        return {name: [] for name in names}
    # scores are those of single trials, but only all trials tell which of them are on the front
    between = None if "front" in names else (min(numbers), max(numbers))
    everything = _columns(session, job, tuple(dict.fromkeys(("number", *names))), between)
    rows = np.flatnonzero(np.isin(np.array(everything["number"], dtype=np.int64), numbers)).tolist()
    return {name: [everything[name][row] for row in rows] for name in names}


def _columns(
    session: Session, job: Job, names: tuple[str, ...], between: tuple[int, int] | None = None
) -> dict[str, Any]:
    needed = dict.fromkeys(_STORED.get(name, name) for name in names if name not in _COMPUTED)
    if _COMPUTED & set(names):
        needed |= dict.fromkeys(("status", "metric", "cost"))
    stored = reading.point_columns(session, job.id, tuple(needed) or ("number",), between)
    computed = _computed(job, stored) if _COMPUTED & set(names) else {}
    points: dict[str, Any] = {}
    for name in names:
        if name in computed:
            points[name] = computed[name]
        elif name == "finished_s":
            points[name] = reading.seconds_since(job.created_at, stored["finished_at"]).tolist()
        else:
            points[name] = stored[_STORED.get(name, name)]
    return points


def _computed(job: Job, stored: dict[str, Any]) -> dict[str, list[Any]]:
    """Scores of all measured trials, and the front of those that are done."""
    metric = np.array(stored["metric"], dtype=np.float64)
    cost = np.array(stored["cost"], dtype=np.float64)
    done = np.array([status == TrialStatus.DONE for status in stored["status"]], dtype=np.bool_)
    scores = scoring(job)
    mask = on_front(np.where(done, merits(metric, scores.factor), np.nan), cost)
    return {"score": score_of(metric, cost, scores).tolist(), "front": mask.tolist()}
