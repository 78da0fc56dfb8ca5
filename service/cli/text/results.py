"""Analyses and final trainings as text."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search.results.final_training import FinalStatus
from search.trial_files import FINAL_PREFIX
from service.cli.text.numbers import percent
from service.schemas.analysis import AnalysisView, ChoiceEffectView, SensitivityView
from service.schemas.final_training import FinalView


def analysis_table(analysis: AnalysisView) -> RenderableType:
    """What a search has learned: its front, and its choices by decreasing importance."""
    knee = "none yet" if analysis.knee is None else f"trial {analysis.knee}"
    metric = analysis.metric
    lines = [
        f"{analysis.trials} measured trials; the front dominates {percent(analysis.hypervolume)} of its box; "
        f"knee: {knee}",
        f"the effects below explain {percent(analysis.explained)} of the variance of {metric}, "
        f"{percent(analysis.cost_explained)} of that of log2 {analysis.cost_unit}",
    ]
    table = Table("choice", "importance", "for the cost", f"{metric} per bit", "cost per bit", box=None)
    for choice in sorted(analysis.choices, key=lambda effect: -effect.importance):
        table.add_row(*_row(choice))
    measured = analysis.measured_sensitivity
    return Group(*map(Text, lines), table, *([] if measured is None else _sensitivity(measured)))


def _sensitivity(measured: SensitivityView) -> list[RenderableType]:
    """What each candidate alone does to the float model, in the order of the choices."""
    line = (
        f"measured on {measured.examples} examples before the first trial: how far the outputs of the float model"
        f" (metric {measured.metric:.4f}) diverge if one choice is made and all else stays float"
    )
    table = Table("choice", "candidate: divergence", box=None)
    for name, divergences in measured.divergences.items():
        cells = (f"{label}: {value:.4f}" for label, value in divergences.items())
        table.add_row(Text(name), Text(", ".join(cells)))
    return [Text(line), table]


def _row(choice: ChoiceEffectView) -> tuple[Text, ...]:
    slope = "-" if choice.sensitivity is None else f"{choice.sensitivity:+.4f}"
    factor = "-" if choice.cost_sensitivity is None else f"x{2**choice.cost_sensitivity:.3f}"
    cells = (choice.name, percent(choice.importance), percent(choice.cost_importance), slope, factor)
    return tuple(map(Text, cells))


def final_training_line(view: FinalView) -> RenderableType:
    """A final training in one line."""
    how = "" if view.distill is None else " with the float model as teacher"
    line = f"trial {view.number}: final training of {view.epochs} epochs{how} {view.status}"
    if view.status is FinalStatus.DONE and view.metric is not None and view.test_metric is not None:
        line += f"; validation {view.metric:.4f}, test {view.test_metric:.4f}"
        line += "" if view.test_look is None else f" ({view.test_look.note})"
        line += f"; its files are named {FINAL_PREFIX}..."
    elif view.status is FinalStatus.RUNNING:
        line += f", {view.epochs_done} epochs done"
    return Text(line if view.reason is None else f"{line}: {view.reason}")
