"""The benchmark of the dashboard: what a run measures, and that a missed target ends it with a failure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import dashboard
from benchmarks.dashboard import Figure, Plan

SIZES = tuple(dashboard.SIZES.values())


def test_the_full_run_repeats_and_opens_the_peer_for_every_size() -> None:
    plan = Plan(False, SIZES, dashboard.PARTS, Path("python"))
    assert plan.repeats == 5
    assert [plan.peer_repeats(size) for size in SIZES] == [5, 2, 1]
    quick = Plan(True, SIZES, dashboard.PARTS, Path("python"))
    assert quick.repeats == 1
    assert [quick.peer_repeats(size) for size in SIZES] == [1, 0, 0]
    assert Plan(False, SIZES, ("own",), Path("python")).peer_repeats(1_000) == 0
    assert Plan(False, SIZES, dashboard.PARTS, None).peer_repeats(1_000) == 0


@pytest.mark.parametrize(("value", "code"), [(0.9, 0), (1.1, 1)])
def test_a_missed_target_ends_a_check_with_1(
    value: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plans: list[Plan] = []

    def measured(plan: Plan) -> Iterator[Figure]:
        plans.append(plan)
        yield Figure("fewbits", 1_000, "first chart", value, "s", 1.0)
        yield Figure("optuna-dashboard", 1_000, "first chart", 27.0, "s", None)

    monkeypatch.setattr(dashboard, "measure", measured)
    arguments = ["--sizes", "1000", "--parts", "own", "live", "--json"]
    assert dashboard.main([*arguments, "--check"]) == code
    assert dashboard.main(arguments) == 0
    assert (plans[0].sizes, plans[0].parts, plans[0].is_quick) == ((1_000,), ("own", "live"), False)
    assert json.loads(capsys.readouterr().out.split("\n]\n")[0] + "\n]")[0]["value"] == value
