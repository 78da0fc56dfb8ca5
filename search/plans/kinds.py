"""The two kinds of jobs: on the layers of a Keras network, and on a spiking network. Plain; nothing loads Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from search.plan import Plan
from search.plans.layers import layers_choices, layers_plan
from search.plans.spiking import spiking_choices, spiking_plan
from search.space.choices import Choices
from search.spec.job import SearchSpec
from search.spec.resolved import NO_UPLOADS, Resolved, ResolvedModel, UploadLookup, resolve

KindName = Literal["layers", "spiking"]


@dataclass(frozen=True, slots=True)
class JobKind:
    """What a kind of job checks and searches. Both functions raise `InvalidSpec`."""

    name: KindName
    plan: Callable[[Resolved, Path], Plan]  #: of a job and the data folder
    choices: Callable[[SearchSpec, ResolvedModel], Choices]  #: the space alone, without looking at the data


_LAYERS: Final = JobKind("layers", layers_plan, layers_choices)
_SPIKING: Final = JobKind("spiking", spiking_plan, spiking_choices)

#: Kind of a model -> kind of its jobs.
JOB_KINDS: Final[Mapping[str, JobKind]] = {
    "zoo": _LAYERS,
    "architecture": _LAYERS,
    "uploaded": _LAYERS,
    "xylo": _SPIKING,
}


def job_kind(spec: SearchSpec) -> JobKind:
    """The kind of a job, which its model decides."""
    return JOB_KINDS[spec.model.kind]


def plan(spec: SearchSpec, data_dir: Path, uploads: UploadLookup = NO_UPLOADS) -> Plan:
    """Check a job against its model and its data.

    Raises `InvalidSpec` with every fault, among them an upload whose content is missing.
    """
    return job_kind(spec).plan(resolve(spec, uploads), data_dir)
