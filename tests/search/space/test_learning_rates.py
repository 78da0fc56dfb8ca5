"""Learning rates as one more choice: its grid, the size of the space, every oracle, blocks."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from search.history import TrialStatus
from search.oracles import ORACLES
from search.plans.kinds import plan
from search.schedules.base import on_top_of
from search.space.choices import LEARNING_RATE
from search.spec.job import SearchSpec
from search.spec.training import LearningRates, Training
from tests.search.searches import Outcome, Search, make_choices, make_spec

RATES = (0.001, 0.01, 0.1)


@given(
    low=st.floats(1e-6, 1e-2),
    factor=st.floats(1.5, 1e3),
    steps=st.integers(2, 20),
    sampling=st.sampled_from(["log", "linear"]),
)
def test_a_range_is_a_grid_with_its_ends(low: float, factor: float, steps: int, sampling: str) -> None:
    rates = LearningRates.model_validate(
        {"min": low, "max": low * factor, "steps": steps, "sampling": sampling}
    ).labels()
    assert len(rates) == steps
    assert (rates[0], rates[-1]) == (low, low * factor)
    scale = [math.log(rate) if sampling == "log" else rate for rate in rates]
    gaps = [after - before for before, after in pairwise(scale)]
    assert gaps == pytest.approx([gaps[0]] * len(gaps), rel=0.02)


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({}, "either choices, or min and max"),
        ({"choices": [0.1], "min": 0.01}, "either choices, or min and max"),
        ({"min": 0.01}, "both min and max"),
        ({"min": 0.1, "max": 0.01}, "min must be below max"),
        ({"choices": [0.1, 0.1]}, "more than once"),
        ({"choices": [0.1, 11]}, "between 0 and 10"),
    ],
)
def test_what_is_no_choice_of_rates_is_refused(stated: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        LearningRates.model_validate(stated)


def test_a_network_that_chose_none_learns_at_the_middle_rate() -> None:
    assert Training.model_validate({"learning_rate": {"choices": [0.1, 0.001, 0.01]}}).base_rate == 0.01
    assert Training(learning_rate=0.5).base_rate == 0.5


def best_in_the_middle(assignment: Any) -> Outcome:
    """The middle rate learns best; every network costs the same."""
    return TrialStatus.DONE, {0.001: 0.5, 0.01: 0.9, 0.1: 0.2}[assignment.learning_rate], 100.0


@pytest.mark.parametrize("kind", [kind for kind in ORACLES if kind not in ("hyperband", "gradient")])
def test_every_oracle_tries_the_rates_of_a_network_one_after_the_other(kind: str) -> None:
    space = replace(make_choices(2), learning_rates=RATES)
    finished = Search(make_spec(kind, trials=20), space, best_in_the_middle).run()
    assert space.size() == len(finished.history) == 6
    assert len(set(finished.keys())) == 6
    assert {trial.assignment.learning_rate for trial in finished.history} == set(RATES)


def test_hyperband_draws_rates_too() -> None:
    space = replace(make_choices(3), learning_rates=RATES)
    finished = Search(make_spec("hyperband", trials=12), space, best_in_the_middle).run()
    assert len({trial.assignment.learning_rate for trial in finished.history}) > 1
    for trial in finished.history:
        if trial.parent is not None:
            assert trial.assignment == finished.history[trial.parent].assignment


def test_each_block_chooses_its_own_rate_and_the_last_one_counts() -> None:
    spec = SearchSpec.model_validate(
        {
            "model": "jet_mlp",
            "data": {"kind": "npz", "file": "none.npz"},
            "limits": {"by_class": {"Dense": 8}},
            "schedule": {"kind": "per_block", "blocks": ["fc1|fc2", "fc3|output"]},
            "training": {"learning_rate": {"choices": RATES}},
        }
    )
    from search.cost.pricing import Pricer
    from search.networks import architecture as models
    from search.schedules import stages
    from search.space.choices import choices

    network = models.network(spec.model)
    first, second = stages(spec, choices(spec, network), Pricer(spec.goal, network).reference())
    measured_trials = []
    for stage, rate in ((first, 0.001), (second, 0.1)):
        assert stage.choices.dimensions()[LEARNING_RATE] == RATES
        labels = {name: choice_labels[0] for name, choice_labels in stage.choices.dimensions().items()}
        measured_trials.append(stage.choices.assignment(labels | {LEARNING_RATE: rate}))
    assert on_top_of(*measured_trials).learning_rate == 0.1


def test_a_dry_run_counts_the_rates() -> None:
    job = {
        "model": "diabetes_mlp",
        "data": "diabetes",
        "objective": "mse",
        "limits": {"by_class": {"Dense": {"kernel": 4, "bias": 4}}},
    }
    sizes = [
        plan(SearchSpec.model_validate(job | {"training": {"learning_rate": rate}}), Path()).choices.size()
        for rate in (0.01, {"min": 0.001, "max": 0.1, "steps": 7})
    ]
    assert sizes[1] == 7 * sizes[0]
