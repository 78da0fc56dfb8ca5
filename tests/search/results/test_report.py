"""What a report tells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from costmodel.layer_energy import LayerEnergy
from search.history import Assignment, Cost, Measurement, TrialRecord, TrialStatus
from search.plan import Plan
from search.results.report import build_report, with_test
from search.results.test_looks import Look, LookKind
from search.spec.job import SearchSpec
from tests.search.searches import Search

DENSE = LayerEnergy("dense", "Dense", 1.0, 2.0, 3.0, 4.0, ("parameters", "operations"))
COST = Cost(250.0, 250.0, 4000, (DENSE,))
REFERENCE = Cost(1000.0, 1000.0, 32000)
MEASUREMENT = Measurement(0.75, 0.5, COST, {"train": 1.5}, best_epoch=1)
VERSIONS = {"python": "3.11.7", "keras": "3.15.1"}


@pytest.fixture
def assignment(small_plan: Plan) -> Assignment:
    [proposed] = Search(small_plan.spec, small_plan.choices).propose(1).trials
    return proposed.assignment


@pytest.fixture
def report(small_plan: Plan, assignment: Assignment) -> dict[str, Any]:
    record = TrialRecord(7, assignment, TrialStatus.DONE, metric=0.75, cost=250.0)
    return build_report(small_plan.spec, record, MEASUREMENT, REFERENCE, seed=99, versions=VERSIONS)


def test_a_report_is_json(report: dict[str, Any]) -> None:
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_two_halvings_forgive_twice_the_percentage(report: dict[str, Any]) -> None:
    assert report["factor"] == pytest.approx(1.16)
    assert report["score"] == pytest.approx(0.75 * 1.16)


def test_metric_and_cost_stand_apart(report: dict[str, Any]) -> None:
    assert report["validation"] == {"metric": 0.75, "loss": 0.5}
    assert (report["cost"]["energy_pj"], report["cost"]["bits"]) == (250.0, 4000)
    assert report["reference"]["value"] == 1000.0


def test_the_energy_is_broken_down_by_layer(report: dict[str, Any]) -> None:
    assert report["cost"]["layers"] == [
        {
            "name": "dense",
            "class_name": "Dense",
            "inputs_pj": 1.0,
            "outputs_pj": 2.0,
            "parameters_pj": 3.0,
            "operations_pj": 4.0,
            "included": ["parameters", "operations"],
            "included_pj": 7.0,
            "counted_pj": 7.0,
        }
    ]


def test_the_test_part_is_untouched_until_the_end(report: dict[str, Any]) -> None:
    assert report["test"] is None


def test_the_final_report_tells_the_test_metric(small_plan: Plan, assignment: Assignment) -> None:
    record = TrialRecord(0, assignment, TrialStatus.DONE)
    begun = build_report(small_plan.spec, record, MEASUREMENT, REFERENCE, seed=1, versions={})
    final = with_test(
        begun, {"metric": 0.5, "loss": 1.0}, Look(3, 0, LookKind.FINAL_TRAINING, optimistic=True)
    )
    assert final["test"] == {
        "metric": 0.5,
        "loss": 1.0,
        "look": 3,
        "optimistic": True,
        "note": "3rd look at the test data: the figure is optimistic",
    }
    assert {**final, "test": None} == begun


def test_the_trial_can_be_run_again_from_its_report(
    report: dict[str, Any], small_plan: Plan, assignment: Assignment
) -> None:
    written = json.loads(json.dumps(report))["configuration"]
    assert SearchSpec.model_validate(written["spec"]) == small_plan.spec
    assert Assignment.from_json(written["assignment"]) == assignment


def test_seeds_and_versions_are_told(report: dict[str, Any]) -> None:
    assert report["seeds"] == {"job": 3, "trial": 99}
    assert list(report["versions"]) == ["keras", "python"]
