"""An oracle that is kept between proposals proposes what one that is built anew from the rows would."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from search.engine import Proposal, WarmOracle, propose
from search.history import TrialStatus
from search.oracles import ORACLES
from search.schedules.propose import WarmSearch, propose_in_stages
from tests.search.schedules.test_propose import two_stages
from tests.search.searches import (
    LARGE,
    PRICER,
    REFERENCE,
    Search,
    failed,
    make_choices,
    make_sensitivity,
    make_spec,
    measured,
)

SMALL = make_choices(3, 2, 2)


def arguments_of(search: Search, count: int) -> tuple[Any, ...]:
    """What a proposal is made of."""
    history, sensitivity = list(search.history), make_sensitivity(search.choices)
    return search.spec, search.choices, PRICER, REFERENCE, history, search.state, count, sensitivity


class Both:
    """A search whose every proposal is made twice: by a kept oracle, and by a new one."""

    def __init__(self, search: Search) -> None:
        self.search, self.warm, self.taken = search, WarmOracle(), 0

    def propose(self, count: int) -> Proposal:
        """The proposal, which both make."""
        search = self.search
        arguments: list[Any] = [
            search.spec,
            search.choices,
            PRICER,
            REFERENCE,
            list(search.history),
            search.state,
        ]
        arguments += [count, make_sensitivity(search.choices)]
        self.taken += self.warm._kept is not None
        kept = propose(*arguments, warm=self.warm)
        assert kept == propose(*arguments)
        return kept


@pytest.fixture(params=ORACLES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def outcome(chance: random.Random) -> Any:
    """Most trials are measured."""
    return lambda assignment: (failed if chance.random() < 0.15 else measured)(assignment)


def play(both: Both, chance: random.Random, *, parallel: int, proposals: int) -> None:
    """Propose, and end open trials in any order."""
    search = both.search
    search.outcome = outcome(chance)
    for _ in range(proposals):
        proposal = both.propose(parallel - search.in_flight())
        search.add(proposal)
        numbers = [trial.number for trial in search.history if trial.status is TrialStatus.QUEUED]
        for number in chance.sample(numbers, chance.randint(min(1, len(numbers)), len(numbers))):
            search.end(number)


@pytest.mark.parametrize("choices", [LARGE, SMALL], ids=["large", "small"])
def test_a_kept_oracle_proposes_what_a_new_one_does(kind: str, choices: Any) -> None:
    both = Both(Search(make_spec(kind, trials=40), choices))
    play(both, random.Random(kind), parallel=3, proposals=7)
    assert both.taken == 6, "it was not kept"


def test_within_a_budget_of_epochs_too(kind: str) -> None:
    spec = make_spec(kind, trials=40, training={"epochs": 3}, budget={"trials": 40, "epochs": 12})
    play(Both(Search(spec, LARGE)), random.Random(kind), parallel=2, proposals=7)


def test_a_trial_that_is_retried_is_told_again(kind: str) -> None:
    both = Both(Search(make_spec(kind, trials=40), LARGE))
    play(both, random.Random(3), parallel=3, proposals=3)
    search = both.search
    for number, trial in enumerate(search.history[:2]):
        search.history[number] = replace(trial, status=TrialStatus.QUEUED, metric=None, cost=None)
        both.propose(1)
        search.history[number] = replace(trial, status=TrialStatus.DONE, metric=0.25, cost=70.0)
        both.propose(1)
    play(both, random.Random(4), parallel=3, proposals=2)


def test_a_proposal_that_was_not_stored_is_forgotten(kind: str) -> None:
    both = Both(Search(make_spec(kind, trials=40), LARGE))
    play(both, random.Random(5), parallel=2, proposals=3)
    for _ in range(2):
        both.propose(2)  # another worker was faster: the rows are as before
    play(both, random.Random(6), parallel=2, proposals=2)


def test_a_state_of_an_earlier_version_is_continued(kind: str) -> None:
    search = Search(make_spec(kind, trials=30), LARGE)
    play(Both(search), random.Random(7), parallel=2, proposals=5)
    expected = propose(
        search.spec, LARGE, PRICER, REFERENCE, search.history, search.state, 2, make_sensitivity(LARGE)
    )
    assert search.state is not None
    stored = json.loads(search.state)
    stored["oracle"] = as_earlier(search, stored["oracle"])
    again = propose(
        search.spec,
        LARGE,
        PRICER,
        REFERENCE,
        search.history,
        json.dumps(stored),
        2,
        make_sensitivity(LARGE),
    )
    assert again == expected


def as_earlier(search: Search, state: dict[str, Any]) -> dict[str, Any]:
    """A state with all that keras-tuner's has, as it was stored before."""
    from search.engine import _context, _observations
    from search.oracles.base import oracle_session, restore

    context = _context(search.spec, LARGE, PRICER, REFERENCE, make_sensitivity(LARGE))
    oracle = ORACLES[search.spec.oracle.kind](search.spec.oracle, context)
    stored = json.loads(search.state or "")
    with oracle_session(oracle):
        open_ids = set(state["oracle"]["ongoing_trials"].values())
        observations = [
            replace(observation, ended=False) if observation.trial_id in open_ids else observation
            for observation in _observations(search.history, stored["skipped"], context)
        ]
        restore(oracle, state, observations)
        whole = oracle.get_state()
    whole["tried_so_far"] = sorted(whole["tried_so_far"])
    return {"oracle": json.loads(json.dumps(whole)), "tuner_ids": sorted(oracle.tuner_ids)}


