"""Responses of the service as values: the server writes them, the client reads them.

Energies are in picojoules (`*_pj`), durations in seconds (`*_s`), times in UTC. Scores are computed at every read from
metric, cost and the job's goal; they are stored nowhere.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue, computed_field

from search.history import AttemptOutcome, Cause, JobStatus, TrialStatus
from search.results.final_training import FinalStatus
from search.spec.objective import Direction
from service.schemas.device import OnDevice
from service.schemas.effective import TrainedCosts
from service.schemas.notebooks import Drawn

Item = TypeVar("Item")

#: `json_schema_extra` of a field that is sent under its old name for one minor version.
DEPRECATED: Final[dict[str, JsonValue]] = {"deprecated": True}

#: Describes the `included` parts of a layer's energy.
INCLUDED: Final = (
    "which of inputs, outputs, parameters, operations make up `included_pj`; null if stored by version 0.1.0"
)


#: Describe fields of jobs and of dry runs.
REFERENCE_VALUES: Final = (
    "cost of the unquantized model in int8 and in fp32, whatever the goal's reference is; empty for spiking networks"
    " and for jobs that were stored before version 0.2"
)
BLOCKS: Final = "which trials search which layers, in the order of the search; empty without blocks"


class View(BaseModel):
    """A response. Clients ignore fields that they do not know, so that they may be older than the service."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


class Page(View, Generic[Item]):
    """A page of a list. `next_cursor` leads to the next page; None on the last one."""

    items: tuple[Item, ...]
    next_cursor: str | None = None


class SparsePage(View):
    """A page of a list whose items have only the requested `fields`."""

    items: tuple[dict[str, Any], ...]
    next_cursor: str | None = None


#: Rows and stored references call it `counted_pj`.
_INCLUDED: Final = AliasChoices("included_pj", "counted_pj")


class LayerEnergyView(View):
    """Energy of one layer, by part; `included_pj` is what enters the network's energy."""

    name: str
    class_name: str
    inputs_pj: float
    outputs_pj: float
    parameters_pj: float
    operations_pj: float
    included_pj: float = Field(validation_alias=_INCLUDED)
    included: tuple[str, ...] | None = Field(None, description=INCLUDED)

    @computed_field(description="as `included_pj`", json_schema_extra=DEPRECATED)  # type: ignore[prop-decorator]
    @property
    def counted_pj(self) -> float:
        """The name of `included_pj` in 0.1."""
        return self.included_pj


class CostView(View):
    """The cost of one inference; `value` is the cost that the goal names, in the job's cost unit."""

    value: float
    energy_pj: float
    bits: int
    layers: tuple[LayerEnergyView, ...] = ()


class PointView(View):
    """A measured trial: its metric, cost and score."""

    number: int
    score: float
    metric: float
    cost: float
    energy_pj: float
    bits: int


class ProgressView(View):
    """The progress of a job. `total`: trials that its budget and space allow; `eta_s`: an estimate, None before there
    are trials. Trials that were pruned without training are not counted.
    """

    done: int
    total: int
    fraction: float = Field(ge=0, le=1, description="running trials count by their epochs")
    elapsed_s: float | None = None
    eta_s: float | None = None


class JobSummary(View):
    """A job in a list."""

    id: str
    name: str
    status: JobStatus
    reason: str | None = Field(description="why it has this status, for people")
    cause: Cause | None = Field(description="why its search ended, or is ending")
    priority: int = Field(description="trials of jobs with a higher priority start first")
    submitted_by: str | None = Field(None, description="name of the key it was submitted with")
    budget: dict[str, int | float | None] = Field({}, description="trials, epochs, seconds; null: no limit")
    model: str
    data: str
    cost_unit: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    trials: dict[TrialStatus, int]
    progress: ProgressView
    reference_cost: float
    reference_energy_pj: float
    best: PointView | None = Field(description="the measured trial with the highest score")
    metric_name: str = Field("accuracy", description="the job's objective: the name of `metric`")
    metric_direction: Direction = Field("max", description="`max` if a larger metric is better, else `min`")
    metric_is_share: bool = Field(True, description="the metric is between 0 and 1, and shown in percent")
    best_metric: float | None = Field(description="best metric of any trial")
    least_cost: float | None = Field(description="lowest cost of any trial")
    least_energy_pj: float | None = Field(description="lowest energy of any trial")
    version: int = Field(description="increases with every change of the job or its trials")


