"""What a dry run answers, shared by server and client."""

from __future__ import annotations

from typing import Any

from pydantic import Field, computed_field

from service.schemas.jobs import DEPRECATED, CostView, View


class CandidatesView(View):
    """One choice: the quantizers a tensor of these layers may get."""

    name: str
    layers: tuple[str, ...]
    slot: str
    candidates: tuple[str, ...]


class WidthView(View):
    """One choice of a multiple of the filters or units of these layers."""

    name: str
    layers: tuple[str, ...]
    multipliers: tuple[float, ...]


class DataView(View):
    """The data as the search would split it."""

    input_shape: tuple[int, ...]
    classes: int | None = Field(description="None where the targets are numbers")
    train_samples: int
    validation_samples: int
    test_samples: int


class ExtremeView(View):
    """A network at one end of the costs. `exact`: no other is beyond it; else none was found beyond it."""

    choices: dict[str, Any] = Field(description="the quantizers and widths as the oracle knows them")
    cost: CostView
    exact: bool


class EstimateView(View):
    """How long the job may take, going by earlier trials of the same model."""

    trial_s: float = Field(description="one trial")
    job_s: float = Field(description="all of them, by the workers there are")
    workers: int = Field(
        description="workers that were heard of lately, but no more than parallel_trials; at least 1"
    )
    based_on: int = Field(description="how many measured trials it is the median of")
    same_data: bool = Field(description="whether those were trained on the same data")


class DryRun(View):
    """What a job would search; nothing is stored."""

    space_size: str
    trials: int = Field(description="what budget and space allow")
    cost_unit: str
    reference: CostView
    slots: tuple[CandidatesView, ...]
    widths: tuple[WidthView, ...]
    untouched: tuple[str, ...] = Field(description="layers that stay as they are")
    cheapest: ExtremeView | None = Field(None, description="the network with the lowest cost")
    most_expensive: ExtremeView | None = Field(None, description="the network with the highest cost")
    estimate: EstimateView | None = Field(
        None, description="None where no trial of the model was measured yet"
    )
    data: DataView
    warnings: tuple[str, ...]

    @computed_field(description="as `most_expensive`", json_schema_extra=DEPRECATED)  # type: ignore[prop-decorator]
    @property
    def dearest(self) -> ExtremeView | None:
        """The name of `most_expensive` in 0.1."""
        return self.most_expensive
