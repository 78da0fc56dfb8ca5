"""How a training learns from the float model. Plain: the client reads it."""

from __future__ import annotations

from pydantic import Field

from search.spec.base import Frozen


class Distillation(Frozen):
    """Learning from the float model, whose outputs for the training examples are computed once."""

    temperature: float = Field(
        4.0,
        gt=0,
        le=100,
        description="the log-probabilities of both models are divided by it: the larger, the more the unlikely classes"
        " count; without effect on numeric targets",
    )
    share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of the distance to the float model in the loss; the targets have the rest",
    )