class TestLookView(View):
    """One look at the test data of a job."""

    __test__ = False  # not a test, whatever its name says to pytest

    number: int = Field(description="counts the looks at the job's test data, from 1")
    trial: int = Field(description="number of the trial")
    kind: str = Field(
        description="report: the best trial, when the search ended; final_training: by `finalize`"
    )
    metric: float | None = Field(description="on the test data; null: stored by version 0.1, see the report")
    optimistic: bool = Field(description="the trial may have been chosen by an earlier look")
    note: str = Field(description="the look in words")
    created_at: datetime | None


class BlockView(View):
    """A block of the schedule `per_block`: its layers are searched by the trials `first` to `first + trials - 1`."""

    name: str = Field(description="its pattern in `schedule.blocks`")
    first: int = Field(description="number of its first trial")
    trials: int = Field(
        description="its share of the budget; it ends earlier where nothing new is left to try"
    )
    layers: tuple[str, ...] = Field(description="the layers that it settles; later blocks keep them")


class JobView(Drawn, JobSummary):
    """A job."""

    space_size: str = Field(
        description="number of assignments, as text: it may have hundreds of digits, 4,001 at most"
    )
    reference: CostView = Field(description="cost of the unquantized model, with the goal's reference types")
    reference_values: dict[str, float] = Field({}, description=REFERENCE_VALUES)
    blocks: tuple[BlockView, ...] = Field((), description=BLOCKS)
    float_metric: float | None = Field(
        None, description="of the float model on the validation data, once it was measured"
    )
    warnings: tuple[str, ...]
    allowed: tuple[str, ...] = Field(description="what its status allows: verbs, patch, delete")
    test_looks: tuple[TestLookView, ...] = Field((), description="all looks at its test data, in order")
    waiting: str | None = Field(None, description="why no worker works on it, with the remedy; else null")
    spec: dict[str, Any]


class TrialSummary(View):
    """A trial in a list. Values that are not measured yet are None."""

    number: int
    status: TrialStatus
    reason: str | None
    score: float | None
    metric: float | None
    loss: float | None
    cost: float | None
    energy_pj: float | None
    bits: int | None
    epochs_done: int
    attempt: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class EpochView(View):
    """The metrics at the end of one epoch; epochs count from 0."""

    epoch: int
    metrics: dict[str, float | None]
    duration_s: float


class TensorView(View):
    """The quantizer of one tensor; both fields are None for a float tensor."""

    quantizer: str | None
    bits: int | None


class TrialLayerView(View):
    """One layer of a trial: the quantizer of each tensor that has a choice, and the layer's energy.

    `width` is None where it is that of the model. Energies are None until the trial is measured.
    """

    name: str
    class_name: str | None
    slots: dict[str, TensorView]
    width: int | None
    inputs_pj: float | None = None
    outputs_pj: float | None = None
    parameters_pj: float | None = None
    operations_pj: float | None = None
    included_pj: float | None = Field(
        None, validation_alias=_INCLUDED, description="what enters the network's energy"
    )
    included: tuple[str, ...] | None = Field(None, description=INCLUDED)

    @computed_field(description="as `included_pj`", json_schema_extra=DEPRECATED)  # type: ignore[prop-decorator]
    @property
    def counted_pj(self) -> float | None:
        """The name of `included_pj` in 0.1."""
        return self.included_pj


class ArtifactView(View):
    """A file of a trial."""

    name: str
    sha256: str
    size_bytes: int


