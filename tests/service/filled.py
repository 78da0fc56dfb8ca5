"""A job with trials in the database, made by the store's own functions: what the API reads without a worker."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from search.history import Assignment, EpochReport, JobStatus, Measurement, NewTrial, TrialStatus, Verdict
from search.plan import Plan
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from service.store import claims, events, jobs, trials
from service.store.blobs import BlobStore
from service.store.events import Entry, EventType
from service.store.leases import Claim
from service.store.models import Trial
from service.store.planned import planned_job
from service.store.session import Database

LEASE = timedelta(seconds=60)

JOB: dict[str, Any] = {
    "name": "a search",
    "model": {"kind": "zoo", "name": "digits_cnn"},
    "data": {"kind": "digits"},
    "limits": {
        "by_class": {"Dense": [8, 8, 4], "Conv2D": [4, 8, 4], "Activation": [4], "BatchNormalization": []}
    },
    "filters": {"by": "layer", "exceptions": ["^dense"]},
    "training": {"epochs": 3},
    "budget": {"trials": 20},
    "seed": 42,
}


@cache
def _planned(document: str, folder: Path | None) -> Plan:
    """The plan of a job, made once: a plan is a value. `folder`: of the files that the job names."""
    return plan(SearchSpec.model_validate(json.loads(document)), folder or Path())


@dataclass(frozen=True)
class Filled:
    """A stored job and its plan."""

    job_id: str
    plan: Plan


class Filler:
    """Plays the worker: proposes, claims, trains (by a formula) and ends trials."""

    def __init__(self, database: Database, blobs: BlobStore, folder: Path) -> None:
        self.database = database
        self._blobs = blobs
        self.folder = folder

    def job(self, document: dict[str, Any] = JOB) -> Filled:
        """A job in status RUNNING, without trials."""
        planned = _planned(json.dumps(document), self.folder if "file" in str(document) else None)
        with self.database.transaction() as session:
            job = jobs.create(session, planned_job(planned))
            assert jobs.save_proposals(session, job.id, proposals=0, oracle_state="{}", exhausted=False)
        return Filled(job.id, planned)

    def queue(self, filled: Filled, count: int, first: int = 0) -> list[int]:
        """Trials in status QUEUED, with assignments drawn from the job's space; their ids."""
        proposed = list(self._proposals(filled, count, first))
        with self.database.transaction() as session:
            return trials.add(session, filled.job_id, proposed)

    def _proposals(self, filled: Filled, count: int, first: int) -> Iterator[NewTrial]:
        dimensions = filled.plan.choices.dimensions()
        for number in range(first, first + count):
            draw = random.Random(number)
            values = {name: draw.choice(labels) for name, labels in dimensions.items()}
            yield NewTrial(number, filled.plan.choices.assignment(values), {}, seed=number)

    def start(self, trial_id: int, epochs: int = 0) -> Claim:
        """The trial claimed, with so many epochs behind it."""
        with self.database.transaction() as session:
            claim = claims.claim_next(session, trial_id, worker="host/1/0", lease=LEASE)
            assert claim is not None
            assert claim.trial_id == trial_id
            for epoch in range(epochs):
                reached = 0.9 - 0.5 * math.exp(-epoch - 1)
                metrics = {
                    "loss": 1.0 - reached,
                    "accuracy": reached + 0.02,
                    "val_loss": 1.1 - reached,
                    "val_accuracy": reached,
                }
                claims.add_epochs(session, claim, [EpochReport(epoch, metrics, 0.5)], LEASE)
        return claim

    def measure(self, filled: Filled, trial_id: int, metric: float | None = None) -> float:
        """The trial trained and measured, with two files; its cost."""
        claim = self.start(trial_id, epochs=3)
        with self.database.reading() as session:
            row = trials.get(session, filled.job_id, claim.number)
        cost = filled.plan.pricer.price(Assignment.from_json(row.assignment))
        noise = random.Random(claim.number).gauss(0, 0.02)
        reached = min(0.995, 0.3 + 0.11 * math.log10(cost.energy_pj) + 0.25 + noise)
        measured = Measurement(
            metric=reached if metric is None else metric,
            loss=0.4,
            cost=cost,
            durations_s={"build": 0.3, "train": 1.5},
            best_epoch=2,
        )
        files = {}
        for name, content in (("model.keras", b"bytes of trial %d" % claim.number), ("report.json", b"{}")):
            path = self.folder / name
            path.write_bytes(content)
            files[name] = self._blobs.put(path)
        with self.database.transaction() as session:
            assert claims.finish(session, claim, measured, artifacts=files, versions={"keras": "3.15.1"})
        return cost.value

    def fail(self, trial_id: int, reason: str, status: TrialStatus = TrialStatus.FAILED) -> None:
        """The trial ended without a measurement."""
        claim = self.start(trial_id)
        with self.database.transaction() as session:
            assert claims.end(session, claim, status, reason)

    def rule_out(self, trial_id: int) -> None:
        """End a trial by a proof, before any training."""
        claim = self.start(trial_id)
        verdict = Verdict(TrialStatus.INFEASIBLE, "costs too much", {"limit": 1.0, "value": 2.0})
        with self.database.transaction() as session:
            assert claims.judge(session, claim, verdict, None, None)

    def end(
        self, filled: Filled, status: JobStatus = JobStatus.DONE, reason: str = "all trials are done"
    ) -> None:
        """The job ended."""
        with self.database.transaction() as session:
            jobs.end(session, filled.job_id, status, reason)

    def copy_measured(self, filled: Filled, count: int, first: int) -> None:
        """Many trials in status DONE at once, with metrics and costs of their own and everything else of trial 0."""
        draw = random.Random(count)
        with self.database.transaction() as session:
            stored = trials.get(session, filled.job_id, 0)
            whole = {column.key: getattr(stored, column.key) for column in Trial.__table__.columns}
            del whole["id"]
            rows = [
                whole
                | {
                    "number": number,
                    "metric": draw.uniform(0.5, 0.9),
                    "cost": (cost := draw.uniform(500, 20_000)),
                    "energy_pj": cost,
                    "assignment_key": str(number),
                }
                for number in range(first, first + count)
            ]
            session.execute(insert(Trial), rows)
            events.append(session, filled.job_id, Entry(EventType.JOB_WARNING, {"message": "many trials"}))
