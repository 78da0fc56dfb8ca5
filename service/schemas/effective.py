"""What trained weights cost, as a response."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EffectiveCostView(BaseModel):
    """What an inference costs with the trained weights, which use fewer bits than their types have."""

    model_config = ConfigDict(frozen=True)

    ebops: float
    bits: int
    energy_pj: float


class TrainedCosts(BaseModel):
    """Part of a trial: its costs with the trained weights."""

    effective: dict[str, EffectiveCostView] = Field(
        {},
        description="by weights that share a width (weight, channel, tensor): the cost with the bits that the trained"
        " weights use; empty before that, and for trials of earlier versions",
    )
