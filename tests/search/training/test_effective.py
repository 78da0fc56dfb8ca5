"""Costs of trained weights, as trials report them and goals count them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from search.data import Dataset
from search.engine import propose
from search.history import EpochReport, TrialStatus
from search.plan import Plan
from search.plans.kinds import plan
from search.training.request import TrainingRequest
from search.training.trial import run_trial
from service.schemas.rescore import RescoreSpec
from tests.search.conftest import small_spec
from tests.search.searches import REFERENCE, Search, make_choices, make_spec


class Silent:
    """Hears nothing."""

    def batch(self) -> None:
        """Does nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Does nothing."""


def test_a_trial_of_a_goal_that_counts_trained_weights_has_their_cost(
    digits: Dataset, tmp_path: Path
) -> None:
    goal = {"kind": "ebops", "effective": "weight"}
    prepared: Plan = plan(small_spec(goal=goal, training={"epochs": 1, "batch_size": 32}), Path())
    [proposed] = Search(prepared.spec, prepared.choices).propose(1).trials
    measurement = run_trial(prepared, TrainingRequest(proposed.assignment, 1), digits, Silent(), tmp_path)
    bound = prepared.pricer.price(proposed.assignment)
    assert set(measurement.effective) == {"weight", "channel", "tensor"}
    assert measurement.cost.value == measurement.effective["weight"]["ebops"] < bound.value
    assert measurement.cost.energy_pj == bound.energy_pj >= measurement.effective["tensor"]["energy_pj"]
    values = [costs["bits"] for costs in measurement.effective.values()]
    assert values == sorted(values)


def test_candidates_are_priced_by_the_share_that_trained_weights_use() -> None:
    """Frugal compares what candidates will cost with what trials cost, not with what their types do."""
    choices, prices = make_choices(3, 3), []

    class Pricer:
        """Notes the factor that the engine applies to it."""

        def price_many(self, assignments: Any) -> list[float]:
            prices.append(len(assignments))
            return [100.0] * len(assignments)

        def keeps(self, *_: Any) -> bool:
            return True

    spec = make_spec("frugal", goal={"kind": "ebops", "effective": "tensor"})
    search = Search(spec, choices, lambda _: (TrialStatus.DONE, 0.9, 25.0)).run()
    assert len(search.history) == 9
    proposal = propose(spec, choices, Pricer(), REFERENCE, search.history[:3], None, 1)  # type: ignore[arg-type]
    assert prices[0] == 3  # the trials measured so far
    assert len(proposal.trials) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"goal": {"kind": "macs", "effective": "weight"}}, "does not depend on trained weights"),
        ({"goal": {"kind": "bits", "effective": "layer"}}, "weight"),
        ({"goal": {"kind": "ebops", "effective": "weight"}, "bound": "strict"}, "set bound to off"),
    ],
)
def test_what_cannot_be_counted_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        small_spec(**changes)


def test_trials_are_not_ranked_again_by_weights_that_are_not_there() -> None:
    with pytest.raises(ValidationError, match="leave this out"):
        RescoreSpec.model_validate({"goal": {"kind": "ebops", "effective": "weight"}})
