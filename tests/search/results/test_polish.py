"""What follows a search: which trials are polished, once each, and that the oracle goes on afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from search.errors import InvalidSpec
from search.history import Assignment, Measurement, NewTrial, TrialRecord, TrialStatus, paid, polish_of
from search.plans.kinds import plan
from search.results.polish import polished_trials, unpolished
from search.spec.job import SearchSpec
from search.spec.stored import completed
from tests.contracts.test_oracles import LARGE
from tests.search.conftest import small_spec
from tests.search.searches import Search, make_spec

REFERENCE = 1e4


def records(*measured: tuple[float, float]) -> list[TrialRecord]:
    nothing = Assignment({}, {})
    return [
        TrialRecord(number, nothing, TrialStatus.DONE, metric, cost, {"trial_id": str(number), "values": {}})
        for number, (metric, cost) in enumerate(measured)
    ]


def ended(trial: NewTrial, status: TrialStatus = TrialStatus.DONE) -> TrialRecord:
    return TrialRecord(
        trial.number,
        trial.assignment,
        status,
        1.0,
        1.0,
        trial.oracle_trial,
        trial.epochs,
        trial.initial_epoch,
        trial.parent,
    )


def spec(**polish: Any) -> SearchSpec:
    return small_spec(polish={"kind": "bits", **polish})


def test_nothing_follows_a_search_unless_it_is_asked_for() -> None:
    assert polished_trials(small_spec(), records((0.9, 100.0)), REFERENCE) == ()


def test_the_best_trial_is_polished_once_however_its_polishing_ends() -> None:
    history = records((0.9, 5000.0), (0.9, 100.0), (0.5, 90.0))
    [trial] = polished_trials(spec(drop=0.01), history, REFERENCE)
    assert (trial.number, trial.parent) == (3, 1)
    assert trial.epochs == trial.initial_epoch
    for status in (TrialStatus.DONE, TrialStatus.FAILED, TrialStatus.PRUNED):
        assert polish_of(ended(trial, status)) == 0.01
        assert polished_trials(spec(drop=0.01), [*history, ended(trial, status)], REFERENCE) == ()


def test_every_trial_on_the_front_is_polished_as_many_at_once_as_may_run() -> None:
    history = records((0.9, 500.0), (0.8, 100.0), (0.7, 200.0), (0.95, 900.0))
    job, parents = spec(of="front").model_copy(update={"parallel_trials": 2}), []
    while trials := polished_trials(job, history, REFERENCE):
        assert len(trials) <= 2
        parents += [trial.parent for trial in trials]
        history += [ended(trial) for trial in trials]
    assert parents == [0, 1, 3]


def test_polished_trials_use_nothing_of_the_budget_and_the_oracle_goes_on_after_them() -> None:
    plain, polished = Search(make_spec(trials=6), LARGE), Search(make_spec(trials=6), LARGE)
    plain.add(plain.propose(3))
    polished.add(polished.propose(3))
    done = [replace(record, status=TrialStatus.DONE, metric=0.5, cost=10.0) for record in polished.history]
    plain.history = list(done)
    [trial] = polished_trials(spec(), done, REFERENCE)
    polished.history = [*done, ended(trial)]
    assert len(paid(polished.history)) == 3
    ahead, behind = polished.propose(3).trials, plain.propose(3).trials
    assert [one.assignment for one in ahead] == [one.assignment for one in behind]
    assert [one.number for one in ahead] == [4, 5, 6]


def test_a_network_that_cannot_have_fewer_bits_is_no_result() -> None:
    [trial] = polished_trials(spec(), records((0.9, 100.0)), REFERENCE)
    record = ended(trial)
    measured = Measurement(0.9, 0.1, None, {}, 0, assignment=record.assignment)  # type: ignore[arg-type]
    verdict = unpolished(record, measured)
    assert verdict is not None
    assert verdict.status == TrialStatus.PRUNED
    assert "trial 0" in verdict.reason
    other = replace(measured, assignment=Assignment({}, {"a": {}}))
    assert unpolished(record, other) is None
    assert unpolished(records((0.9, 100.0))[0], measured) is None


def test_jobs_of_earlier_versions_are_not_polished() -> None:
    document = small_spec().model_dump(mode="json")
    del document["polish"]
    assert SearchSpec.model_validate(completed(document)).polish.kind == "off"


def test_a_search_in_blocks_cannot_be_polished() -> None:
    blocks = {"kind": "per_block", "blocks": ["conv.*", "dense.*"]}
    with pytest.raises(ValidationError, match="schedule to whole_model"):
        small_spec(polish="bits", schedule=blocks)


def test_a_spiking_network_cannot_be_polished() -> None:
    with pytest.raises(InvalidSpec, match="quantizers, which a spiking network"):
        plan(
            SearchSpec.model_validate(
                {
                    "model": {"kind": "xylo", "name": "spiking_digits"},
                    "data": "spiking_digits",
                    "polish": "bits",
                }
            ),
            Path(),
        )