def test_workers_that_take_turns_tell_their_oracles_what_the_other_proposed(kind: str) -> None:
    search = Search(make_spec(kind, trials=40), LARGE)
    workers = [Both(search), Both(search)]
    for number in range(5):
        play(workers[number % 2], random.Random(number), parallel=3, proposals=1 + number % 2)
    assert all(worker.taken >= 1 for worker in workers)


@pytest.mark.parametrize("kind", ["random", "hyperband", "evolution"])
def test_the_stored_state_does_not_grow_with_the_trials(kind: str) -> None:
    both = Both(Search(make_spec(kind, trials=200), make_choices(*[9] * 8)))
    play(both, random.Random(1), parallel=8, proposals=4)
    early = len(both.search.state or "")
    play(both, random.Random(2), parallel=8, proposals=12)
    assert len(both.search.state or "") < 1.3 * early


def test_the_oracle_of_a_stage_is_kept_until_the_stage_is_over(kind: str) -> None:
    """Each stage on top of the best trial before it; trials end in any order, one of the first stage is retried."""
    if kind == "gradient":
        pytest.skip("it trains the bits of all layers at once")
    stages = two_stages(8, 6)
    spec, chance = make_spec(kind, trials=14), random.Random(kind)
    sensitivity = make_sensitivity(make_choices(6, 6))
    warm, state, history, kept = WarmSearch(), None, [], 0
    for _ in range(60):
        running = [record for record in history if record.status is TrialStatus.QUEUED]
        arguments = (spec, stages, PRICER, REFERENCE, list(history), state, 3 - len(running), sensitivity)
        kept += warm.oracle._kept is not None
        proposal = propose_in_stages(*arguments, warm)
        assert proposal == propose_in_stages(*arguments)
        state = proposal.state
        search = Search(spec, stages[0].choices, outcome(chance), history)
        search.add(proposal)
        open_numbers = [record.number for record in history if record.status is TrialStatus.QUEUED]
        if not open_numbers:
            break
        ended = {record.number: index for index, record in enumerate(history)}
        for number in chance.sample(open_numbers, chance.randint(1, len(open_numbers))):
            search.end(ended[number])
    assert proposal.exhausted
    assert {record.number >= 8 for record in history} == {False, True}
    assert kept >= 4, "it was built anew"
