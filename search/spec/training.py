"""How trials are trained, as a job states it. Plain pydantic."""

from __future__ import annotations

import math
from typing import Any, Final, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from search.spec.base import Frozen
from search.spec.objective import LossName

#: Steps of a range of learning rates: ten to a factor of 1000 are a factor of 2 apart.
DEFAULT_STEPS: Final = 10

#: Digits of a rate inside a range.
_DIGITS: Final = 6


class LearningRates(Frozen):
    """Learning rates to choose from: a list, or a range that is cut into `steps` rates from `min` to `max`.

    A range is searched on this grid by every oracle, so that spaces have a size and repeats can be told.
    """

    choices: tuple[float, ...] | None = Field(None, min_length=1, max_length=100)
    min: float | None = Field(None, gt=0, le=10)
    max: float | None = Field(None, gt=0, le=10)
    sampling: Literal["log", "linear"] = Field("log", description="log: equal factors between the rates")
    steps: int = Field(DEFAULT_STEPS, ge=2, le=100)

    @field_validator("choices")
    @classmethod
    def _are_rates(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        strange = [rate for rate in value or () if not 0 < rate <= 10]
        if strange:
            raise ValueError(f"a learning rate lies between 0 and 10; {strange[0]:g} does not")
        if value is not None and len(set(value)) < len(value):
            raise ValueError("a learning rate is listed more than once")
        return value

    @model_validator(mode="after")
    def _one_form(self) -> LearningRates:
        ends = (self.min, self.max)
        if (self.choices is None) == (ends == (None, None)):
            raise ValueError("give either choices, or min and max")
        if self.choices is None and None in ends:
            raise ValueError("a range needs both min and max")
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError("min must be below max")
        return self

    def labels(self) -> tuple[float, ...]:
        """The rates, in order; the ends of a range exactly, those between to six digits."""
        if self.choices is not None:
            return self.choices
        assert self.min is not None and self.max is not None  # noqa: PT018 -- one fact: it is a range
        space = np.geomspace if self.sampling == "log" else np.linspace
        inner = [float(f"{rate:.{_DIGITS}g}") for rate in space(self.min, self.max, self.steps)[1:-1]]
        return tuple(dict.fromkeys([self.min, *inner, self.max]))


class Training(Frozen):
    """How each trial is trained."""

    epochs: int = Field(10, ge=1, le=10_000)
    batch_size: int = Field(64, ge=1, le=1_000_000)
    optimizer: Literal["adam", "adamw", "nadam", "rmsprop", "sgd"] = "adam"
    learning_rate: float | LearningRates = Field(
        1e-3, description="a number; {choices: [...]} or {min, max, sampling: log, steps: 10}: searched, too"
    )
    decay: Literal["none", "cosine"] = Field(
        "none",
        description="cosine: the learning rate falls from epoch to epoch along half a cosine, to almost nothing in the"
        " last one",
    )
    loss: LossName | Literal["auto"] | dict[str, LossName] = Field(
        "auto",
        description="auto: crossentropy for class numbers; for numbers as targets the metric if it is a loss, else mse."
        " Of several outputs: layer of the output -> loss",
    )
    loss_weights: dict[str, float] = Field(
        {},
        max_length=100,
        description="of several outputs: layer of the output -> weight of its loss, default 1",
    )
    start: Literal["scratch", "float", "calibrated"] = Field(
        "scratch",
        description="float: from the weights of the float model, trained once by the same recipe; where a width is"
        " smaller, from its filters of the largest magnitude. calibrated: the same, fitted to the quantizers on"
        " training data before the first step",
    )
    executions: int = Field(
        1,
        ge=1,
        le=100,
        description="trainings of each trial from different seeds; the metric is their mean, the model kept is that of"
        " the best of them",
    )

    def rate_share(self, epoch: int, epochs: int) -> float:
        """The share of the learning rate that an epoch (from 0) of a training of so many epochs learns at.

        Half a cosine without restarts (Loshchilov and Hutter, arXiv 1608.03983), one step an epoch.
        """
        if self.decay == "none":
            return 1.0
        return 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))

    @field_validator("learning_rate")
    @classmethod
    def _is_a_rate(cls, value: Any) -> Any:
        if isinstance(value, float) and not 0 < value <= 10:
            raise ValueError("a learning rate lies between 0 and 10")
        return value

    @field_validator("loss_weights")
    @classmethod
    def _are_weights(cls, value: dict[str, float]) -> dict[str, float]:
        if any(weight < 0 for weight in value.values()):
            raise ValueError("weights of losses are at least 0")
        return value

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates to choose from; one where it is not searched."""
        rate = self.learning_rate
        return rate.labels() if isinstance(rate, LearningRates) else (rate,)

    @property
    def base_rate(self) -> float:
        """The learning rate of a network that chose none (the float model): the middle one of those to choose from."""
        ordered = sorted(self.rates)
        return ordered[len(ordered) // 2]
