"""What the service says about costs, as values. Energies are picojoules (`*_pj`)."""

from __future__ import annotations

from typing import Any, Final

from pydantic import AliasChoices, ConfigDict, Field, computed_field

from service.schemas.jobs import DEPRECATED, View

#: The values of the search call it `what`.
_DESCRIPTION: Final = AliasChoices("description", "what")


class _Read(View):
    """A view of a value of the search."""

    model_config = ConfigDict(from_attributes=True)


class LayerPriceView(_Read):
    """One layer's energy. The parts named in `included` make up `included_pj`; the others happen on the way."""

    name: str
    class_name: str
    output_shape: tuple[int, ...] = Field(description="without the batch")
    quantizers: dict[str, str] = Field(description="slot -> quantizer, where there is one")
    inputs_pj: float
    parameters_pj: float
    operations_pj: float
    outputs_pj: float
    included: tuple[str, ...]
    included_pj: float
    share: float = Field(description="of the network's energy, 0 to 1")
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
    """Everything one layer's energy was computed from."""

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
    qtools: str = Field(description="how QTools differs, empty if it does not")


class NetworkCostView(_Read):
    """What one inference costs. `inputs_pj` ... `outputs_pj` are sums over the layers of what counts."""

    model: str
    profile: str
    profile_title: str
    accounting: str
    quantized: bool = Field(description="false: this is the reference")
    energy_pj: float = Field(description="what counts")
    total_pj: float = Field(description="all parts of all layers")
    reference_pj: float = Field(description="energy of the model with nothing quantized")
    inputs_pj: float
    parameters_pj: float
    operations_pj: float
    outputs_pj: float
    layers: tuple[LayerPriceView, ...]
    costs: dict[str, FigureView]
    second_hand: tuple[str, ...] = Field(description="tables of the profile not checked against their source")
    explanation: ExplanationView | None = None
    types: dict[str, Any] | None = Field(None, description="data type of every tensor, in QTools' fields")


class ProfileFigureView(_Read):
    """One table of a profile, read off at a few sizes."""

    table: str
    description: str = Field(validation_alias=_DESCRIPTION)
    prices_pj: dict[str, float]
    source: str
    second_hand: bool = Field(description="not checked against the cited source itself")

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
    accounting: str = Field(description="how networks are counted under it unless told otherwise")
    second_hand: tuple[str, ...] = Field(description="tables not checked against their source")
    figures: tuple[ProfileFigureView, ...]


class ProfileList(View):
    """The energy profiles that come with fewbits."""

    items: tuple[ProfileView, ...]
