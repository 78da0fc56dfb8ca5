"""The analysis of a search. Formulas: `search.results.analysis`, docs/how-to/analysis.md."""

from __future__ import annotations

from pydantic import Field

from service.schemas.jobs import View


class StepView(View):
    """The hypervolume after a trial that increased it, as a share of the box; `at_s`: seconds after the job's start."""

    number: int
    at_s: float | None
    hypervolume: float


class BoxView(View):
    """The box that the hypervolume is a share of. A metric that is minimized has the opposite sign."""

    floor: float = Field(description="the worst metric that counts")
    top: float = Field(description="the best metric")
    ceiling: float = Field(description="the reference cost: trials with a higher one add nothing")


class LabelEffectView(View):
    """The effect of one candidate on the metric, and on log2 of the cost, relative to the mean of all trials."""

    label: str | float | int | bool
    bits: int | None
    trials: int
    merit: float
    log2_cost: float


class ChoiceEffectView(View):
    """The effect of a choice. Importances: shares of a variance; sensitivities: per bit, or per doubling of a width."""

    name: str
    layers: tuple[str, ...]
    slot: str
    importance: float
    cost_importance: float
    sensitivity: float | None
    cost_sensitivity: float | None
    labels: tuple[LabelEffectView, ...]


class LayerEffectView(View):
    """The joint effect of a layer's choices."""

    name: str
    importance: float
    cost_importance: float
    sensitivity: float | None


class SensitivityView(View):
    """What each candidate alone does to the outputs of the float model."""

    metric: float = Field(description="of the float model, on the validation data")
    examples: int = Field(description="training examples that the outputs were compared on")
    divergences: dict[str, dict[str, float]] = Field(
        description="choice -> candidate -> Kullback-Leibler divergence in nats, or squared change over squared error"
    )


class AnalysisView(View):
    """The analysis of a job's measured trials so far."""

    job_id: str
    metric: str
    cost_unit: str
    trials: int
    hypervolume: float = Field(description="of all measured trials, as a share of the box")
    box: BoxView
    steps: tuple[StepView, ...] = Field(
        description="growth of the hypervolume, in the order in which trials ended"
    )
    front: tuple[int, ...] = Field(
        description="trials that no other trial beats in both metric and cost, by rising cost"
    )
    knee: int | None = Field(
        description="the trial of the front that is farthest above the line between its ends"
    )
    explained: float | None = Field(description="share of the metric's variance that the effects explain")
    cost_explained: float | None
    choices: tuple[ChoiceEffectView, ...]
    measured_sensitivity: SensitivityView | None = Field(
        None, description="what was measured before the first trial, for oracles that need it"
    )
    layers: tuple[LayerEffectView, ...]
