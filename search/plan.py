"""A job checked against its model and data: what the API shows before it stores a job, and what workers start from."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.network import Network
from search.cost.pricing import Pricer
from search.data import DataInfo
from search.history import Cost
from search.networks.architecture import notes
from search.schedules import Stage, stages
from search.space.choices import Choices
from search.spec.job import SearchSpec
from search.spec.oracle import oracle_warnings
from search.spec.resolved import ModelFile, Resolved
from search.task import Task


@dataclass(frozen=True)
class Plan:
    """A job that can run: its network, its choices and when each is made, its data, and the cost of its reference.

    `job` is what the plan was made from; its model and data are read from there. `network` is that of its trials
    (`search.space.normalization`).
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


def plan_from(
    job: Resolved, network: Network, task: Task, choices: Choices, data: DataInfo, pricer: Pricer
) -> Plan:
    """The plan of checked parts, with its reference, its stages and its warnings.

    Raises `InvalidSpec` where the reference cannot be priced.
    """
    spec, reference = job.spec, pricer.reference()
    warnings = (
        *notes(job.model),
        *choices.warnings,
        *_preprocessing_warnings(data),
        *_budget_warnings(spec, choices),
        *_weights_warnings(job),
        *oracle_warnings(
            spec.oracle,
            spec.budget.trials,
            spec.training.epochs,
            len(choices.dimensions()),
            spec.parallel_trials,
        ),
        *pricer.warnings,
    )
    schedule = stages(spec, choices, reference)
    return Plan(job, network, task, choices, data, pricer, reference, schedule, warnings)


def takes_uploaded_weights(job: Resolved) -> bool:
    """Whether the search uses weights that were trained elsewhere, on examples preprocessed there."""
    uploaded = isinstance(job.model, ModelFile) and job.model.gives_weights
    return uploaded and job.spec.training.start != "scratch"


def _preprocessing_warnings(data: DataInfo) -> list[str]:
    """What each input's preprocessing would spoil; of several inputs by name."""
    several = len(data.inputs) > 1
    return [
        f"input {entry.name!r}: {warning}" if several else warning
        for entry in data.inputs
        for warning in entry.preprocessing.warnings
    ]


def _weights_warnings(job: Resolved) -> list[str]:
    """Weights that were trained elsewhere read examples as the job preprocesses them."""
    preprocessing = job.data.preprocessing
    stated = {preprocessing} if isinstance(preprocessing, str) else {*preprocessing.values()}
    if not takes_uploaded_weights(job) or stated <= {"auto", "none"}:
        return []
    return [
        f"the uploaded weights get examples with preprocessing {preprocessing!r}: set data.preprocessing to how"
        " they were trained"
    ]


def _budget_warnings(spec: SearchSpec, choices: Choices) -> list[str]:
    size = choices.size()
    if size < spec.budget.trials:
        return [f"the space has only {size} assignments, the budget is {spec.budget.trials} trials"]
    if size > spec.budget.trials:
        return [f"the space has {_rounded(size)} assignments, the budget tries {spec.budget.trials} of them"]
    return []


def _rounded(number: int) -> str:
    """A number people can read; it may have hundreds of digits."""
    digits = str(number)
    return digits if len(digits) <= 6 else f"{digits[0]}.{digits[1]}e{len(digits) - 1}"
