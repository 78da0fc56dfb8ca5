"""The model and the space of a spiking job. Plain Pydantic.

`model: {kind: xylo, ...}` makes a job a spiking one: nothing is trained, each trial quantizes a float network one way
and is measured by the integer simulator (docs/how-to/spiking.md).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from search.spec.base import Frozen

#: How floats become integers: one scale per population, the same with a range that clips outliers, or one per neuron.
Method = Literal["global", "global_fuzzy", "channel"]

_WeightBits = Annotated[int, Field(ge=2, le=8)]
_ThresholdBits = Annotated[int, Field(ge=2, le=16)]


class XyloModel(Frozen):
    """A spiking network in floats, as the arrays of a Xylo specification. Give either `name` or `file`."""

    kind: Literal["xylo"] = "xylo"
    name: Literal["spiking_digits"] | None = Field(None, description="a network that ships with fewbits")
    file: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="a .npz file in the server's data folder (FEWBITS_DATA_DIR)",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> XyloModel:
        if (self.name is None) == (self.file is None):
            raise ValueError("give either the name of a network that ships with fewbits or a file")
        return self


class SpikingSpace(Frozen):
    """The space of a spiking job."""

    methods: tuple[Method, ...] = Field(
        ("global", "global_fuzzy", "channel"),
        min_length=1,
        max_length=3,
        description="how floats become integers. global: one scale per population; global_fuzzy: the same, outliers are"
        " clipped; channel: one scale per neuron",
    )
    bits_per_weight: tuple[_WeightBits, ...] = Field(
        (2, 3, 4, 5, 6, 7, 8), min_length=1, max_length=7, description="bits of a weight to choose from"
    )
    bits_per_threshold: tuple[_ThresholdBits, ...] = Field(
        (8, 10, 12, 14, 16), min_length=1, max_length=15, description="bits of a threshold to choose from"
    )

    @model_validator(mode="after")
    def _values_differ(self) -> SpikingSpace:
        for name in ("methods", "bits_per_weight", "bits_per_threshold"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} lists a value more than once")
        return self
