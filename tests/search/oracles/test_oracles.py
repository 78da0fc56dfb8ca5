"""What each oracle adds to the contract. Traps are keras-tuner's, each seen in 1.4.8; defects those its users met."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.history import Assignment, TrialRecord, TrialStatus
from search.oracles.base import Observation, next_trial, oracle_session, report
from search.oracles.evolution import crowding_distance, fronts, ranked
from search.scoring.pareto import Point, dominates, front, hypervolume
from search.spec.oracle import BayesianOracleSpec, EvolutionOracleSpec, HyperbandOracleSpec, oracle_warnings
from tests.contracts.test_oracles import LARGE, build, living, strict_json
from tests.search.searches import (
    Outcome,
    Search,
    bits,
    diverged,
    failed,
    make_choices,
    make_spec,
    measured,
)

#: Brackets of 9 epochs by 3: 9 -> 3 -> 1 trials, 5 -> 2, 3.
NINE = {"oracle": {"kind": "hyperband", "iterations": 1}, "training": {"epochs": 9}}
NINE_TRIALS = 9 + 3 + 1 + 5 + 2 + 3


def hyperband(trials: int = 100, **changes: Any) -> Search:
    return Search(make_spec(trials=trials, **{**NINE, **changes}), LARGE)


def failing(numbers: set[int], search: Search) -> Search:
    """The trials with these numbers fail."""
    search.outcome = lambda assignment: (
        failed(assignment)
        if any(t.number in numbers and t.assignment is assignment for t in search.history)
        else measured(assignment)
    )
    return search


def survivors(search: Search) -> list[TrialRecord]:
    """All trials but those after the first of the widest bracket."""
    widest = [
        t for t in search.history if t.oracle_trial["values"]["tuner/bracket"] == 2 and t.parent is None
    ]
    return [trial for trial in search.history if trial not in widest[1:]]


# --- grid ----------------------------------------------------------------------------------------------------------


def test_trap_3_a_grid_goes_on_where_it_was_after_every_restart() -> None:
    choices = make_choices(3, 2, 2)
    search = Search(make_spec("grid", trials=100), choices).run(parallel=2)
    labels = [tuple(trial.oracle_trial["values"].values()) for trial in search.history]
    assert labels == list(itertools.product(*choices.dimensions().values()))


def test_a_grid_proposes_any_number_of_trials_at_once() -> None:
    assert len(Search(make_spec("grid", trials=100), LARGE).propose(16).trials) == 16


# --- bayesian ------------------------------------------------------------------------------------------------------


def test_trap_1_a_bayesian_proposal_needs_no_earlier_fit() -> None:
    spec = make_spec("bayesian", trials=16)
    rebuilt = [trial.oracle_trial["values"] for trial in Search(spec, LARGE).run(parallel=4).history]
    assert rebuilt == living(spec, 4, measured)


def test_trap_2_a_bayesian_search_asks_for_nothing_twice() -> None:
    search = Search(make_spec("bayesian", trials=24), make_choices(*[3] * 6)).run()
    assert len(set(search.keys())) == 24
    assert json.loads(search.state or "")["skipped"] == []


def test_trap_2_random_trials_first_are_as_many_as_asked_for() -> None:
    spec = BayesianOracleSpec.model_validate({"num_initial_points": 17})
    assert (spec.initial_points(20), BayesianOracleSpec().initial_points(20)) == (17, 10)


def test_defect_07_a_bayesian_search_finds_the_best_of_a_smooth_space() -> None:
    def hill(assignment: Assignment) -> Outcome:
        wide = [spec.bits for slots in assignment.quantizers.values() for spec in slots.values() if spec]
        return TrialStatus.DONE, 1 - 0.02 * sum((b - 4) ** 2 for b in wide), 1000.0

    search = Search(make_spec("bayesian", trials=30), make_choices(7, 7, 7), hill).run()
    assert max(trial.metric or 0 for trial in search.history) == 1.0


def test_a_failed_trial_is_not_asked_for_in_other_words() -> None:
    """Half of the space fails; after the first trials the other half is preferred."""

    def wide_fails(assignment: Assignment) -> Outcome:
        return failed(assignment) if bits(assignment) > 18 else measured(assignment)

    history = Search(make_spec("bayesian", trials=34), LARGE, wide_fails).run().history
    late = Counter(trial.status for trial in history[20:])
    assert late[TrialStatus.FAILED] < len(history[20:]) / 2


@pytest.mark.parametrize(
    ("oracle", "trials", "words"),
    [
        (BayesianOracleSpec(), 10, "random"),
        (EvolutionOracleSpec(), 16, "random"),
        (HyperbandOracleSpec(max_epochs=2), 100, "cannot shorten"),
    ],
)
def test_defect_07_a_budget_too_small_for_its_oracle_is_warned_of(
    oracle: Any, trials: int, words: str
) -> None:
    assert words in oracle_warnings(oracle, trials, 10, 20)[0]


def test_a_budget_that_fits_is_not_warned_of() -> None:
    assert oracle_warnings(BayesianOracleSpec(), 11, 10, 20) == []


# --- hyperband -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("numbers", [set(), {2}, {0, 4, 8}])
def test_trap_4_failed_trials_do_not_starve_their_bracket(parallel: int, numbers: set[int]) -> None:
    search = failing(numbers, hyperband()).run(parallel)
    assert len(search.history) == NINE_TRIALS


def test_trap_4_a_round_is_as_long_as_there_are_survivors() -> None:
    search = hyperband()
    search.outcome = lambda assignment: (
        measured(assignment)
        if assignment.key in {t.assignment.key for t in survivors(search)}
        else failed(assignment)
    )
    search.run()
    rounds = Counter(
        (trial.oracle_trial["values"]["tuner/bracket"], trial.oracle_trial["values"]["tuner/round"])
        for trial in search.history
    )
    assert rounds == {(2, 0): 9, (2, 1): 1, (2, 2): 1, (1, 0): 5, (1, 1): 2, (0, 0): 3}


@pytest.mark.parametrize("parallel", [1, 4])
def test_trap_4_a_bracket_in_which_all_fail_ends(parallel: int) -> None:
    search = hyperband()
    search.outcome = failed
    assert len(search.run(parallel).history) == 9 + 5 + 3


@pytest.mark.parametrize("parallel", [1, 4])
def test_trap_5_a_promoted_trial_names_the_bracket_of_its_parent(parallel: int) -> None:
    history = hyperband().run(parallel).history
    bracket = {trial.number: trial.oracle_trial["values"]["tuner/bracket"] for trial in history}
    promoted = [trial for trial in history if trial.parent is not None]
    assert len(promoted) == 6
    assert all(bracket[trial.number] == bracket[trial.parent or 0] for trial in promoted)


def test_a_promoted_trial_goes_on_where_its_parent_stopped() -> None:
    history = hyperband().run(parallel=2).history
    for trial in history:
        if trial.parent is not None:
            parent = history[trial.parent]
            assert trial.assignment.key == parent.assignment.key
            assert trial.initial_epoch == parent.epochs


def test_the_best_of_a_round_are_promoted() -> None:
    search = hyperband()
    search.outcome = lambda assignment: (
        TrialStatus.DONE,
        measured(assignment)[1],
        100.0,
    )  # score: the metric
    history = search.run().history
    bracket = [trial for trial in history if trial.oracle_trial["values"]["tuner/bracket"] == 2]
    first = sorted((t for t in bracket if t.epochs == 1), key=lambda t: t.metric or 0, reverse=True)
    promoted = {t.parent for t in bracket if t.initial_epoch == 1}
    assert sorted(bits(history[n or 0].assignment) for n in promoted) == sorted(
        bits(trial.assignment) for trial in first[:3]
    )


@pytest.mark.parametrize("trials", [1, 5, 17, 40])
def test_defect_27_hyperband_keeps_a_budget_of_trials(trials: int) -> None:
    search = hyperband(trials, oracle="hyperband").run(parallel=3)
    assert len(search.history) == trials


@pytest.mark.parametrize("epochs", [1, 10, 75, 200])
def test_defect_27_hyperband_keeps_a_budget_of_epochs(epochs: int) -> None:
    search = hyperband(oracle="hyperband", budget={"trials": 1000, "epochs": epochs}).run(parallel=3)
    spent = sum((trial.epochs or 0) - trial.initial_epoch for trial in search.history)
    assert epochs - 9 < spent <= epochs


def test_defect_27_hyperband_ends_by_itself_after_its_iterations() -> None:
    twice = {"kind": "hyperband", "iterations": 2}
    assert len(hyperband(oracle=twice).run().history) == 2 * NINE_TRIALS


def test_defect_26_hyperband_promotes_in_a_space_smaller_than_its_bracket() -> None:
    search = Search(make_spec(trials=100, **NINE), make_choices(3, 2)).run()
    assert len(set(search.keys())) == 6
    assert [trial.epochs for trial in search.history if trial.parent is not None] == [3, 3, 9]


# --- all of keras-tuner's ------------------------------------------------------------------------------------------


def test_trap_6_the_lock_is_free_after_an_error_inside() -> None:
    spec = make_spec()
    oracle = build(spec)
    with pytest.raises(KeyError), oracle_session(oracle):
        report(oracle, Observation("0000", {}, ended=True))
    statuses: list[str] = []

    def other_thread() -> None:
        with oracle_session(oracle):
            statuses.append(next_trial(oracle).status)

    thread = threading.Thread(target=other_thread, daemon=True)
    thread.start()
    thread.join(timeout=60)
    assert statuses == ["RUNNING"]


@pytest.mark.parametrize("kind", ["random", "bayesian", "hyperband", "evolution", "frugal"])
def test_trap_7_a_search_goes_on_after_many_failures_in_a_row(kind: str) -> None:
    search = Search(make_spec(kind, trials=14), LARGE, failed)
    for _ in range(10):
        search.add(search.propose(1))
        search.end_first()
    search.outcome = measured
    assert {trial.status for trial in search.run().history[10:]} == {TrialStatus.DONE}


@pytest.mark.parametrize("kind", ["random", "grid", "bayesian", "hyperband", "evolution", "frugal"])
def test_trap_8_trials_running_at_a_crash_are_neither_lost_nor_proposed_again(kind: str) -> None:
    search = Search(make_spec(kind, trials=20), LARGE)
    search.add(search.propose(4))
    state = json.loads(search.state or "")["oracle"]["oracle"]
    assert sorted(state["ongoing_trials"].values()) == ["0000", "0001", "0002", "0003"]
    assert state["retry_queue"] == []
    assert not set(search.keys()) & {trial.assignment.key for trial in search.propose(3).trials}


def test_trap_9_an_endless_hyperband_has_no_infinity_in_its_state() -> None:
    search = Search(make_spec("hyperband"), LARGE, diverged).run()
    assert strict_json(search.state or "")


# --- evolution -----------------------------------------------------------------------------------------------------


POINTS = st.lists(
    st.tuples(st.integers(0, 6).map(float), st.integers(0, 6).map(float)), min_size=1, max_size=25
)


@given(POINTS)
def test_the_first_front_is_the_pareto_front(points: list[tuple[float, float]]) -> None:
    first = next(fronts(np.array(points)))
    best = front(Point(i, -metric, cost) for i, (metric, cost) in enumerate(points))
    assert sorted(first) == sorted(point.number for point in best)


@given(POINTS)
def test_every_point_of_a_later_front_is_dominated_by_one_of_the_front_before(
    points: list[tuple[float, float]],
) -> None:
    as_points = [Point(i, -metric, cost) for i, (metric, cost) in enumerate(points)]
    layers = list(fronts(np.array(points)))
    assert sorted(itertools.chain(*layers)) == list(range(len(points)))
    for before, after in itertools.pairwise(layers):
        assert all(any(dominates(as_points[i], as_points[j]) for i in before) for j in after)


def test_the_ends_of_a_front_are_never_crowded() -> None:
    distance = crowding_distance(np.array([[0.0, 9.0], [1.0, 3.0], [2.0, 2.0], [9.0, 0.0]]))
    assert list(np.isinf(distance)) == [True, False, False, True]
    assert distance[1] == pytest.approx(2 / 9 + 7 / 9)


def test_lonely_points_come_before_crowded_ones_of_their_front() -> None:
    points = np.array([[0.0, 9.0], [1.0, 3.0], [1.1, 2.9], [9.0, 0.0], [9.0, 9.0]])
    best = ranked(points, 5).tolist()
    assert best[4] == 4
    assert set(best[:2]) == {0, 3}
    assert [ranked(points, count).tolist() for count in range(1, 6)] == [best[:n] for n in range(1, 6)]


@pytest.mark.parametrize("objective", ["accuracy", "mse"])
def test_defect_30_evolution_looks_for_the_whole_front(objective: str) -> None:
    """Bits help some layers more than others: the front is where they are given to those first."""
    is_error = objective == "mse"

    def uneven(assignment: Assignment) -> Outcome:
        wide = [spec.bits for slots in assignment.quantizers.values() for spec in slots.values() if spec]
        losses = [0.5 ** (b + place) for place, b in enumerate(wide)]
        return TrialStatus.DONE, sum(losses) if is_error else 1 - sum(losses), 10.0 * sum(wide)

    def area(kind: str, seed: int) -> float:
        spec = make_spec(kind, trials=60, seed=seed, objective=objective)
        history = Search(spec, make_choices(*[7] * 5), uneven).run().history
        metrics = [1 - (trial.metric or 0) if is_error else trial.metric or 0 for trial in history]
        points = [Point(trial.number, m, trial.cost or 0) for trial, m in zip(history, metrics, strict=True)]
        return hypervolume(points, metric_floor=0.5, cost_ceiling=400.0)

    gained = [area("evolution", seed) - area("random", seed) for seed in range(5)]
    assert np.mean(gained) > 0
    assert sum(gain > 0 for gain in gained) >= 4


def test_no_child_breaks_a_constraint() -> None:
    search = Search(make_spec("evolution", trials=40, constraints={"max_bits": 15}), LARGE).run()
    assert max(bits(trial.assignment) for trial in search.history) <= 15


# --- defects of all ------------------------------------------------------------------------------------------------


def test_defect_29_a_metric_that_is_not_a_number_is_a_failure_and_never_best() -> None:
    def sometimes(assignment: Assignment) -> Outcome:
        return (TrialStatus.DONE, float("nan"), 1.0) if bits(assignment) % 2 else measured(assignment)

    for kind in ("bayesian", "evolution", "frugal", "hyperband"):
        assert len(Search(make_spec(kind, trials=20), LARGE, sometimes).run().history) == 20


@pytest.mark.parametrize("kind", ["random", "grid", "bayesian", "hyperband", "evolution", "frugal"])
def test_defect_31_a_finished_search_goes_on_under_a_larger_budget(kind: str) -> None:
    short = Search(make_spec(kind, trials=12), LARGE).run()
    longer = replace(short, spec=make_spec(kind, trials=20), history=list(short.history)).run()
    assert longer.works()[:12] == short.works()
    assert len(set(longer.works())) == 20


def test_defect_31_changed_settings_of_an_oracle_hold_from_then_on() -> None:
    """Ten random trials are enough for a search that was begun with a hundred."""
    many = make_spec(oracle={"kind": "bayesian", "num_initial_points": 100}, trials=12)
    few = make_spec(oracle={"kind": "bayesian", "num_initial_points": 10}, trials=16)
    begun = Search(many, LARGE).run()
    changed = replace(begun, spec=few, history=list(begun.history)).run()
    unchanged = replace(begun, spec=make_spec(oracle=many.oracle.model_dump(), trials=16)).run()
    assert changed.works()[12:] != unchanged.works()[12:]


@pytest.mark.parametrize("kind", ["random", "bayesian", "hyperband", "evolution", "frugal"])
def test_defect_33_the_order_in_which_trials_end_is_all_that_matters(kind: str) -> None:
    first, second = (Search(make_spec(kind, trials=16, seed=5), LARGE).run(3).works() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("kind", ["bayesian", "evolution", "frugal"])
def test_a_space_with_one_assignment_is_no_special_case(kind: str) -> None:
    assert len(Search(make_spec(kind, trials=5), make_choices(1, 1)).run().history) == 1


def test_a_record_s_oracle_trial_is_all_an_oracle_is_told_of_its_values() -> None:
    record: TrialRecord = hyperband(trials=1).run().history[0]
    assert set(record.assignment.values) == set(LARGE.dimensions())
    assert record.oracle_trial["values"]["tuner/epochs"] == record.epochs
