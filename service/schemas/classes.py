"""Responses about what a trial gets right, class by class."""

from __future__ import annotations

from pydantic import Field

from service.schemas.jobs import View


class ByClassView(View):
    """Figures of each class, by its number."""

    examples: tuple[int, ...]
    recall: tuple[float | None, ...] = Field(description="share of its examples that are predicted right")
    precision: tuple[float | None, ...] = Field(description="share of its predictions that are right")
    f1: tuple[float | None, ...]
    iou: tuple[float | None, ...] = Field(description="intersection over union of examples and predictions")


class ClassMetricsView(View):
    """What a trial gets right on one part of the data; places of an output count as examples."""

    accuracy: float
    balanced_accuracy: float = Field(description="mean recall of the classes that have examples")
    macro_f1: float = Field(description="mean F1 of the classes that have examples or are predicted")
    iou: float | None = Field(None, description="mean of these classes' intersection over union")
    expected_calibration_error: float = Field(
        description="mean distance of confidence and accuracy over 15 bins of confidence, by examples"
    )
    by_class: ByClassView | None = None
    confusion: tuple[tuple[int, ...], ...] | None = Field(
        None, description="examples by true class (rows) and predicted class; null above 100 classes"
    )


class ClassReportView(View):
    """What a trial gets right, class by class; null where a part was not measured, or targets are numbers.

    `test` is that of the job's final report, which the best trial has; `final_validation` and `final_test` are those of
    a final training.
    """

    job_id: str
    number: int
    names: tuple[str, ...] = Field(
        (), description="of the classes, as an uploaded table or image folders named them"
    )
    validation: ClassMetricsView | None = None
    test: ClassMetricsView | None = None
    final_validation: ClassMetricsView | None = None
    final_test: ClassMetricsView | None = None
