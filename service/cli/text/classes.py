"""What a trial gets right, class by class, as text."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from service.cli.text.tables import new_table
from service.schemas.classes import ByClassView, ClassMetricsView, ClassReportView

#: Part of a report -> its title, those that are most worth looking at first.
PARTS = {
    "final_test": "test data, final training",
    "test": "test data",
    "final_validation": "validation data, final training",
    "validation": "validation data",
}


def class_report(view: ClassReportView, part: str | None, *, confusion: bool) -> RenderableType:
    """The figures of all parts in a line each, and those of each class on one: `part`, or the first of `PARTS`."""
    measured = {name: metrics for name in PARTS if (metrics := getattr(view, name)) is not None}
    if not measured:
        return Text(f"trial {view.number} predicts no class numbers")
    lines = [Text(f"{PARTS[name]}: {summary(metrics)}") for name, metrics in measured.items()]
    chosen = part or next(iter(measured))
    if chosen not in measured:
        return Group(*lines, Text(f"trial {view.number} was not measured on {PARTS[chosen]}", style="yellow"))
    metrics = measured[chosen]
    tables: list[RenderableType] = []
    if metrics.by_class is not None:
        tables += [Text(f"classes, {PARTS[chosen]}:"), _by_class(metrics.by_class, view.names)]
    if confusion and metrics.confusion is not None:
        title = Text(f"true class (rows) by predicted class, {PARTS[chosen]}:")
        tables += [title, _confusion(metrics.confusion, view.names)]
    return Group(*lines, *tables)


def summary(metrics: ClassMetricsView) -> str:
    """The figures of all classes together."""
    figures = {
        "accuracy": metrics.accuracy,
        "balanced accuracy": metrics.balanced_accuracy,
        "macro F1": metrics.macro_f1,
        "mean IoU": metrics.iou,
        "calibration error": metrics.expected_calibration_error,
    }
    return ", ".join(f"{name} {value:.4f}" for name, value in figures.items() if value is not None)


def class_name(number: int, names: Sequence[str]) -> str:
    """A class by its number, and its name if it has one."""
    return f"{number} {names[number]}" if number < len(names) else str(number)


def _by_class(figures: ByClassView, names: Sequence[str]) -> RenderableType:
    table = new_table("class", ">examples", ">recall", ">precision", ">F1", ">IoU")
    columns = (figures.recall, figures.precision, figures.f1, figures.iou)
    for number, (examples, *shares) in enumerate(zip(figures.examples, *columns, strict=True)):
        cells = ("-" if share is None else f"{share:.4f}" for share in shares)
        table.add_row(Text(class_name(number, names)), f"{examples:,}", *cells)
    return table


def _confusion(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> RenderableType:
    columns = [f">{number}" for number in range(len(confusion))]
    table = new_table("true", *columns)
    for number, row in enumerate(confusion):
        table.add_row(Text(class_name(number, names)), *(f"{count:,}" if count else "." for count in row))
    return table
