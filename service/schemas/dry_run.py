"""The result of a dry run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, computed_field

from service.schemas.exports import FormatView
from service.schemas.jobs import BLOCKS, DEPRECATED, REFERENCE_VALUES, BlockView, CostView, View


class CandidatesView(View):
    """One choice: the candidate quantizers of a tensor of these layers."""

    name: str
    layers: tuple[str, ...]
    slot: str
    candidates: tuple[str, ...]


class WidthView(View):
    """One choice: the multipliers of the filters or units of these layers."""

    name: str
    layers: tuple[str, ...]
    multipliers: tuple[float, ...]


class InputView(View):
    """An input of the network, and what is done to its examples."""

    name: str
    shape: tuple[int, ...]
    preprocessing: str = Field(description="none, unit, centered or standard")
    preprocessing_reason: str = Field(description="named in the job, or what decided it")


class DataView(View):
    """The data, and how the search would split it."""

    input_shape: tuple[int, ...] = Field(description="of an example at the first input")
    inputs: tuple[InputView, ...] = Field((), description="all of them, in the network's order")
    classes: int | None = Field(description="None if the targets are numbers")
    train_samples: int
    validation_samples: int
    test_samples: int
    preprocessing: str = Field(
        "", description="what is done to the examples of the first input: none, unit, centered or standard"
    )
    preprocessing_reason: str = Field("", description="why: named in the job, or what decided it")
    notes: tuple[str, ...] = Field(
        (), description="which arrays are read as what, how parts are held out, and what weighs examples"
    )


class NormalizationView(View):
    """What becomes of a batch normalization in every trial."""

    layer: str
    treatment: Literal["folded", "quantized", "float"]
    into: str | None = Field(None, description="the layer it is folded into")
    reason: str = Field("", description="why it is not folded, or stays float, where the job says otherwise")
    reference_pj: float | None = Field(
        None, description="its energy in the reference; None where it is folded and costs nothing of its own"
    )
    cheapest_pj: float | None = Field(None, description="its energy in the cheapest trial; None as above")


class ExtremeView(View):
    """The network with the lowest or highest cost. `exact`: proven; otherwise, the best that was found."""

    choices: dict[str, Any] = Field(description="the oracle's choices: name -> quantizer or width")
    cost: CostView
    exact: bool


class FloatLayerView(View):
    """A layer with tensors that stay float in every trial, in the cheapest network of the search."""

    name: str
    class_name: str
    tensors: tuple[str, ...] = Field(description="input, output, and parameters by slot")
    energy_pj: float = Field(description="energy of the layer")
    share: float = Field(description="its share of the network's energy, 0 to 1")


class EstimateView(View):
    """Expected duration of the job, from earlier trials of the same model."""

    trial_s: float = Field(description="duration of one trial")
    job_s: float = Field(description="duration of the job with the live workers")
    workers: int = Field(description="live workers, at most parallel_trials and at least 1")
    based_on: int = Field(description="number of measured trials, whose median this is")
    same_data: bool = Field(description="whether these were trained on the same data")


class DryRun(View):
    """The search that a job describes; nothing is stored."""

    space_size: str
    trials: int = Field(description="trials that budget and space allow")
    cost_unit: str
    reference: CostView
    reference_values: dict[str, float] = Field({}, description=REFERENCE_VALUES)
    blocks: tuple[BlockView, ...] = Field((), description=BLOCKS)
    slots: tuple[CandidatesView, ...]
    widths: tuple[WidthView, ...]
    untouched: tuple[str, ...] = Field(description="layers that are not changed")
    normalizations: tuple[NormalizationView, ...] = Field(
        (), description="what becomes of each batch normalization, by `normalization` of the job"
    )
    inputs: dict[str, str] = Field(
        {}, description="input -> its quantizer in every trial; none: it stays float"
    )
    float_layers: tuple[FloatLayerView, ...] = Field(
        (), description="layers with tensors that stay float, and what they cost in the cheapest network"
    )
    cheapest: ExtremeView | None = Field(None, description="the network with the lowest cost")
    most_expensive: ExtremeView | None = Field(None, description="the network with the highest cost")
    estimate: EstimateView | None = Field(None, description="None if no trial of the model was measured yet")
    data: DataView
    exports: tuple[FormatView, ...] = Field(
        (), description="the formats that every trial can leave in, and which layers others refuse"
    )
    warnings: tuple[str, ...]

    @computed_field(description="as `most_expensive`", json_schema_extra=DEPRECATED)  # type: ignore[prop-decorator]
    @property
    def dearest(self) -> ExtremeView | None:
        """The name of `most_expensive` in 0.1."""
        return self.most_expensive
