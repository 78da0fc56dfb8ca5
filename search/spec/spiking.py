"""A search over the quantization of a spiking network, as its user states it. Plain pydantic.

`model: {kind: xylo, ...}` makes a job a spiking one: nothing is trained, each trial is one way to make integers of a
float specification, and is measured by the integer simulator (docs/how-to/spiking.md).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from search.spec.base import Frozen

#: How integers are made: one factor a population, the same with a range that clips outliers, or one a neuron.
Method = Literal["global", "global_fuzzy", "channel"]

_WeightBits = Annotated[int, Field(ge=2, le=8)]
_ThresholdBits = Annotated[int, Field(ge=2, le=16)]


class XyloModel(Frozen):
    """A spiking network in floats, as arrays of a Xylo specification: one that ships with fewbits, or a file."""

    kind: Literal["xylo"] = "xylo"
    name: Literal["spiking_digits"] | None = Field(None, description="a network that ships with fewbits")
    file: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="a .npz in the server's data folder (FEWBITS_DATA_DIR)",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> XyloModel:
        if (self.name is None) == (self.file is None):
            raise ValueError("give either the name of a network that ships with fewbits or a file")
        return self


class SpikingSpace(Frozen):
    """What is searched: how integers are made, and how wide weights and thresholds are."""

    methods: tuple[Method, ...] = Field(("global", "global_fuzzy", "channel"), min_length=1, max_length=3)
    bits_per_weight: tuple[_WeightBits, ...] = Field((2, 3, 4, 5, 6, 7, 8), min_length=1, max_length=7)
    bits_per_threshold: tuple[_ThresholdBits, ...] = Field((8, 10, 12, 14, 16), min_length=1, max_length=15)

    @model_validator(mode="after")
    def _each_once(self) -> SpikingSpace:
        for name in ("methods", "bits_per_weight", "bits_per_threshold"):
            given = getattr(self, name)
            if len(set(given)) < len(given):
                raise ValueError(f"{name} names a value more than once")
        return self
