"""A database with 100,000 trials of jobs of all sizes, made up: what `benchmarks.api` asks about."""

from __future__ import annotations

import math
import random
import secrets
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from search.history import TrialStatus
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from service.store import jobs
from service.store.models import Trial, now
from service.store.planned import planned_job
from service.store.session import Database

SIZES = {"large": 50_000, "middle": 10_000, "small": 1_000}
SMALL_JOBS = 40
JOB: dict[str, Any] = {
    "name": "benchmark",
    "model": "digits_cnn",
    "data": "digits",
    "limits": {"by_class": {"Conv2D": [8, 8, 8], "Dense": [8, 8, 8], "Activation": [8]}},
    "budget": {"trials": 100_000},
}


def fill(database: Database) -> dict[str, str]:
    """Jobs of all sizes, 100,000 trials in all; the id of one of each size."""
    spec = SearchSpec.model_validate(JOB)
    planned = plan(spec, Path())
    dimensions = planned.choices.dimensions()
    draw = random.Random(1)
    templates = [
        planned.choices.assignment({name: draw.choice(labels) for name, labels in dimensions.items()})
        for _ in range(50)
    ]
    ids = {}
    sizes = [("large", SIZES["large"]), ("middle", SIZES["middle"])]
    for name, size in sizes + [("small", SIZES["small"])] * SMALL_JOBS:
        with database.transaction() as session:
            job = jobs.create(session, replace(planned_job(planned), name=name, warnings=()))
            ids[name] = job.id
            for first in range(0, size, 5000):
                rows = [
                    row(job.id, number, draw, templates) for number in range(first, min(first + 5000, size))
                ]
                session.execute(insert(Trial), rows)
    return ids


def row(job_id: str, number: int, draw: random.Random, templates: list[Any]) -> dict[str, Any]:
    """A trial, measured or (one of twenty) failed."""
    moment = now() + timedelta(seconds=number)
    failed = number % 20 == 7
    energy = 10 ** draw.uniform(2.5, 4.2)
    metric = min(0.99, 0.3 + 0.15 * math.log10(energy) + draw.gauss(0, 0.03))
    chosen = draw.choice(templates)
    return {
        "job_id": job_id,
        "number": number,
        "status": TrialStatus.FAILED if failed else TrialStatus.DONE,
        "reason": "loss became NaN" if failed else None,
        "assignment": chosen.to_json(),
        "assignment_key": secrets.token_hex(16),
        "oracle_trial": {"hyperparameters": {"values": dict(chosen.values)}, "score": None},
        "seed": number,
        "attempt": 1,
        "epochs_done": 3,
        "enqueued_at": moment,
        "created_at": moment,
        "started_at": moment,
        "finished_at": moment,
        "metric": None if failed else metric,
        "loss": None if failed else 1 - metric,
        "cost": None if failed else energy,
        "energy_pj": None if failed else energy,
        "bits": None if failed else int(energy * 8),
        "versions": {"keras": "3.15.1"},
        "durations_s": {"build": 0.3, "train": 1.5},
    }
