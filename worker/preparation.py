"""What trials of one job share, kept in the process between trials: the plan and the data."""

from __future__ import annotations

import platform
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from search.data import Dataset, load
from search.plans.base import Plan
from search.plans.base import plan as make_plan
from search.results.recipe import fingerprint as fingerprint_of
from search.spec.job import SearchSpec
from service.store.models import Job
from worker.runtime import Runtime

#: Specifications, plans and data sets kept per process: more would only cost memory, jobs mostly follow one another.
_KEPT: Final = 2

_specifications: OrderedDict[str, tuple[Mapping[str, Any], SearchSpec]] = OrderedDict()
_plans: OrderedDict[str, Plan] = OrderedDict()
_data: OrderedDict[str, Dataset] = OrderedDict()
_fingerprints: OrderedDict[str, dict[str, str]] = OrderedDict()


def specification(job: Job) -> SearchSpec:
    """The job's specification as it is stored; every trial asks for it several times."""
    kept = _specifications.get(job.id)
    if kept is None or kept[0] != job.spec:
        kept = _specifications[job.id] = (job.spec, SearchSpec.model_validate(job.spec))
        _trim(_specifications)
    _specifications.move_to_end(job.id)
    return kept[1]


def plan(runtime: Runtime, job_id: str, spec: SearchSpec) -> Plan:
    """The job's network, choices and prices."""
    if job_id not in _plans:
        _plans[job_id] = make_plan(spec, runtime.settings.data_folder)
        _trim(_plans)
    _plans.move_to_end(job_id)
    return _plans[job_id]


def dataset(runtime: Runtime, spec: SearchSpec, prepared: Plan) -> Dataset:
    """The job's data, split and scaled."""
    key = _key(spec, prepared)
    if key not in _data:
        _data[key] = load(
            spec.data, runtime.settings.data_folder, spec.seed, prepared.data.input_shape, prepared.task.heads
        )
        _trim(_data)
    _data.move_to_end(key)
    return _data[key]


def fingerprint(runtime: Runtime, spec: SearchSpec, prepared: Plan) -> dict[str, str]:
    """The checksums of the job's data; worked out once."""
    key = _key(spec, prepared)
    if key not in _fingerprints:
        _fingerprints[key] = fingerprint_of(dataset(runtime, spec, prepared))
        _trim(_fingerprints)
    return _fingerprints[key]


def _key(spec: SearchSpec, prepared: Plan) -> str:
    return f"{spec.data.model_dump_json()} {spec.seed} {prepared.data.input_shape} {prepared.task.heads}"


def _trim(kept: OrderedDict[str, Any]) -> None:
    while len(kept) > _KEPT:
        kept.popitem(last=False)


def forget() -> None:
    """Drop what is kept."""
    _specifications.clear()
    _plans.clear()
    _data.clear()
    _fingerprints.clear()


@cache
def versions() -> dict[str, str]:
    """Versions of everything a metric may depend on."""
    names = ("fewbits", "keras", "keras-tuner", "numpy", "tensorflow")
    return {name: version(name) for name in names} | {"python": platform.python_version()}
