"""The contract of every oracle."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from keras_tuner.src.engine.oracle import LOCKS, THREADS

from search.history import Assignment, TrialStatus
from search.oracles import ORACLES
from search.oracles.base import (
    DatabaseOracle,
    Observation,
    OracleContext,
    next_trial,
    oracle_session,
    report,
    restore,
    snapshot,
)
from search.scoring.forgiving_factor import forgiving_factor
from search.spec.job import SearchSpec
from tests.search.searches import (
    LARGE,
    PRICER,
    REFERENCE,
    Outcome,
    Search,
    bits,
    diverged,
    failed,
    make_choices,
    make_sensitivity,
    make_spec,
    measured,
)

SMALL = make_choices(3, 2)


@pytest.fixture(params=ORACLES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(spec: SearchSpec) -> DatabaseOracle:
    factor = forgiving_factor(spec.goal)
    context = OracleContext(
        LARGE,
        spec.seed,
        spec.training.epochs,
        PRICER,
        factor,
        REFERENCE,
        spec.constraints,
        sensitivity=make_sensitivity(LARGE),
    )
    return ORACLES[spec.oracle.kind](spec.oracle, context)


def strict_json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def cheap_fails(assignment: Assignment) -> Outcome:
    """Every other sum of bits cannot be trained."""
    return failed(assignment) if bits(assignment) % 2 else measured(assignment)


@pytest.mark.parametrize("parallel", [1, 4])
def test_the_same_seed_gives_the_same_search(kind: str, parallel: int) -> None:
    first, second = (Search(make_spec(kind, trials=14), LARGE).run(parallel).keys() for _ in range(2))
    assert first == second


def test_another_seed_gives_another_search(kind: str) -> None:
    if kind in ("grid", "sensitivity", "descent", "gradient"):
        pytest.skip("a grid has one order, a front its best points, and bits one start, whatever the seed")
    first, second = (Search(make_spec(kind, trials=12, seed=seed), LARGE).run().keys() for seed in (1, 2))
    assert first != second


def test_the_seed_0_is_a_seed_like_any_other(kind: str) -> None:
    first, second = (Search(make_spec(kind, trials=12, seed=0), LARGE).run().keys() for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("parallel", "outcome"), [(1, measured), (4, measured), (4, cheap_fails), (1, failed), (4, diverged)]
)
def test_an_oracle_rebuilt_before_every_call_proposes_what_a_living_one_does(
    kind: str, parallel: int, outcome: Callable[[Assignment], Outcome]
) -> None:
    spec = make_spec(kind, trials=16)
    rebuilt = Search(spec, LARGE, outcome).run(parallel)
    assert [trial.oracle_trial["values"] for trial in rebuilt.history] == living(spec, parallel, outcome)


def living(spec: SearchSpec, parallel: int, outcome: Callable[[Assignment], Outcome]) -> list[dict[str, Any]]:
    """The same search with one oracle that is never taken down."""
    oracle, proposed, waiting = build(spec), [], []
    with oracle_session(oracle):
        while len(proposed) < spec.budget.trials or waiting:
            while len(waiting) < parallel and len(proposed) < spec.budget.trials:
                trial = next_trial(oracle)
                proposed.append(dict(trial.hyperparameters.values))
                waiting.append(trial)
            trial = waiting.pop(0)
            report(oracle, observation(trial, outcome))
    return proposed


def observation(trial: Any, outcome: Callable[[Assignment], Outcome]) -> Observation:
    """What the engine reports of a trial that ended."""
    values = trial.hyperparameters.values
    status, metric, cost = outcome(LARGE.assignment(values))
    if metric is None or cost is None or metric == float("inf"):
        return Observation(trial.trial_id, values, ended=True, outcome=TrialStatus.FAILED)
    score = forgiving_factor(make_spec().goal).score(metric, cost, REFERENCE)
    return Observation(trial.trial_id, values, True, status, score, metric, cost)


def test_nothing_is_proposed_twice(kind: str) -> None:
    works = Search(make_spec(kind, trials=30), LARGE).run(parallel=4).works()
    assert len(set(works)) == len(works) == 30


@pytest.mark.parametrize("seed", range(2))
def test_a_small_space_is_tried_completely(kind: str, seed: int) -> None:
    assert len(set(Search(make_spec(kind, trials=100, seed=seed), SMALL).run().keys())) == SMALL.size()


@pytest.mark.parametrize("parallel", [1, 4])
def test_failed_trials_do_not_end_a_search(kind: str, parallel: int) -> None:
    assert len(Search(make_spec(kind, trials=18), LARGE, failed).run(parallel).history) == 18


def test_the_state_is_plain_json_whatever_the_metrics_were(kind: str) -> None:
    search = Search(make_spec(kind, trials=12), LARGE, diverged).run()
    assert search.state is not None
    assert strict_json(search.state)


def test_a_trial_is_known_to_its_oracle_by_plain_json(kind: str) -> None:
    for trial in Search(make_spec(kind, trials=3), LARGE).run().history:
        assert json.loads(json.dumps(trial.oracle_trial)) == trial.oracle_trial


def test_running_trials_are_not_proposed_again_when_the_worker_restarts(kind: str) -> None:
    search = Search(make_spec(kind), LARGE)
    search.add(search.propose(3))
    later = search.propose(2)
    assert not {trial.assignment.key for trial in later.trials} & set(search.keys())
    assert [trial.number for trial in later.trials] == [3, 4]


def test_an_oracle_leaves_nothing_in_the_globals_of_keras_tuner(kind: str) -> None:
    before = len(LOCKS), len(THREADS)
    Search(make_spec(kind, trials=5), LARGE).run()
    assert (len(LOCKS), len(THREADS)) == before


def test_an_oracle_leaves_nothing_behind_when_it_fails(kind: str) -> None:
    oracle = build(make_spec(kind))
    with pytest.raises(KeyError), oracle_session(oracle):
        report(oracle, Observation("0000", {}, ended=True))
    assert oracle not in LOCKS
    assert oracle not in THREADS


def test_what_is_restored_gives_the_same_snapshot(kind: str) -> None:
    search = Search(make_spec(kind, trials=14), LARGE).run()
    assert search.state is not None
    state = json.loads(search.state)["oracle"]
    observations = [
        Observation(trial.oracle_trial["trial_id"], trial.oracle_trial["values"], ended=True, score=1.0)
        for trial in search.history
    ]
    first, second = build(make_spec(kind)), build(make_spec(kind, trials=14, seed=77))
    with oracle_session(first), oracle_session(second):
        restore(first, state, observations)
        again = json.loads(json.dumps(snapshot(first)))
        restore(second, again, observations)
        assert json.loads(json.dumps(snapshot(second))) == again


def test_no_file_is_written(kind: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Search(make_spec(kind, trials=5), LARGE).run()
    assert not list(tmp_path.iterdir())
