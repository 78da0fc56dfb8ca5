"""A job as a whole, checked against its model and data: every fault is found, every warning said."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from search.errors import InvalidSpec
from search.plan import Plan
from search.plans.kinds import JOB_KINDS, job_kind, plan
from search.spec.job import Model, SearchSpec

SMALL: dict[str, Any] = {
    "model": "digits_cnn",
    "limits": {"by_class": {"Conv2D": [4, 8, 4], "Dense": [8, 8, 4], "Activation": [4]}},
}


def planned_job(**changes: Any) -> Plan:
    return plan(SearchSpec.model_validate(SMALL | changes), Path("/nowhere"))


def pointers(**changes: Any) -> set[str]:
    with pytest.raises(InvalidSpec) as caught:
        planned_job(**changes)
    return {problem.pointer for problem in caught.value.problems}


def test_every_kind_of_model_has_a_kind_of_job() -> None:
    models = get_args(get_args(Model)[0])
    assert set(JOB_KINDS) == {model.model_fields["kind"].default for model in models}


def test_the_space_of_a_job_is_that_of_its_plan() -> None:
    for document in (SMALL, {"model": {"kind": "xylo", "name": "spiking_digits"}, "data": "spiking_digits"}):
        planned = plan(SearchSpec.model_validate(document), Path("/nowhere"))
        space = job_kind(planned.spec).choices(planned.spec, planned.job.model)
        assert space.dimensions() == planned.choices.dimensions()


def test_a_plan_knows_what_the_reference_costs() -> None:
    planned = planned_job(goal={"kind": "energy", "profile": "horowitz-qkeras"})
    assert planned.reference.value == planned.reference.energy_pj > 0
    assert planned_job(goal={"kind": "bits"}).reference.value == planned.reference.bits


@pytest.mark.parametrize("kind", ["bytes", "macs", "bops", "ebops", "peak_activation_bits"])
def test_a_goal_may_name_any_cost(kind: str) -> None:
    planned = planned_job(goal={"kind": kind}, filters={"by": "layer", "exceptions": ["dense"]})
    small = {name: labels[0] for name, labels in planned.choices.dimensions().items()}
    assignment = planned.choices.assignment(small)
    cost = planned.pricer.price(assignment)
    assert 0 < cost.value < planned.reference.value
    assert planned.pricer.price_many([assignment]) == [cost.value]
    assert cost.energy_pj > 0


def test_faults_of_limits_and_data_and_goal_are_found_together() -> None:
    faulty = pointers(
        limits={"by_name": {"nothing": [4]}, "by_class": {"Dense": [8]}},
        data={"kind": "npz", "file": "missing.npz"},
        goal={"kind": "energy", "profile": "no such table"},
    )
    assert any(pointer.startswith("/limits/by_name") for pointer in faulty)
    assert any(pointer.startswith("/data") for pointer in faulty)
    assert any(pointer.startswith("/goal") for pointer in faulty)


def test_an_unknown_network_is_named() -> None:
    assert pointers(model="resnet50") == {"/model/name"}


def test_a_space_smaller_than_the_budget_is_a_warning() -> None:
    planned = planned_job(
        limits={"by_name": {"dense": {"kernel": ["binary"], "bias": 4}}}, budget={"trials": 99}
    )
    assert any("only 2 assignments" in warning for warning in planned.warnings)


def test_a_bayesian_search_shorter_than_its_random_start_is_a_warning() -> None:
    planned = planned_job(oracle={"kind": "bayesian", "num_initial_points": 50}, budget={"trials": 10})
    assert any("random" in warning for warning in planned.warnings)


def test_a_target_refuses_what_it_cannot_run() -> None:
    faulty = pointers(target="akida", quantizers={"kernel": ["binary", "quantized_po2(4,1)"]})
    assert any(pointer.startswith("/quantizers") for pointer in faulty)


def test_stages_follow_the_blocks() -> None:
    planned = planned_job(schedule={"kind": "per_block", "blocks": [".*_0", ".*_1|dense"]})
    assert [stage.name for stage in planned.stages] == [".*_0", ".*_1|dense"]
    assert sum(stage.trials for stage in planned.stages) == planned.spec.budget.trials


def test_a_stress_that_the_profile_ignores_is_a_warning() -> None:
    planned = planned_job(goal={"kind": "energy", "profile": "horowitz-qkeras", "stress": 0.5})
    assert any("stress" in warning for warning in planned.warnings)


def test_a_limit_for_all_layers_is_no_limit_of_folded_normalizations() -> None:
    assert not any("folded" in warning for warning in planned_job(limits=8).warnings)
