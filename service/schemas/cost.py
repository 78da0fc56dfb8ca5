"""Costs of networks, and energy profiles. Energies are in picojoules (`*_pj`)."""

from __future__ import annotations

from typing import Any, Final

from pydantic import AliasChoices, ConfigDict, Field, computed_field

from service.schemas.jobs import DEPRECATED, View

#: The values of the search call it `what`.
_DESCRIPTION: Final = AliasChoices("description", "what")


class _Read(View):
    """A view that is made from a value of the search."""

    model_config = ConfigDict(from_attributes=True)


class LayerPriceView(_Read):
    """One layer's energy. `included_pj` is the sum of the parts in `included`; the other parts do not count."""

    name: str
    class_name: str
    output_shape: tuple[int, ...] = Field(description="without the batch dimension")
    quantizers: dict[str, str] = Field(description="slot -> quantizer")
    inputs_pj: float
    parameters_pj: float
    operations_pj: float
    outputs_pj: float
    included: tuple[str, ...]
    included_pj: float
    share: float = Field(description="share of the network's energy, 0 to 1")
    operation_count: int


class FigureView(_Read):
    """One cost."""

    value: float
    unit: str


class LineView(_Read):
    """One term of a layer's energy: `count` times `unit_pj` is `energy_pj`."""

    part: str
    description: str
    formula: str
    count: int
    unit_pj: float
    energy_pj: float
    included: bool
    source: str
    second_hand: bool

    @computed_field(description="as `description`", json_schema_extra=DEPRECATED)  # type: ignore[prop-decorator]
    @property
    def what(self) -> str:
        """The name of `description` in 0.1."""
        return self.description

    @computed_field(description="as `unit_pj`", json_schema_extra=DEPRECATED)  # type: ignore[prop-decorator]
    @property
    def each_pj(self) -> float:
        """The name of `unit_pj` in 0.1."""
        return self.unit_pj


class ExplanationView(_Read):
    """How one layer's energy was computed."""

    name: str
    class_name: str
    quantized: bool
    types: dict[str, str]
    operation_count: int
    lines: tuple[LineView, ...]
    included_pj: float
    share: float
    profile: str
    accounting: str
    qtools: str = Field(description="how QTools differs; empty if it does not")


class NetworkCostView(_Read):
    """The cost of one inference. `inputs_pj` ... `outputs_pj` are sums over the layers, of the parts that count."""

    model: str
    profile: str
    profile_title: str
    accounting: str
    quantized: bool = Field(description="false for the reference")
    energy_pj: float = Field(description="the parts that count")
    total_pj: float = Field(description="all parts of all layers")
    reference_pj: float = Field(description="energy of the unquantized model")
    inputs_pj: float
    parameters_pj: float
    operations_pj: float
    outputs_pj: float
    layers: tuple[LayerPriceView, ...]
    costs: dict[str, FigureView]
    second_hand: tuple[str, ...] = Field(
        description="tables of the profile that were not checked against their source"
    )
    explanation: ExplanationView | None = None
    types: dict[str, Any] | None = Field(
        None, description="data type of every tensor, with the fields of QTools"
    )


class ProfileFigureView(_Read):
    """One table of a profile, at a few sizes."""

    table: str
    description: str = Field(validation_alias=_DESCRIPTION)
    prices_pj: dict[str, float]
    source: str
    second_hand: bool = Field(description="not checked against the cited source")

    @computed_field(description="as `description`", json_schema_extra=DEPRECATED)  # type: ignore[prop-decorator]
    @property
    def what(self) -> str:
        """The name of `description` in 0.1."""
        return self.description


class ProfileView(_Read):
    """An energy profile."""

    name: str
    title: str
    process_nm: float
    accounting: str = Field(description="default accounting under this profile")
    second_hand: tuple[str, ...] = Field(description="tables that were not checked against their source")
    figures: tuple[ProfileFigureView, ...]


class ProfileList(View):
    """The energy profiles that are part of fewbits."""

    items: tuple[ProfileView, ...]
