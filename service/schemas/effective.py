"""What trained weights cost, as a response."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class EffectiveCostView(BaseModel):
    """What an inference costs with the trained weights, which use fewer bits than their types have."""

    model_config = ConfigDict(frozen=True)

    ebops: float
    bits: int
    energy_pj: float
