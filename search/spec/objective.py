"""The metric that a search optimises beside the cost: its direction, and the output that it is measured at.

Plain Pydantic. Names and directions are here; `search.training.metrics` and `search.training.losses` compute them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from search.spec.base import Frozen

#: max: a larger metric is better; min: a smaller one.
Direction = Literal["max", "min"]
MAXIMIZE: Final = "max"
MINIMIZE: Final = "min"

#: What targets are: one class number per example, or numbers of the shape of the output.
Labels = Literal["classes", "values"]

MetricName = Literal[
    "accuracy",
    "top_2",
    "top_3",
    "top_5",
    "macro_f1",
    "balanced_accuracy",
    "iou",
    "crossentropy",
    "auc",
    "precision",
    "recall",
    "f1",
    "mse",
    "rmse",
    "mae",
    "mape",
    "msle",
    "log_cosh",
    "poisson",
    "kl_divergence",
    "binary_crossentropy",
    "cosine_similarity",
    "r2",
]

LossName = Literal[
    "crossentropy",
    "binary_crossentropy",
    "mse",
    "mae",
    "mape",
    "msle",
    "huber",
    "log_cosh",
    "poisson",
    "kl_divergence",
    "cosine_similarity",
]


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """Properties of a metric."""

    direction: Direction
    labels: Labels
    best: float | None  #: the best possible value; None: there is no bound
    is_share: bool = False  #: between 0 and 1, shown in percent
    two_classes: bool = False  #: defined only for networks with one score


_SHARE: Final = MetricInfo("max", "classes", 1.0, is_share=True)
_OF_TWO: Final = MetricInfo("max", "classes", 1.0, is_share=True, two_classes=True)
_ERROR: Final = MetricInfo("min", "values", 0.0)

METRICS: Final[Mapping[str, MetricInfo]] = {
    "accuracy": _SHARE,
    "top_2": _SHARE,
    "top_3": _SHARE,
    "top_5": _SHARE,
    "macro_f1": _SHARE,
    "balanced_accuracy": _SHARE,
    "iou": _SHARE,
    "crossentropy": MetricInfo("min", "classes", 0.0),
    "auc": _OF_TWO,
    "precision": _OF_TWO,
    "recall": _OF_TWO,
    "f1": _OF_TWO,
    "mse": _ERROR,
    "rmse": _ERROR,
    "mae": _ERROR,
    "mape": _ERROR,
    "msle": _ERROR,
    "log_cosh": _ERROR,
    "poisson": MetricInfo("min", "values", None),
    "kl_divergence": MetricInfo("min", "values", None),
    "binary_crossentropy": MetricInfo("min", "values", 0.0),
    "cosine_similarity": MetricInfo("max", "values", 1.0),
    "r2": MetricInfo("max", "values", 1.0),
}

#: Loss -> the labels that it needs.
LOSSES: Final[Mapping[str, Labels]] = {
    name: "classes" if name == "crossentropy" else "values" for name in get_args(LossName)
}


class Objective(Frozen):
    """The metric a search optimises, measured on the validation data."""

    metric: MetricName = Field(
        "accuracy",
        description="metric on the validation data. accuracy to f1 are for class numbers, mse and the following for"
        " numeric targets",
    )
    direction: Direction = Field(
        "max", description="max or min, as the metric requires; left out: filled in from the metric"
    )
    output: str | None = Field(
        None,
        max_length=200,
        description="layer of the output that is measured; required for a model with several outputs",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_direction(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or value.get("direction") is not None:
            return value
        info = METRICS.get(str(value.get("metric", "accuracy")))
        others = {name: field for name, field in value.items() if name != "direction"}
        return others if info is None else {**others, "direction": info.direction}

    @model_validator(mode="after")
    def _direction_fits_metric(self) -> Objective:
        if self.direction != self.info.direction:
            better = "larger" if self.info.direction == MAXIMIZE else "smaller"
            raise ValueError(
                f"{self.metric} is better when {better}: direction must be {self.info.direction}"
            )
        return self

    @property
    def info(self) -> MetricInfo:
        """Properties of the metric."""
        return METRICS[self.metric]


def _metric_name(value: Any) -> Any:
    return {"metric": value} if isinstance(value, str) else value


#: A bare string selects that metric with its direction.
ObjectiveSpec = Annotated[Objective, BeforeValidator(_metric_name, json_schema_input_type=str | Objective)]
