"""Proposals in stages: settled choices stay, each stage makes its own, and a restart changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from search.history import NewTrial, TrialRecord, TrialStatus
from search.schedules import Stage
from search.schedules.propose import propose_in_stages
from search.space.choices import Choices
from search.spec.job import SearchSpec
from tests.search.searches import PRICER, REFERENCE, make_choices, make_spec


def two_stages(first: int = 4, second: int = 3) -> tuple[Stage, Stage]:
    space = make_choices(6, 6)
    parts = [space.restricted(slots=(slot,), widths=(), quantized=slot.layers) for slot in space.slots]
    return (
        Stage(0, "front", parts[0], 0, first),
        Stage(1, "back", parts[1], first, second),
    )


def finished(new: NewTrial, metric: float, status: TrialStatus = TrialStatus.DONE) -> TrialRecord:
    done = status is TrialStatus.DONE
    return TrialRecord(
        new.number,
        new.assignment,
        status,
        metric=metric if done else None,
        cost=100.0 if done else None,
        oracle_trial=new.oracle_trial,
        parent=new.parent,
    )


def play(
    stages: tuple[Stage, ...],
    spec: SearchSpec,
    outcome: Callable[[int], tuple[float, TrialStatus]],
    at_once: int = 1,
) -> list[TrialRecord]:
    """The whole search; every proposal is made from rows."""
    history: list[TrialRecord] = []
    state = None
    for _ in range(100):
        proposal = propose_in_stages(spec, stages, PRICER, REFERENCE, history, state, at_once)
        state = proposal.state
        history += [finished(new, *outcome(new.number)) for new in proposal.trials]
        if proposal.exhausted:
            return history
    raise AssertionError("the search does not end")


def rising(number: int) -> tuple[float, TrialStatus]:
    return number / 100, TrialStatus.DONE


def test_every_stage_gets_its_trials() -> None:
    history = play(two_stages(), make_spec(trials=7), rising)
    assert [record.number for record in history] == list(range(7))
    assert all(set(record.assignment.quantizers) == {"layer0"} for record in history[:4])
    assert all(set(record.assignment.quantizers) == {"layer0", "layer1"} for record in history[4:])


def test_a_later_stage_stands_on_the_best_trial_before_it() -> None:
    best = {0: 0.1, 1: 0.9, 2: 0.3, 3: 0.2}
    history = play(two_stages(), make_spec(trials=7), lambda n: (best.get(n, 0.5), TrialStatus.DONE))
    assert {record.parent for record in history[4:]} == {1}
    settled = history[1].assignment.quantizers["layer0"]
    assert all(record.assignment.quantizers["layer0"] == settled for record in history[4:])


@pytest.mark.parametrize("order", [1, -1])
def test_of_equal_trials_a_later_stage_stands_on_the_first(order: int) -> None:
    stages, spec = two_stages(), make_spec(trials=7)
    proposal = propose_in_stages(spec, stages, PRICER, REFERENCE, [], None, 4)
    metrics = {0: 0.1, 1: 0.9, 2: 0.9, 3: 0.9}
    history = [finished(new, metrics[new.number]) for new in proposal.trials][::order]
    [trial] = propose_in_stages(spec, stages, PRICER, REFERENCE, history, proposal.state, 1).trials
    assert trial.parent == 1
    assert trial.assignment.quantizers["layer0"] == proposal.trials[1].assignment.quantizers["layer0"]


def test_a_trial_has_the_seed_of_the_one_its_training_began_with() -> None:
    stages, spec = two_stages(2, 3), make_spec(trials=5)
    history: list[TrialRecord] = []
    state, seeds = None, {}
    while len(history) < 5:
        proposal = propose_in_stages(spec, stages, PRICER, REFERENCE, history, state, 1)
        state = proposal.state
        for new in proposal.trials:
            history.append(finished(new, {1: 0.9}.get(new.number, 0.5)))
            seeds[new.number] = new.seed
    assert {record.parent for record in history[2:]} == {1}
    assert seeds[0] != seeds[1] == seeds[2] == seeds[3] == seeds[4]


def test_a_stage_waits_for_the_trials_of_the_one_before() -> None:
    stages, spec = two_stages(), make_spec(trials=7)
    proposal = propose_in_stages(spec, stages, PRICER, REFERENCE, [], None, 4)
    running = [finished(new, 0.5) for new in proposal.trials[:3]]
    running.append(
        TrialRecord(
            3,
            proposal.trials[3].assignment,
            TrialStatus.RUNNING,
            oracle_trial=proposal.trials[3].oracle_trial,
        )
    )
    waiting = propose_in_stages(spec, stages, PRICER, REFERENCE, running, proposal.state, 4)
    assert waiting.trials == ()
    assert not waiting.exhausted


def test_a_stage_that_measured_nothing_settles_nothing() -> None:
    history = play(
        two_stages(),
        make_spec(trials=7),
        lambda n: (0.5, TrialStatus.FAILED if n < 4 else TrialStatus.DONE),
    )
    assert all(record.parent is None for record in history)
    assert all(set(record.assignment.quantizers) == {"layer1"} for record in history[4:])


def test_a_small_stage_ends_when_everything_was_tried() -> None:
    space = make_choices(2, 6)
    parts = [space.restricted(slots=(slot,), widths=(), quantized=slot.layers) for slot in space.slots]
    stages = (Stage(0, "front", parts[0], 0, 4), Stage(1, "back", parts[1], 4, 3))
    history = play(stages, make_spec(trials=7), rising)
    assert [record.number for record in history] == [0, 1, 4, 5, 6]


@pytest.mark.parametrize("kind", ["random", "grid", "bayesian", "evolution", "frugal"])
def test_asking_again_from_rows_gives_the_same_trials(kind: str) -> None:
    stages, spec = two_stages(), make_spec(kind, trials=7)
    tables = [[(r.number, r.assignment.key, r.parent) for r in play(stages, spec, rising)] for _ in range(2)]
    assert tables[0] == tables[1]


def test_a_single_stage_is_the_plain_search() -> None:
    space: Choices = make_choices(6, 6)
    history = play((Stage(0, "all", space, 0, 5),), make_spec(trials=5), rising)
    assert len(history) == 5
    assert all(record.parent is None for record in history)
