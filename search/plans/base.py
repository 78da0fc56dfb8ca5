"""A job, checked against its model and data: what the API shows before it stores a job, and what workers start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from costmodel.network import Network
from search.cost.pricing import Pricer
from search.data import DataInfo, describe
from search.errors import InvalidSpec, Problem
from search.history import Cost
from search.networks import architecture as models
from search.schedules import Stage, stages
from search.space.choices import Choices, choices
from search.spec.job import SearchSpec
from search.spec.oracle import oracle_warnings
from search.spec.resolved import NO_UPLOADS, ModelFile, Resolved, UploadLookup, resolve
from search.spec.spiking import XyloModel
from search.targets import TARGETS
from search.task import Task, task

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """A job that can run: its network, its choices and when each is made, its data, and what its reference costs.

    `job` is what it was made from; its model and data are read from there.
    """

    job: Resolved
    network: Network
    task: Task
    choices: Choices
    data: DataInfo
    pricer: Pricer
    reference: Cost
    stages: tuple[Stage, ...]
    warnings: tuple[str, ...]

    @property
    def spec(self) -> SearchSpec:
        """The job as its user states it."""
        return self.job.spec


def plan(spec: SearchSpec, data_dir: Path, uploads: UploadLookup = NO_UPLOADS) -> Plan:
    """Check a job against its model and its data. Plain: reads no more of the data than headers and labels.

    Raises InvalidSpec with every fault found; faults of the model hide those of the rest, which stand on it.
    """
    job = resolve(spec, uploads)
    if isinstance(job.model, XyloModel):
        from search.plans.spiking import spiking_plan  # which stands on this module

        return spiking_plan(job, job.model, data_dir)
    network = models.network(job.model)
    problems: list[Problem] = []
    found = _collect(problems, lambda: choices(spec, network))
    own_task = _collect(problems, lambda: task(spec, network))
    data = _collect(problems, lambda: describe(job.data, data_dir, network, own_task)) if own_task else None
    pricer = _collect(problems, lambda: Pricer(spec.goal, network))
    if found is not None:
        problems += TARGETS[spec.target].check(network, found)
    if problems or found is None or own_task is None or data is None or pricer is None:
        raise InvalidSpec(problems)
    return assembled(job, network, own_task, found, data, pricer)


def assembled(
    job: Resolved, network: Network, own_task: Task, found: Choices, data: DataInfo, pricer: Pricer
) -> Plan:
    """The plan of these parts: with its reference, its stages and what its user should know."""
    spec = job.spec
    reference = pricer.reference()
    about_oracle = oracle_warnings(
        spec.oracle, spec.budget.trials, spec.training.epochs, len(found.dimensions())
    )
    about_job = (*_budget_warnings(spec, found), *_weights_warnings(job))
    warnings = (*found.warnings, *about_job, *about_oracle, *pricer.warnings)
    return Plan(
        job, network, own_task, found, data, pricer, reference, stages(spec, found, reference), warnings
    )


def _collect(problems: list[Problem], make: Callable[[], T]) -> T | None:
    try:
        return make()
    except InvalidSpec as error:
        problems += error.problems
        return None


def _weights_warnings(job: Resolved) -> list[str]:
    """Weights that were trained elsewhere meet examples as the job prepares them."""
    uploaded = isinstance(job.model, ModelFile) and job.model.gives_weights
    preprocessing = job.data.preprocessing
    if not uploaded or job.spec.training.start == "scratch" or preprocessing == "none":
        return []
    return [
        f"the uploaded weights get examples with preprocessing {preprocessing!r}: set data.preprocessing to how"
        " they were trained"
    ]


def _budget_warnings(spec: SearchSpec, found: Choices) -> list[str]:
    size = found.size()
    if size < spec.budget.trials:
        return [f"the space has only {size} assignments, the budget is {spec.budget.trials} trials"]
    if size > spec.budget.trials:
        return [f"the space has {_rounded(size)} assignments, the budget tries {spec.budget.trials} of them"]
    return []


def _rounded(number: int) -> str:
    """A number people can read; it may have hundreds of digits."""
    digits = str(number)
    return digits if len(digits) <= 6 else f"{digits[0]}.{digits[1]}e{len(digits) - 1}"
