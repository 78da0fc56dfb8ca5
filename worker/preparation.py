"""What the trials of a job share, cached per process: its specification, its plan, its data and their checksums."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from threading import Condition
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache, cached

from search.data import Dataset, load_inputs
from search.plan import Plan
from search.plans.kinds import plan as make_plan
from search.results.recipe import fingerprint as fingerprint_of
from search.spec.job import SearchSpec
from service.store.models import Job
from service.store.references import BlobLookup
from service.store.trials import History
from worker.runtime import Runtime

if TYPE_CHECKING:
    from search.schedules.propose import WarmSearch  # loads Keras

#: Entries per cache. Trials of one job mostly follow one another, so more would only cost memory.
_SIZE: Final = 2

Key = tuple[str, str]


def _job_key(job: Job) -> Key:
    return job.id, _digest(json.dumps(job.spec, sort_keys=True))


def _plan_key(_: Runtime, job_id: str, spec: SearchSpec) -> Key:
    # Of the job too: a new job reads the headers of its data again.
    return job_id, _digest(spec.model_dump_json())


def _data_key(_: Runtime, plan: Plan) -> Key:
    # Of the data alone: jobs on the same data share the arrays.
    inputs = [(entry.shape, entry.preprocessing) for entry in plan.data.inputs]
    names = plan.network.inputs if len(inputs) > 1 else ()
    parts = (plan.spec.seed, inputs, names, plan.task.heads)
    return plan.spec.data.model_dump_json(), repr(parts)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cached(LRUCache[Key, SearchSpec](_SIZE), key=_job_key, condition=Condition())
def specification(job: Job) -> SearchSpec:
    """The job's specification as it is stored now."""
    return SearchSpec.model_validate(job.spec)


@cached(LRUCache[Key, Plan](_SIZE), key=_plan_key, condition=Condition())
def plan(runtime: Runtime, job_id: str, spec: SearchSpec) -> Plan:
    """The plan of a job under a specification. `InvalidSpec` for an upload whose content is missing."""
    return make_plan(spec, runtime.settings.data_folder, BlobLookup(runtime.blobs))


@cached(LRUCache[Key, Dataset](_SIZE), key=_data_key, condition=Condition())
def dataset(runtime: Runtime, plan: Plan) -> Dataset:
    """The data of a plan, split and scaled."""
    folder = runtime.settings.data_folder
    return load_inputs(plan.job.data, folder, plan.spec.seed, plan.data.inputs, plan.task.heads)


@cached(LRUCache[Key, dict[str, str]](_SIZE), key=_data_key, condition=Condition())
def fingerprint(runtime: Runtime, plan: Plan) -> dict[str, str]:
    """The checksums of a plan's data."""
    return fingerprint_of(dataset(runtime, plan))


def clear() -> None:
    """Empty the caches."""
    for function in (specification, plan, dataset, fingerprint, searched):
        function.cache_clear()


@dataclass
class Searched:
    """What a process remembers of a job's search, so that a proposal costs no more for many trials."""

    history: History | None = None
    warm: WarmSearch | None = None


@cached(LRUCache[str, Searched](_SIZE), key=lambda job_id: job_id, condition=Condition())
def searched(job_id: str) -> Searched:
    """What this process remembers of the job's search."""
    return Searched()


@cache
def versions() -> dict[str, str]:
    """Versions of everything a metric may depend on."""
    names = ("fewbits", "keras", "keras-tuner", "numpy", "tensorflow")
    return {name: version(name) for name in names} | {"python": platform.python_version()}