class AttemptView(View):
    """One attempt of a worker at a trial; the outcome is None while it is running."""

    attempt: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    outcome: AttemptOutcome | None
    reason: str | None


class ExecutionView(View):
    """One of several trainings of a trial; its best epoch is counted across all of them, from 0."""

    seed: int
    metric: float
    loss: float
    best_epoch: int
    selected: bool = Field(
        validation_alias=AliasChoices("selected", "kept"),
        description="its metric is the best, so the trial's model is this one's",
    )

    @computed_field(description="as `selected`", json_schema_extra=DEPRECATED)  # type: ignore[prop-decorator]
    @property
    def kept(self) -> bool:
        """The name of `selected` in 0.1."""
        return self.selected


class SpreadView(View):
    """The spread of the metrics of a trial's executions; `std` is the sample standard deviation (n - 1)."""

    std: float
    min: float
    max: float


class TrialView(Drawn, OnDevice, TrainedCosts, TrialSummary):
    """A trial in full. With several executions, metric and loss are means."""

    job_id: str
    layers: tuple[TrialLayerView, ...]
    choices: dict[str, Any] = Field(description="the oracle's choices: name -> quantizer or width")
    epochs: tuple[EpochView, ...]
    post_training_metric: float | None = Field(None, description="as `metric`, before any training")
    best_epoch: int | None
    executions: tuple[ExecutionView, ...] = Field((), description="empty if the trial was trained once")
    spread: SpreadView | None = None
    learning_rate: float | None = Field(None, description="if the job searches it")
    seed: int
    versions: dict[str, str]
    durations_s: dict[str, float]
    worker: str | None
    attempts: tuple[AttemptView, ...] = Field(description="every worker's attempt, oldest first")
    final_status: FinalStatus | None = Field(None, description="of its final training; null: there is none")
    artifacts: tuple[ArtifactView, ...]


class BestView(View):
    """The measured trials with the highest scores, best first."""

    items: tuple[PointView, ...]


class ParetoView(Drawn, View):
    """The trials that no other trial beats in both metric and cost, by rising cost."""

    cost_unit: str
    items: tuple[PointView, ...]


class PointsView(View):
    """All trials of a job by number, as columns of equal length; None where nothing was measured."""

    job_id: str
    version: int
    cost_unit: str
    reference_cost: float
    count: int
    after: int = Field(0, description="only trials that changed after this version are sent; 0: all trials")
    number: tuple[int, ...] = ()
    status: tuple[TrialStatus, ...] = ()
    state: tuple[TrialStatus, ...] = Field((), deprecated="renamed to status", description="as `status`")
    metric: tuple[float | None, ...] = ()
    cost: tuple[float | None, ...] = ()
    score: tuple[float | None, ...] = ()
    front: tuple[bool, ...] = Field(
        (), description="true if no measured trial beats it in both metric and cost"
    )
    energy_pj: tuple[float | None, ...] = Field((), description="only if `fields` names it")
    bits: tuple[int | None, ...] = Field((), description="only if `fields` names it")
    finished_s: tuple[float | None, ...] = Field(
        (), description="after the job's creation; if `fields` names it"
    )


class EventView(View):
    """An event of a job. Ids increase, but not by one; `data` depends on the type."""

    id: int
    type: str = Field(description="job.created, job.status, trial.claimed, trial.epoch, trial.ended, ...")
    trial: int | None = Field(description="number of the trial that it concerns")
    data: dict[str, Any]
    created_at: datetime


class EventList(View):
    """Events in order. `last`: the next request's `after`; `over`: the job has ended and there are no more events."""

    items: tuple[EventView, ...]
    last: int
    over: bool


class QuotaView(View):
    """The usage of a quota; `limit` is None if there is no limit."""

    used: float
    limit: float | None = None


class SessionView(View):
    """The caller. `key_id` is None on an embedded service, which needs no key."""

    tenant: str
    scope: str
    key_id: str | None = None
    quotas: dict[str, QuotaView] = {}
