"""What the engine promises about proposals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search.engine import propose
from search.history import TrialStatus
from tests.search.searches import PRICER, REFERENCE, Search, failed, make_choices, make_spec

LARGE = make_choices(7, 7, 5, 5, 3)
ROUNDING = ((1, (0.5, 0.75, 1.0, 1.5, 2.0)),)  # one filter: 0.5, 0.75, 1 and 1.5 times it are one filter


def test_trials_are_numbered_from_0() -> None:
    search = Search(make_spec(trials=5), LARGE).run(parallel=2)
    assert [trial.number for trial in search.history] == [0, 1, 2, 3, 4]


def test_no_more_is_proposed_than_asked_for() -> None:
    assert len(Search(make_spec(), LARGE).propose(3).trials) == 3


def test_nothing_is_proposed_where_nothing_is_asked_for() -> None:
    assert Search(make_spec(), LARGE).propose(0).trials == ()


def test_no_more_is_proposed_than_the_budget_allows() -> None:
    proposal = Search(make_spec(trials=4), LARGE).propose(10)
    assert len(proposal.trials) == 4
    assert proposal.exhausted


def test_failed_trials_count_against_the_budget() -> None:
    search = Search(make_spec(trials=4), LARGE, failed).run()
    assert len(search.history) == 4


def test_a_search_with_trials_left_is_not_exhausted() -> None:
    assert not Search(make_spec(trials=4), LARGE).propose(3).exhausted


def test_the_last_assignment_of_a_space_exhausts_it() -> None:
    proposal = Search(make_spec(trials=100), make_choices(3, 2)).propose(6)
    assert len(proposal.trials) == 6
    assert proposal.exhausted


def test_a_space_of_one_assignment_gives_one_trial() -> None:
    assert len(Search(make_spec(), make_choices(1)).run().history) == 1


def test_widths_that_round_to_one_number_are_tried_once() -> None:
    search = Search(make_spec(trials=100), make_choices(2, widths=ROUNDING)).run()
    built = [
        (str(trial.assignment.quantizers["layer0"]["kernel"]), trial.assignment.widths.get("wide0", 1))
        for trial in search.history
    ]
    assert sorted(built) == [
        ("quantized_bits(2,0,1)", 1),
        ("quantized_bits(2,0,1)", 2),
        ("quantized_bits(3,0,1)", 1),
        ("quantized_bits(3,0,1)", 2),
    ]


def test_an_assignment_is_what_the_oracle_chose() -> None:
    [proposed] = Search(make_spec(), LARGE).propose(1).trials
    assert proposed.assignment == LARGE.assignment(proposed.oracle_trial["values"])


def test_a_proposal_that_was_not_stored_is_made_again() -> None:
    search = Search(make_spec(), LARGE)
    search.add(search.propose(2))
    search.end_first()
    assert search.propose(2) == search.propose(2)


def test_the_order_of_the_rows_does_not_matter() -> None:
    search = Search(make_spec(), LARGE)
    search.add(search.propose(4))
    search.end_first()
    backwards = replace(search, history=search.history[::-1])
    assert backwards.propose(2) == search.propose(2)


@pytest.mark.parametrize("status", [TrialStatus.CANCELLED, TrialStatus.INFEASIBLE, TrialStatus.FAILED])
def test_a_trial_without_a_result_makes_room_for_another(status: TrialStatus) -> None:
    search = Search(make_spec(trials=3), LARGE, lambda _: (status, None, None)).run()
    assert [trial.status for trial in search.history] == [status] * 3


def test_every_trial_that_starts_anew_has_its_own_seed() -> None:
    seeds = [trial.seed for trial in Search(make_spec(), LARGE).propose(20).trials]
    assert len(set(seeds)) == 20
    assert seeds == [trial.seed for trial in Search(make_spec(), LARGE).propose(20).trials]


def test_a_trial_that_goes_on_has_the_seed_it_began_with() -> None:
    search = Search(make_spec("hyperband", trials=100, training={"epochs": 9}), LARGE)
    seeds: dict[int, int] = {}
    for proposal in search.steps(2):
        seeds |= {trial.number: trial.seed for trial in proposal.trials}
    continued = [trial for trial in search.history if trial.parent is not None]
    assert any(search.history[trial.parent or 0].parent is not None for trial in continued)
    assert all(seeds[trial.number] == seeds[trial.parent or 0] for trial in continued)


def test_a_lost_state_repeats_no_trial() -> None:
    search = Search(make_spec(trials=40), LARGE)
    search.add(search.propose(20))
    proposal = propose(search.spec, LARGE, PRICER, REFERENCE, search.history, None, 20)
    assert not {trial.assignment.key for trial in proposal.trials} & set(search.keys())
