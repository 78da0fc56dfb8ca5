"""Final trainings of selected trials. Their files are the trial's, named `final-...`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session

from search.results.final_training import FinalSpec, FinalStatus
from search.results.test_looks import LookKind
from service.api.deps import (
    READS,
    SUBMITS,
    BodyDep,
    CallerDep,
    DatabaseDep,
    JobId,
    QueueDep,
    SessionDep,
    SettingsDep,
    TrialNumber,
)
from service.api.responses import problem_responses
from service.parsing import parse
from service.queue import TaskName
from service.schemas.final_training import FinalView
from service.schemas.jobs import TestLookView
from service.store import final_trainings, quotas, test_looks
from service.store.final_training_models import FinalTraining
from service.views.jobs import look_view

router = APIRouter(prefix="/v1/jobs/{job_id}/trials/{number}", tags=["trials"], dependencies=[READS])


def _spec(body: BodyDep) -> FinalSpec:
    return parse(FinalSpec, body).spec


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/FinalSpec"}}},
    }
}


# The router's prefix ends before the verb: a path may not begin with a colon.
verbs = APIRouter(prefix="/v1/jobs/{job_id}/trials", tags=["trials"], dependencies=[SUBMITS])


@verbs.post(
    "/{number}:finalize",
    status_code=202,
    openapi_extra=_BODY,
    responses=problem_responses(
        _400="The body is not JSON",
        _403="A quota of the tenant is used up",
        _404="No such job or trial",
        _409="The trial has no trained model, or another final training that has not ended",
        _415="The body is not application/json",
        _422="The body is not valid",
    ),
)
def finalize_trial(
    job_id: JobId,
    number: TrialNumber,
    spec: Annotated[FinalSpec, Depends(_spec)],
    caller: CallerDep,
    settings: SettingsDep,
    database: DatabaseDep,
    queue: QueueDep,
    response: Response,
) -> FinalView:
    """Train a measured trial for more epochs, and evaluate it on validation and test data; idempotent."""
    with database.transaction() as session:
        distill = None if spec.distill is None else spec.distill.model_dump(mode="json")
        row, is_new = final_trainings.request(session, job_id, number, spec.epochs, distill)
        if is_new:
            quotas.check_work_on_trial(session, settings, caller.tenant)
            queue.enqueue(TaskName.RUN_FINAL_TRAINING, row.trial_id)
        view = final_view(session, job_id, number, row)
    response.headers["Location"] = f"/v1/jobs/{job_id}/trials/{number}/final"
    return view


@router.get("/final", responses=problem_responses(_404="No such job or trial, or no final training of it"))
def read_final(job_id: JobId, number: TrialNumber, session: SessionDep) -> FinalView:
    """The progress of a trial's final training, and its results."""
    return final_view(session, job_id, number, final_trainings.get(session, job_id, number))


def final_view(session: Session, job_id: str, number: int, row: FinalTraining) -> FinalView:
    """The row as a response."""
    fields: dict[str, Any] = {
        "job_id": job_id,
        "number": number,
        "test_look": _look(session, job_id, number, row),
    }
    for name in FinalView.model_fields.keys() - fields.keys():
        fields[name] = getattr(row, name)
    return FinalView(**fields | {name: fields[name] or {} for name in ("durations_s", "versions")})


def _look(session: Session, job_id: str, number: int, row: FinalTraining) -> TestLookView | None:
    """The newest look at the test data by the trial's final training."""
    if row.status != FinalStatus.DONE:
        return None
    looks = [
        look
        for look in test_looks.of_job(session, job_id)
        if (look.trial, look.kind) == (number, LookKind.FINAL_TRAINING)
    ]
    return look_view(looks[-1]) if looks else None
