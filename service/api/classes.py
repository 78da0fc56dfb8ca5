"""What a trial gets right, class by class, out of its reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from search.trial_files import FINAL_PREFIX, REPORT_FILE
from service.api.deps import READS, BlobsDep, JobId, SessionDep, TrialNumber
from service.api.responses import etag_of, is_known, mark, not_modified, problem_responses
from service.errors import ArtifactNotFound, UploadNotFound
from service.schemas.classes import ClassMetricsView, ClassReportView
from service.store import jobs, trials, uploads
from service.store.blobs import BlobStore
from service.store.models import Artifact, Job
from service.store.uploads import UploadKind

router = APIRouter(prefix="/v1/jobs/{job_id}/trials/{number}/classes", tags=["trials"], dependencies=[READS])


@router.get("", responses=problem_responses(_404="No such job or trial, or it is not measured"))
def read_classes(
    request: Request,
    response: Response,
    job_id: JobId,
    number: TrialNumber,
    session: SessionDep,
    blobs: BlobsDep,
) -> ClassReportView:
    """Accuracy, F1, intersection over union, calibration and confusion matrix of a trial, by class and part."""
    trial = trials.get(session, job_id, number)
    files = {row.name: row for row in trials.artifacts(session, trial)}
    report, final = files.get(REPORT_FILE), files.get(FINAL_PREFIX + REPORT_FILE)
    if report is None:
        raise ArtifactNotFound(f"trial {number} has no report: it is not measured")
    etag = etag_of(report.sha256, "" if final is None else final.sha256, "classes")
    if is_known(request, etag):
        return not_modified(etag)  # type: ignore[return-value]
    mark(response, etag)
    own, trained = _document(blobs, report), {} if final is None else _document(blobs, final)
    return ClassReportView(
        job_id=job_id,
        number=number,
        names=_names(session, jobs.get(session, job_id)),
        validation=_part(own, "validation"),
        test=_part(own, "test"),
        final_validation=_part(trained, "validation"),
        final_test=_part(trained, "test"),
    )


def _document(blobs: BlobStore, row: Artifact) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(blobs.path(row.sha256).read_text())
    except (OSError, ValueError):
        raise ArtifactNotFound(f"the content of {row.name!r} is missing from the blob folder") from None
    return document


def _part(report: Mapping[str, Any], part: str) -> ClassMetricsView | None:
    classes = (report.get(part) or {}).get("classes")
    return None if classes is None else ClassMetricsView.model_validate(classes)


def _names(session: Session, job: Job) -> tuple[str, ...]:
    """The names of the classes of an uploaded table or of image folders; empty where there are none."""
    data = job.spec.get("data")
    if not isinstance(data, Mapping) or data.get("kind") != "uploaded":
        return ()
    try:
        upload = uploads.get(session, UploadKind.DATA, str(data.get("id")))
    except UploadNotFound:  # deleted since
        return ()
    return tuple((upload.details or {}).get("classes", ()))
