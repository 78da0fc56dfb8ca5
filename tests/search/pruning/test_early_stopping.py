"""When a training is stopped early."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.history import TrialStatus
from search.pruning.early_stopping import STOPPING_RULES, stopping_rule, verdict
from search.spec.oracle import AshaStopping, MedianStopping, NoStopping

GOOD, POOR = [0.5, 0.7, 0.8, 0.85], [0.2, 0.3, 0.35, 0.4]

curves = st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=9), max_size=12)
curve = st.lists(st.floats(0, 1), min_size=1, max_size=9)


def unasked() -> list[list[float]]:
    raise AssertionError("the other trials need not be read")


@given(values=curve, others=curves, kind=st.sampled_from([MedianStopping(), AshaStopping()]))
def test_a_minimised_metric_is_judged_as_its_negative(
    values: list[float], others: list[list[float]], kind: MedianStopping | AshaStopping
) -> None:
    errors, other_errors = [1 - v for v in values], [[1 - v for v in other] for other in others]
    mirrored = stopping_rule(kind, "min").judge(errors, lambda: other_errors)
    proof = stopping_rule(kind, "max").judge(
        [v - 1 for v in values], lambda: [[v - 1 for v in e] for e in others]
    )
    assert (mirrored is None) == (proof is None)
    if mirrored is not None and proof is not None:
        assert mirrored["metric"] == -proof["metric"] == min(errors)
        assert "is above the" in verdict(mirrored).reason


def test_nothing_is_given_up_where_stopping_is_off() -> None:
    assert stopping_rule(NoStopping()).judge([0.0], unasked) is None


@pytest.mark.parametrize("kind", ["median", "asha"])
def test_a_poor_training_among_good_ones_is_given_up_and_a_good_one_among_poor_ones_is_not(kind: str) -> None:
    rule = STOPPING_RULES[kind]({"median": MedianStopping(), "asha": AshaStopping()}[kind])
    epochs = 3
    assert rule.judge(POOR[:epochs], lambda: [GOOD] * 6) is not None
    assert rule.judge(GOOD[:epochs], lambda: [POOR] * 6) is None


def test_the_median_is_of_means_up_to_the_same_epoch() -> None:
    rule = stopping_rule(MedianStopping(min_trials=1))
    assert rule.judge([0.55, 0.6], lambda: [[0.5, 0.7, 1.0, 1.0]]) is None
    proof = rule.judge([0.55, 0.59], lambda: [[0.5, 0.7, 1.0, 1.0]])
    assert proof is not None
    assert proof["metric_needed"] == pytest.approx(0.6)


def test_grace_epochs_are_granted_without_a_look_at_others() -> None:
    assert stopping_rule(MedianStopping(grace_epochs=3)).judge(POOR[:2], unasked) is None


def test_too_few_others_decide_nothing() -> None:
    assert stopping_rule(MedianStopping(min_trials=5)).judge(POOR, lambda: [GOOD] * 4) is None
    assert stopping_rule(AshaStopping(factor=3)).judge(POOR[:3], lambda: [GOOD]) is None


@pytest.mark.parametrize(("epochs", "is_rung"), [(1, True), (2, False), (3, True), (8, False), (9, True)])
def test_asha_judges_at_its_rungs_only(epochs: int, is_rung: bool) -> None:
    result = stopping_rule(AshaStopping()).judge([0.0] * epochs, lambda: [[0.5] * 9] * 9)
    assert (result is not None) == is_rung


def test_of_those_that_came_to_a_rung_the_best_third_goes_on() -> None:
    others = [[0.1], [0.2], [0.3], [0.4], [0.5]]
    rule = stopping_rule(AshaStopping())
    assert rule.judge([0.45], lambda: others) is None
    assert rule.judge([0.35], lambda: others) is not None


@given(curve, curves)
def test_a_training_better_than_all_others_is_never_given_up(
    mine: list[float], others: list[list[float]]
) -> None:
    mine = [*mine[:-1], 1.0]
    for spec in (MedianStopping(grace_epochs=1, min_trials=1), AshaStopping()):
        assert stopping_rule(spec).judge(mine, lambda: others) is None


@given(curve, curves)
def test_what_others_did_later_does_not_matter(mine: list[float], others: list[list[float]]) -> None:
    longer = [[*other, 1.0] for other in others if len(other) >= len(mine)]
    same = [other for other in others if len(other) >= len(mine)]
    for spec in (MedianStopping(grace_epochs=1, min_trials=1), AshaStopping()):
        rule = stopping_rule(spec)
        assert rule.judge(mine, lambda: longer) == rule.judge(mine, lambda: same)


def test_a_trial_given_up_is_pruned_with_its_metric_so_far() -> None:
    proof = stopping_rule(AshaStopping()).judge([0.1, 0.35, 0.3], lambda: [GOOD] * 5)
    assert proof is not None
    result = verdict(proof)
    assert result.status is TrialStatus.PRUNED
    assert "stopped after 3 epochs: its metric of 0.35" in result.reason
