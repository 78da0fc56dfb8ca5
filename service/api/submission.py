"""Submission of a job: validated, then stored once for an Idempotency-Key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Response

from service.api.compute import Compute, ComputeDep
from service.api.deps import CallerDep, DatabaseDep, QueueDep, SettingsDep
from service.queue import Queue, TaskName
from service.schemas.jobs import JobView
from service.settings import Settings
from service.store import idempotency, jobs, quotas, uploads
from service.store.idempotency import KeyClaim, KeyedRequest
from service.store.jobs import NewJob
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
    compute: Compute
    tenant: str
    key_id: str | None

    def request(self, route: str, key: str | None, body: bytes) -> KeyedRequest | None:
        """The record of a request that has a key; None without one."""
        return None if key is None else KeyedRequest(route, key, json.loads(self.compute("digest", body)))

    def start(
        self,
        body: bytes,
        response: Response,
        request: KeyedRequest | None,
        *,
        cloned_from: str | None = None,
    ) -> JobView:
        """Store the job and wake a worker; the job of an earlier request if there was one with the same key.

        InvalidRequest for every fault; IdempotencyKeyReused, IdempotencyKeyInUse; QuotaReached, QuotaExhausted; what
        `Compute` raises.
        """
        with self._once(request) as claim:
            if isinstance(claim, str):
                response.headers["Idempotency-Replayed"] = "true"
                return self._view(claim, response)
            new = NewJob(**json.loads(self.compute("new_job", body)))
            with self.database.transaction() as session:
                trials = new.spec["budget"]["trials"]
                specification_bytes = len(json.dumps(new.spec, separators=(",", ":")))
                quotas.check_submission(session, self.settings, self.tenant, trials, specification_bytes)
                uploads.lock_inputs(session, new.spec)
                job = jobs.create(session, new, cloned_from=cloned_from, submitted_by=self.key_id)
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


async def _intake(
    settings: SettingsDep, database: DatabaseDep, queue: QueueDep, compute: ComputeDep, caller: CallerDep
) -> Intake:
    return Intake(settings, database, queue, compute, caller.tenant, caller.key_id)


IntakeDep = Annotated[Intake, Depends(_intake)]
