"""Submission of a job: validated, then stored once for an Idempotency-Key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, Header, Response

from search.cost.pricing import cost_unit
from search.plan import Plan
from service.api.deps import BlobsDep, CallerDep, DatabaseDep, QueueDep, SettingsDep
from service.api.planning import plan_of
from service.parsing import Submission
from service.queue import Queue, TaskName
from service.schemas.jobs import JobView
from service.settings import Settings
from service.store import idempotency, jobs, quotas, uploads
from service.store.blobs import BlobStore
from service.store.idempotency import KeyClaim, KeyedRequest
from service.store.references import BlobLookup, pinned
from service.store.session import Database
from service.views import jobs as job_views

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="a unique string, for example a UUID: a second request with it does not create another job",
    ),
]

#: Response with a new job, for the reference.
STARTED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The job is stored, and a worker will start it",
        "headers": {
            "Location": {"description": "path of the job", "schema": {"type": "string"}},
            "Idempotency-Replayed": {
                "description": "`true`: an earlier request with this Idempotency-Key created the job",
                "schema": {"type": "string"},
            },
        },
    }
}


@dataclass(frozen=True)
class Intake:
    """Accepts new jobs of one caller."""

    settings: Settings
    database: Database
    queue: Queue
    blobs: BlobStore
    tenant: str

    def request(self, route: str, key: str | None, document: Any) -> KeyedRequest | None:
        """The record of a request that has a key; None without one."""
        if key is None:
            return None
        text = json.dumps(document, sort_keys=True)
        return KeyedRequest(route, key, hashlib.sha256(text.encode()).hexdigest())

    def start(
        self,
        submission: Submission,
        response: Response,
        request: KeyedRequest | None,
        *,
        cloned_from: str | None = None,
    ) -> JobView:
        """Store the job and wake a worker; the job of an earlier request if there was one with the same key.

        InvalidRequest for faults that model and data reveal; IdempotencyKeyReused, IdempotencyKeyInUse; QuotaReached,
        QuotaExhausted.
        """
        with self._once(request) as claim:
            if isinstance(claim, str):
                response.headers["Idempotency-Replayed"] = "true"
                return self._view(claim, response)
            pinned_job = replace(submission, spec=pinned(submission.spec, self.database))
            new = _new_job(plan_of(pinned_job, self.settings.data_folder, BlobLookup(self.blobs)))
            with self.database.transaction() as session:
                trials = submission.spec.budget.trials
                quotas.check_submission(session, self.settings, self.tenant, trials)
                uploads.lock_inputs(session, new.spec)
                job = jobs.create(session, new, cloned_from=cloned_from)
                if claim is not None:
                    idempotency.complete(session, claim, job.id)
                self.queue.enqueue(TaskName.ADVANCE_JOB, job.id)
        return self._view(job.id, response)

    @contextmanager
    def _once(self, request: KeyedRequest | None) -> Iterator[KeyClaim | str | None]:
        if request is None:
            yield None
            return
        with self.database.transaction() as session:
            claim = idempotency.claim(session, request)
        try:
            yield claim
        except BaseException:
            if isinstance(claim, KeyClaim):
                with self.database.transaction() as session:
                    idempotency.release(session, claim)
            raise

    def _view(self, job_id: str, response: Response) -> JobView:
        response.headers["Location"] = f"/v1/jobs/{job_id}"
        with self.database.reading() as session:
            return job_views.job_view(session, jobs.get(session, job_id))


def _new_job(plan: Plan) -> jobs.NewJob:
    return jobs.NewJob(
        name=plan.spec.name,
        spec=plan.spec.model_dump(mode="json"),
        cost_unit=cost_unit(plan.spec.goal),
        reference_cost=plan.reference.value,
        reference=asdict(plan.reference),
        space_size=plan.choices.size(),
        warnings=plan.warnings,
    )


async def _intake(
    settings: SettingsDep, database: DatabaseDep, queue: QueueDep, blobs: BlobsDep, caller: CallerDep
) -> Intake:
    return Intake(settings, database, queue, blobs, caller.tenant)


IntakeDep = Annotated[Intake, Depends(_intake)]
