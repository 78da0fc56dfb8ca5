"""Analysis of a search: growth of its front, and effect of each choice."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.api.compute import COMPUTES, ComputeDep
from service.api.deps import READS, DatabaseDep, JobId
from service.api.responses import etag_of, is_known, json_response, mark, not_modified, problem_responses
from service.schemas.analysis import AnalysisView
from service.store import reading

router = APIRouter(prefix="/v1/jobs/{job_id}/analysis", tags=["jobs"], dependencies=[READS])


@router.get(
    "",
    dependencies=[COMPUTES],
    response_model=AnalysisView,
    responses=problem_responses(_404="No such job", _413="The job is too large to be analysed"),
)
def read_analysis(request: Request, job_id: JobId, database: DatabaseDep, compute: ComputeDep) -> Response:
    """Hypervolume over time, knee of the front, importance of every choice and sensitivity of every layer."""
    with database.reading() as session:
        etag = etag_of(job_id, reading.version(session, job_id), "analysis")
    if is_known(request, etag):
        return not_modified(etag)
    response = json_response(compute("analysis", b"", job_id=job_id))
    mark(response, etag)
    return response
