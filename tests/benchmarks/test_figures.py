"""The figures that the documentation quotes are those of recorded runs."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from benchmarks import figures, readme
from benchmarks.figures import Run

RUNS = [
    Run(42, 574_000.0, 10_000.0, 0.97, 0.96, 0.98, 60.0),
    Run(43, 574_000.0, 12_000.0, 0.98, 0.97, 0.99, 120.0),
]


def recorded(runs: list[Run]) -> dict[str, object]:
    return {
        "groups": {
            "commit": "abc",
            "date": "2026-11-30",
            "machine": "-",
            "runs": [asdict(one) for one in runs],
        }
    }


def test_every_table_in_the_documentation_is_that_of_the_record() -> None:
    assert figures.stale_pages(figures.read_record()) == []


@pytest.mark.parametrize("name", figures.read_record())
def test_what_is_recorded_has_at_least_three_seeds_and_says_where_it_is_from(name: str) -> None:
    entry = figures.read_record()[name]
    assert len({run["seed"] for run in entry["runs"]}) >= 3
    assert entry["commit"]
    assert entry["date"]


def test_a_table_has_mean_deviation_and_the_least_time() -> None:
    row = figures.table(["groups", "blocks"], recorded(RUNS)).splitlines()[2]

    assert row == (
        "| groups, 40 trials | 2 | 574.0 nJ | 11.00 ± 1.41 nJ | 97.50 ± 0.71 % | 96.50 ± 0.71 % | 98.50 ± 0.71 %"
        " | 1.0 min |"
    )


def test_a_page_with_other_figures_is_stale() -> None:
    page = figures.NOTEBOOK
    text = (figures.ROOT / page).read_text()

    written = figures.rendered(text, page, recorded(RUNS))
    assert written != text
    assert figures.rendered(written, page, recorded(RUNS)) == written


def test_a_second_run_may_differ_by_rounding_only() -> None:
    assert figures.differences(RUNS[0], replace(RUNS[0], test=0.964)) == []
    again = replace(RUNS[0], energy_pj=10_000.1, test_after_more=None)
    assert len(figures.differences(RUNS[0], again)) == 2


def test_the_table_of_the_readme_is_that_of_the_records() -> None:
    text = (figures.ROOT / "README.md").read_text()
    assert readme.rendered(text, figures.read_record()) == text
    assert len(text.splitlines()) <= 120


def test_another_record_changes_the_table_of_the_readme() -> None:
    record = figures.read_record()
    worse = {"runs": [{**run, "validation": 0.5} for run in record[readme.FLOAT]["runs"]]}
    assert "| 50.0 ± 0.0 % |" in readme.table(record | {readme.FLOAT: worse})
