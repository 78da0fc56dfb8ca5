"""What the service says a search has learned. Formulas: `search.results.analysis`, docs/how-to/analysis.md."""

from __future__ import annotations

from pydantic import Field

from service.schemas.jobs import View


class StepView(View):
    """The hypervolume after a trial that made it grow, as a share of the box; `at_s` seconds after the job's start."""

    number: int
    at_s: float | None
    hypervolume: float


class BoxView(View):
    """What the hypervolume is a share of. A metric that is minimised stands with its sign turned."""

    floor: float = Field(description="the worst metric that counts")
    top: float = Field(description="the best metric")
    ceiling: float = Field(description="cost from which on a trial adds nothing: the reference's")


class LabelEffectView(View):
    """What one candidate does to the metric, and to log2 of the cost, beside the mean of all trials."""

    label: str | float | int | bool
    bits: int | None
    trials: int
    merit: float
    log2_cost: float


class ChoiceEffectView(View):
    """What a choice does. Importances are shares of a variance; sensitivities: per bit, or per doubling of a width."""

    name: str
    layers: tuple[str, ...]
    slot: str
    importance: float
    cost_importance: float
    sensitivity: float | None
    cost_sensitivity: float | None
    labels: tuple[LabelEffectView, ...]


class LayerEffectView(View):
    """What the choices of a layer do together."""

    name: str
    importance: float
    cost_importance: float
    sensitivity: float | None


class AnalysisView(View):
    """What a job has learned from its measured trials so far."""

    job_id: str
    metric: str
    cost_unit: str
    trials: int
    hypervolume: float = Field(description="of all measured trials: a share of the box")
    box: BoxView
    steps: tuple[StepView, ...] = Field(
        description="how the hypervolume grew, in the order in which trials ended"
    )
    front: tuple[int, ...] = Field(description="trials no other beats in metric and cost, by rising cost")
    knee: int | None = Field(description="the trial of the front farthest above the line between its ends")
    explained: float | None = Field(description="share of the metric's variance that the effects account for")
    cost_explained: float | None
    choices: tuple[ChoiceEffectView, ...]
    layers: tuple[LayerEffectView, ...]
