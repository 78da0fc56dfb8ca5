"""The oracle that proposes by sensitivity, and frugal where it starts from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.engine import propose
from search.history import Assignment, TrialStatus
from search.oracles.base import OracleContext
from search.oracles.candidates import Candidates
from search.oracles.guide import Guide
from search.scoring.forgiving_factor import ForgivingFactor
from search.space.sensitivity import GROWTH, Sensitivity
from search.spec.oracle import Constraints
from tests.contracts.test_oracles import LARGE
from tests.search.searches import (
    PRICER,
    REFERENCE,
    Outcome,
    Search,
    bits,
    make_choices,
    make_sensitivity,
    make_spec,
)

SENSITIVITY = make_sensitivity(LARGE)


def guide(sensitivity: Sensitivity = SENSITIVITY, **changes: object) -> Guide:
    context = OracleContext(LARGE, 1, 1, PRICER, ForgivingFactor(), REFERENCE, Constraints())
    return Guide(replace(context, **changes), Candidates(LARGE), sensitivity)  # type: ignore[arg-type]


def test_the_damage_of_a_candidate_has_a_bound() -> None:
    measured = Sensitivity(0.9, 10, {"a": {"x": 0.0, "y": 1.0, "z": 1e6}})
    assert [measured.damage("a", label) for label in "xyz"] == [
        0.0,
        GROWTH / 2,
        pytest.approx(GROWTH, abs=1e-5),
    ]
    assert measured.damage("unknown", 0.5) == 0.0
    assert Sensitivity.from_json(measured.to_json()) == measured


@pytest.mark.parametrize("kind", ["sensitivity", {"kind": "frugal", "initial": "sensitivity"}])
def test_the_first_trial_has_the_best_score_that_is_predicted(kind: object) -> None:
    [first] = Search(make_spec(oracle=kind), LARGE).propose(1).trials
    factor = ForgivingFactor()

    def predicted(assignment: Assignment) -> float:
        damage = sum(SENSITIVITY.damage(name, str(label)) for name, label in assignment.values.items())
        return factor.score(0.95 - 0.05 * damage, 10.0 * bits(assignment), REFERENCE)

    candidates = Candidates(LARGE)
    rows = candidates.random(3000, np.random.default_rng(0))
    others = [LARGE.assignment(values) for values in candidates.every_values(rows)]
    assert predicted(first.assignment) >= max(map(predicted, others)) - 1e-9


def test_measured_trials_correct_the_sensitivity_of_the_layer_that_differs() -> None:
    """What one layer damages ten times as much as measured is ascribed to it, not to the others."""
    sensitive = "layer0.kernel"

    def outcome(assignment: Assignment) -> Outcome:
        damage = sum(
            SENSITIVITY.damage(name, str(label)) * (10 if name == sensitive else 1)
            for name, label in assignment.values.items()
        )
        return TrialStatus.DONE, 0.95 - 0.05 * damage, 10.0 * bits(assignment)

    search = Search(make_spec("sensitivity", trials=12), LARGE, outcome).run()
    rows = np.stack([Candidates(LARGE).row(trial.assignment.values) for trial in search.history])
    metrics = np.array([trial.metric for trial in search.history], dtype=float)
    belief = guide().belief(rows, metrics)
    predicted, deviation = guide().predict(rows, belief)
    before, wide = guide().predict(rows)
    assert np.abs(predicted - metrics).mean() < np.abs(before - metrics).mean()
    assert (deviation < wide).all()
    assert belief.mean[0] == max(belief.mean[:-1])


def test_a_search_of_the_front_covers_cheap_and_costly_networks() -> None:
    oracle = {"kind": "sensitivity", "gain": "front"}
    search = Search(make_spec(oracle=oracle, trials=8), LARGE).run()
    sums = [bits(trial.assignment) for trial in search.history]
    assert max(sums) > 1.5 * min(sums)


def test_a_minimised_metric_is_predicted_to_grow() -> None:
    """A loss of 0.2 doubles where everything is damaged by half twice."""
    factor = ForgivingFactor(direction="min")
    measured = replace(SENSITIVITY, metric=0.2)
    minimised = guide(measured, factor=factor, best_merit=0.0)
    rows = Candidates(LARGE).random(20, np.random.default_rng(1))
    merits, _ = minimised.predict(rows)
    damages = [
        sum(measured.damage(name, str(label)) for name, label in values.items())
        for values in Candidates(LARGE).every_values(rows)
    ]
    assert -merits == pytest.approx(0.2 * (1 + np.array(damages)))


def test_choices_that_were_not_measured_do_not_stop_a_search() -> None:
    choices = make_choices(3, 3, widths=((16, (0.5, 1.0, 2.0)),))
    partly = Sensitivity(1.0, 10, {"layer0.kernel": {"unknown": 3.0}})
    for kind in ("sensitivity", {"kind": "frugal", "initial": "sensitivity", "candidates": 30}):
        spec = make_spec(oracle=kind, trials=5)
        proposal = propose(spec, choices, PRICER, REFERENCE, [], None, 2, partly)
        assert len(proposal.trials) == 2


def test_without_a_measurement_the_oracle_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match="measure it before"):
        propose(make_spec("sensitivity"), LARGE, PRICER, REFERENCE, [], None, 1)
