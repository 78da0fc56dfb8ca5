"""Tables of trials show costs in the unit of the job."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from service.cli.text.trials import point_table, trial_table
from service.schemas.jobs import PointView

POINT = PointView(number=3, score=0.5, metric=0.25, cost=1200, energy_pj=2500, bits=4096)


def text(table: Any) -> str:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def job(unit: str) -> Any:
    return SimpleNamespace(
        cost_unit=unit, metric_name="accuracy", metric_is_share=True, reference_cost=2400.0
    )


@pytest.mark.parametrize(
    ("unit", "columns", "values"),
    [
        ("energy_pj", ["energy", "of reference", "bits"], ["1.2 nJ", "50.00 %", "4,096"]),
        ("bits", ["bits", "of reference", "energy"], ["1,200 bits", "50.00 %", "2.5 nJ"]),
        ("ebops", ["ebops", "of reference", "energy", "bits"], ["1,200 EBOPs", "50.00 %", "2.5 nJ", "4,096"]),
    ],
)
def test_measured_trials(unit: str, columns: list[str], values: list[str]) -> None:
    lines = text(point_table(job(unit), [POINT], "Best"))
    for words in (columns, values):
        places = [lines.index(word) for word in words]
        assert places == sorted(places)


def test_trials_of_any_status() -> None:
    trial: Any = SimpleNamespace(
        number=1, status="done", score=1.0, metric=0.9, cost=77.0, epochs_done=2, reason=""
    )
    assert "77 EBOPs" in text(trial_table([trial], "ebops"))
    assert "ebops" in text(trial_table([trial], "ebops"))
