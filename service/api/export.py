"""All trials of a job as one file, with the quantizer of every tensor: CSV, or Parquet if pyarrow is installed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from service.api.deps import READS, DatabaseDep, JobId
from service.api.responses import etag_of, is_known, not_modified, problem_responses
from service.store import jobs, reading
from service.store.models import Job
from service.store.query import FieldType
from service.store.session import Database
from service.views import columns
from service.views.scoring import scorer
from service.views.trials import trial_item

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["trials"], dependencies=[READS])

_BATCH: Final = 1000
_STORED: Final = tuple(name for name in reading.TRIAL_FIELDS if name != reading.SCORE)
_COLUMN_TYPES: Final = {
    FieldType.NUMBER: "number",
    FieldType.INTEGER: "integer",
    FieldType.TIME: "time",
    FieldType.TEXT: "text",
}
_FILE: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "/trials.csv",
    response_class=StreamingResponse,
    responses={
        200: {"content": {columns.CSV: {"schema": {"type": "string"}}}, "description": "The file"},
        **problem_responses(_404="No such job"),
    },
)
def trials_csv(request: Request, job_id: JobId, database: DatabaseDep) -> Response:
    """All trials, one per line: the fields of a list, then the quantizer of each tensor and the widths."""
    with database.reading() as session:
        job = jobs.get(session, job_id)
        etag = etag_of(job.id, job.version, columns.CSV)
        if is_known(request, etag):
            return not_modified(etag)
        types = _types(session, job)
    return StreamingResponse(
        _csv(database, job, types), media_type=columns.CSV, headers=_headers(job, "csv", etag)
    )


def _csv(database: Database, job: Job, types: Mapping[str, str]) -> Iterator[bytes]:
    with database.reading() as session:
        yield from columns.to_csv(tuple(types), _rows(session, job, tuple(types)))


@router.get(
    "/trials.parquet",
    response_class=FileResponse,
    responses={
        200: {"content": {columns.PARQUET: _FILE}, "description": "The file"},
        **problem_responses(_404="No such job", _406="pyarrow is not installed on the server"),
    },
)
def trials_parquet(request: Request, job_id: JobId, database: DatabaseDep) -> Response:
    """The columns of `trials.csv`, typed and compressed."""
    with database.reading() as session:
        job = jobs.get(session, job_id)
        columns.arrow()
        etag = etag_of(job.id, job.version, columns.PARQUET)
        if is_known(request, etag):
            return not_modified(etag)
        types = _types(session, job)
        with tempfile.NamedTemporaryFile(prefix="fewbits-", suffix=".parquet", delete=False) as file:
            path = Path(file.name)
        try:
            columns.to_parquet(path, types, _rows(session, job, tuple(types)))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return FileResponse(
        path,
        media_type=columns.PARQUET,
        headers=_headers(job, "parquet", etag),
        background=BackgroundTask(path.unlink, missing_ok=True),
    )


def _headers(job: Job, suffix: str, etag: str) -> dict[str, str]:
    name = f"{job.id}-trials.{suffix}"
    return {
        "ETag": etag,
        "Cache-Control": "no-cache",
        "Content-Disposition": f'attachment; filename="{name}"',
    }


def _types(session: Session, job: Job) -> dict[str, str]:
    """Every column and its type: the fields of a list, `layer.slot` and `layer.width` of all trials."""
    slots: dict[str, str] = {}
    for assignment in reading.assignments(session, job.id, _BATCH):
        for layer, quantizers in assignment["quantizers"].items():
            slots |= {f"{layer}.{slot}": "text" for slot in quantizers}
        slots |= {f"{layer}.width": "integer" for layer in assignment["widths"]}
    fields = {name: _COLUMN_TYPES[field_type] for name, field_type in reading.TRIAL_FIELDS.items()}
    return fields | dict(sorted(slots.items()))


def _rows(session: Session, job: Job, names: tuple[str, ...]) -> Iterator[list[Any]]:
    score = scorer(job)
    for batch in reading.export_rows(session, job.id, _BATCH):
        for row in batch:
            fields = trial_item(dict(zip(_STORED, row[:-1], strict=True)), score, tuple(reading.TRIAL_FIELDS))
            values = fields | _choices(row[-1])
            yield [values.get(name) for name in names]


def _choices(assignment: Mapping[str, Any]) -> dict[str, Any]:
    quantizers: dict[str, Any] = {
        f"{layer}.{slot}": text
        for layer, slots in assignment["quantizers"].items()
        for slot, text in slots.items()
    }
    return quantizers | {f"{layer}.width": width for layer, width in assignment["widths"].items()}
