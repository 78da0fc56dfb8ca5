"""What the service says, as values: the server writes them, the client reads them.

Energies are picojoules (`*_pj`), durations seconds (`*_s`), moments UTC. A score is computed when it is asked for, from
metric, cost and the job's goal; it is stored nowhere.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue, computed_field

from search.history import AttemptOutcome, Cause, JobStatus, TrialStatus
from search.spec.objective import Direction

Item = TypeVar("Item")

#: `json_schema_extra` of a field that is sent under its old name for one minor version.
DEPRECATED: Final[dict[str, JsonValue]] = {"deprecated": True}

#: Describes the `included` parts of a layer's energy.
INCLUDED: Final = (
    "which of inputs, outputs, parameters, operations make up `included_pj`; null if stored by version 0.1.0"
)


class View(BaseModel):
    """A value the service sends. Fields a reader does not know are ignored, so that a client may be older."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


class ProblemItem(View):
    """One fault. `pointer` (RFC 6901) leads into the request's body, `parameter` names a part of its query or path."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class ProblemDocument(View):
    """An error (RFC 9457)."""

    type: str = Field("about:blank", description="what went wrong; stable")
    title: str
    status: int
    detail: str = ""
    trace_id: str | None = Field(None, description="what the service's log calls this request")
    quota: str | None = Field(None, description="which quota of the tenant stands in the way")
    allowed: tuple[str, ...] | None = Field(None, description="what the state of the job allows instead")
    errors: tuple[ProblemItem, ...] = ()


class Page(View, Generic[Item]):
    """Part of a list. `next_cursor` leads on; None at the end."""

    items: tuple[Item, ...]
    next_cursor: str | None = None


class SparsePage(View):
    """Part of a list whose items have only the `fields` that were asked for."""

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
    """What one inference costs; `value` is what the goal names, in the job's cost unit."""

    value: float
    energy_pj: float
    bits: int
    layers: tuple[LayerEnergyView, ...] = ()


class PointView(View):
    """A measured trial in the plane of metric and cost."""

    number: int
    score: float
    metric: float
    cost: float
    energy_pj: float
    bits: int


class ProgressView(View):
    """How far a job is. `total` is what its budget and its space allow; `eta_s` is an estimate, None without a base.
    Trials that were ruled out without training are not counted.
    """

    done: int
    total: int
    fraction: float = Field(ge=0, le=1, description="trials under way count by their epochs")
    elapsed_s: float | None = None
    eta_s: float | None = None


class JobSummary(View):
    """A job in a list."""

    id: str
    name: str
    status: JobStatus
    reason: str | None = Field(description="why it is in this status, for people")
    cause: Cause | None = Field(description="why its search ended, or is about to")
    priority: int = Field(description="trials of jobs with a higher one begin first")
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
    metric_name: str = Field("accuracy", description="what `metric` is: the job's objective")
    metric_direction: Direction = Field("max", description="whether a larger or a smaller metric is better")
    metric_is_share: bool = Field(True, description="it lies between 0 and 1 and is shown in percent")
    best_metric: float | None = Field(description="best metric of any trial")
    least_cost: float | None = Field(description="lowest cost of any trial")
    least_energy_pj: float | None = Field(description="lowest energy of any trial")
    version: int = Field(description="grows with every change of the job or its trials")


class JobView(JobSummary):
    """A job."""

    space_size: str = Field(description="number of assignments, in decimal digits: it may not fit a number")
    reference: CostView = Field(description="cost of the model as given, at the goal's reference types")
    warnings: tuple[str, ...]
    allowed: tuple[str, ...] = Field(description="what may be done with it now: verbs, patch, delete")
    spec: dict[str, Any]


class TrialSummary(View):
    """A trial in a list. What is not measured yet is None."""

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
    """The quantizer of one tensor; both None where it stays float."""

    quantizer: str | None
    bits: int | None


class TrialLayerView(View):
    """One layer of a trial: the quantizer of each tensor that has a choice, and what the layer costs.

    `width` is given where it differs from the model's. Energies are None until the trial is measured.
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
    """One worker's go at a trial; the outcome is None while it runs."""

    attempt: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    outcome: AttemptOutcome | None
    reason: str | None


class ExecutionView(View):
    """One of several trainings of a trial; its best epoch is counted through all of them, from 0."""

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
    """How far the metrics of a trial's executions lie apart; the deviation is that of a sample (n - 1)."""

    std: float
    min: float
    max: float


class TrialView(TrialSummary):
    """A trial with all that was stored of it. Of several executions metric and loss are the means."""

    job_id: str
    layers: tuple[TrialLayerView, ...]
    choices: dict[str, Any] = Field(description="the quantizers and widths as the oracle knows them")
    epochs: tuple[EpochView, ...]
    post_training_metric: float | None = Field(
        None, description="as `metric`, before any training, where the job asks for that (post_training)"
    )
    best_epoch: int | None
    executions: tuple[ExecutionView, ...] = Field((), description="empty where the trial was trained once")
    spread: SpreadView | None = None
    learning_rate: float | None = Field(None, description="where the job searches it")
    seed: int
    versions: dict[str, str]
    durations_s: dict[str, float]
    worker: str | None
    attempts: tuple[AttemptView, ...] = Field(description="every worker's go at it, the first one first")
    artifacts: tuple[ArtifactView, ...]


class BestView(View):
    """The measured trials with the highest scores, best first."""

    items: tuple[PointView, ...]


class ParetoView(View):
    """Trials no other trial beats in both metric and cost, by rising cost."""

    cost_unit: str
    items: tuple[PointView, ...]


class PointsView(View):
    """Every trial of a job by number, as columns of equal length; None where nothing was measured."""

    job_id: str
    version: int
    cost_unit: str
    reference_cost: float
    count: int
    number: tuple[int, ...] = ()
    status: tuple[TrialStatus, ...] = ()
    state: tuple[TrialStatus, ...] = Field(
        (), deprecated="renamed to status", description="as `status`, which was called so in 0.1"
    )
    metric: tuple[float | None, ...] = ()
    cost: tuple[float | None, ...] = ()
    score: tuple[float | None, ...] = ()
    front: tuple[bool, ...] = Field(
        (), description="true where no measured trial beats it in metric and cost"
    )
    energy_pj: tuple[float | None, ...] = Field((), description="if `fields` names it")
    bits: tuple[int | None, ...] = Field((), description="if `fields` names it")
    finished_s: tuple[float | None, ...] = Field(
        (), description="seconds after the job's creation, if `fields` names it"
    )


class EventView(View):
    """Something that happened in a job. Ids grow, but not by one; `data` depends on the type."""

    id: int
    type: str = Field(description="job.created, job.status, trial.claimed, trial.epoch, trial.ended, ...")
    trial: int | None = Field(description="number of the trial it is about")
    data: dict[str, Any]
    created_at: datetime


class EventList(View):
    """Events in order. `last` is what `after` is to be next time; `over`: the job has ended and there are no more."""

    items: tuple[EventView, ...]
    last: int
    over: bool


class Alive(View):
    """The process answers."""

    status: str = "alive"
    version: str


class Readiness(View):
    """Whether the service can run jobs, and which part is missing."""

    ready: bool
    database: str
    migrations: str
    broker: str
    worker: str


class QuotaView(View):
    """How much of a quota the tenant has used; `limit` None: there is none."""

    used: float
    limit: float | None = None


class SessionView(View):
    """Who asks. `key_id` is None on an embedded service, which asks for no key."""

    tenant: str
    scope: str
    key_id: str | None = None
    quotas: dict[str, QuotaView] = {}
