"""Trials that are judged without training, and what the search makes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.cost.pricing import Pricer
from search.history import Assignment, TrialRecord, TrialStatus, paid
from search.networks import architecture as models
from search.pruning.bounds import Judge
from search.scoring.forgiving_factor import ForgivingFactor, forgiving_factor
from search.space.choices import Choices, choices
from search.spec.job import SearchSpec
from search.spec.oracle import Constraints, FloatBound, NoBound, StrictBound
from tests.search.searches import REFERENCE, Outcome, Search, bits, make_choices, make_spec, measured

LARGE = make_choices(7, 7, 5, 5, 3)
FACTOR = ForgivingFactor()


def job(**changes: Any) -> SearchSpec:
    return SearchSpec.model_validate(
        {"model": "jet_mlp", "limits": {"by_class": {"Dense": 8, "Activation": 8}}} | changes
    )


@pytest.fixture(scope="module")
def space() -> Choices:
    spec = job(filters={"by": "layer"})
    return choices(spec, models.network(spec.model))


@pytest.fixture(scope="module")
def pricer() -> Pricer:
    spec = job()
    return Pricer(spec.goal, models.network(spec.model))


def judge(pricer: Pricer, bound: Any = None, float_metric: float | None = None, **limits: Any) -> Judge:
    reference = pricer.reference().value
    return Judge(bound or NoBound(), Constraints(**limits), pricer, FACTOR, reference, float_metric)


def cheapest(space: Choices) -> Assignment:
    return space.assignment({name: labels[0] for name, labels in space.dimensions().items()})


def most_expensive(space: Choices) -> Assignment:
    return space.assignment({name: labels[-1] for name, labels in space.dimensions().items()})


def done(number: int, metric: float, cost: float) -> TrialRecord:
    return TrialRecord(number, Assignment({}, {}), TrialStatus.DONE, metric, cost)


def test_many_prices_are_those_of_one_by_one(space: Choices, pricer: Pricer) -> None:
    dimensions = space.dimensions()
    assignments = [
        space.assignment(
            {name: labels[(i * 7 + len(name)) % len(labels)] for name, labels in dimensions.items()}
        )
        for i in range(40)
    ]
    assert pricer.price_many(assignments) == [pricer.price(assignment).value for assignment in assignments]


def test_many_prices_in_bits_are_those_of_one_by_one(space: Choices) -> None:
    spec = job(goal={"kind": "bits"})
    priced = Pricer(spec.goal, models.network(spec.model))
    assignments = [cheapest(space), most_expensive(space)]
    assert priced.price_many(assignments) == [priced.price(assignment).value for assignment in assignments]


def test_without_bound_and_constraints_everything_is_trained(space: Choices, pricer: Pricer) -> None:
    assert judge(pricer).before_training(most_expensive(space), [done(0, 1.0, 1.0)]) is None


@pytest.mark.parametrize(
    "part", ["energy_pj", "bits", "bytes", "parameter_bits", "peak_activation_bits", "macs", "bops", "ebops"]
)
def test_a_trial_that_costs_too_much_is_infeasible_and_one_at_the_limit_is_not(
    space: Choices, pricer: Pricer, part: str
) -> None:
    def cost_of(assignment: Assignment) -> float:
        return pricer.part(part, assignment, pricer.price(assignment))

    name, limit = f"max_{part}", cost_of(cheapest(space))
    assert judge(pricer, **{name: limit}).before_training(cheapest(space), []) is None
    verdict = judge(pricer, **{name: limit}).before_training(most_expensive(space), [])
    assert verdict is not None
    assert verdict.status is TrialStatus.INFEASIBLE
    assert verdict.proof["constraint"] == name
    assert verdict.proof["value"] == cost_of(most_expensive(space)) > limit
    assert not pricer.keeps(most_expensive(space), Constraints.model_validate({name: limit}))


def test_a_trial_that_cannot_win_is_pruned_and_says_why(space: Choices, pricer: Pricer) -> None:
    reference = pricer.reference().value
    verdict = judge(pricer, StrictBound()).before_training(
        most_expensive(space), [done(3, 0.99, reference / 4096)]
    )
    assert verdict is not None
    assert verdict.status is TrialStatus.PRUNED
    assert verdict.proof["incumbent"] == 3
    cost = pricer.price(most_expensive(space)).value
    assert verdict.proof["best_possible_score"] == FACTOR.score(1.0, cost, reference)
    assert verdict.proof["best_possible_score"] <= verdict.proof["incumbent_score"]


def test_a_trial_that_may_win_is_trained(space: Choices, pricer: Pricer) -> None:
    incumbent = done(0, 0.99, pricer.price(most_expensive(space)).value)
    assert judge(pricer, StrictBound()).before_training(cheapest(space), [incumbent]) is None


def test_a_trial_that_could_only_tie_is_pruned(space: Choices, pricer: Pricer) -> None:
    incumbent = done(0, 1.0, pricer.price(cheapest(space)).value)
    assert judge(pricer, StrictBound()).before_training(cheapest(space), [incumbent]) is not None


def test_the_float_metric_and_a_margin_bound_more_tightly(space: Choices, pricer: Pricer) -> None:
    incumbent = [done(0, 0.95, pricer.price(cheapest(space)).value)]
    tight = judge(pricer, FloatBound(margin=0.01), float_metric=0.9)
    assert judge(pricer, StrictBound()).before_training(cheapest(space), incumbent) is None
    verdict = tight.before_training(cheapest(space), incumbent)
    assert verdict is not None
    assert verdict.proof["metric_limit"] == pytest.approx(0.91)


def test_where_the_float_model_was_not_measured_the_bound_is_strict(pricer: Pricer) -> None:
    assert judge(pricer, FloatBound()).metric_limit() == 1.0


@given(metric=st.floats(0, 1), cost=st.floats(1, 1e12))
def test_no_score_is_above_the_best_possible_one(metric: float, cost: float) -> None:
    strict = Judge(StrictBound(), Constraints(), None, FACTOR, 1e6)  # type: ignore[arg-type]
    assert FACTOR.score(metric, cost, 1e6) <= strict.best_possible_score(cost)


def test_a_metric_that_fell_too_far_makes_a_trial_infeasible(pricer: Pricer) -> None:
    verdict = judge(pricer, float_metric=0.95, max_metric_drop=0.05).after_training(0.85)
    assert verdict is not None
    assert verdict.status is TrialStatus.INFEASIBLE


@pytest.mark.parametrize(("float_metric", "metric"), [(0.95, 0.92), (None, 0.1)])
def test_a_metric_that_did_not_fall_too_far_or_cannot_be_compared_counts(
    pricer: Pricer, float_metric: float | None, metric: float
) -> None:
    assert judge(pricer, float_metric=float_metric, max_metric_drop=0.05).after_training(metric) is None


# --- what the search makes of it -----------------------------------------------------------------------------------


class Judged(Search):
    """A search whose trials are judged before they are measured, by a strict bound and a limit of bits."""

    def end(self, index: int) -> None:
        trial = self.history[index]
        factor = forgiving_factor(self.spec.goal)
        cost = 10.0 * bits(trial.assignment)
        best = factor.score(1.0, cost, REFERENCE)
        incumbent = max(
            (factor.score(t.metric, t.cost, REFERENCE) for t in self.history if t.metric and t.cost),
            default=0.0,
        )
        if bits(trial.assignment) > (self.spec.constraints.max_bits or 1000):
            status, proof = TrialStatus.INFEASIBLE, {"constraint": "max_bits"}
        elif best <= incumbent:
            status, proof = TrialStatus.PRUNED, {"best_possible_score": best}
        else:
            super().end(index)
            return
        self.history[index] = replace(trial, status=status, proof=proof)


def judged(kind: str, **changes: Any) -> Judged:
    spec = make_spec(kind, bound="strict", constraints={"max_bits": 17}, **changes)
    return Judged(spec, LARGE, measured)


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("kind", ["random", "grid", "bayesian", "evolution", "frugal"])
def test_trials_judged_without_training_cost_no_budget(kind: str, parallel: int) -> None:
    search = judged(kind, trials=12).run(parallel)
    assert len(paid(search.history)) == 12
    assert {t.status for t in paid(search.history)} == {TrialStatus.DONE}


def test_hyperband_ends_its_brackets_though_trials_are_judged() -> None:
    search = judged("hyperband", oracle={"kind": "hyperband", "iterations": 1}, training={"epochs": 9})
    search = search.run(parallel=3)
    assert any(trial.free for trial in search.history)
    assert len(paid(search.history)) <= 20


def test_a_search_in_which_nothing_can_win_any_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.engine.MAX_FREE", 40)
    search = Judged(
        make_spec("random", trials=50, bound="strict"), make_choices(7, 7, 7, 7, 7), hopeless
    ).run()
    assert len(search.history) == 1 + 40
    assert len(paid(search.history)) == 1


def hopeless(_: Assignment) -> Outcome:
    """The first trial cannot be beaten."""
    return TrialStatus.DONE, 1.0, 1e-6


def test_free_trials_do_not_make_a_finite_search_endless() -> None:
    search = Judged(make_spec("random", trials=50, bound="strict"), make_choices(3, 3), hopeless).run()
    assert len(set(search.keys())) == len(search.history) == 9


def test_the_bayesian_oracle_learns_the_bound_of_a_pruned_trial() -> None:
    from search.oracles.base import Observation
    from tests.contracts.test_oracles import build

    oracle = build(make_spec("bayesian"))
    assert (
        oracle.score_of(Observation("0000", {}, ended=True, outcome=TrialStatus.PRUNED, bound=1.25)) == 1.25
    )
    assert build(make_spec("random")).score_of(Observation("0000", {}, ended=True, bound=1.25)) is None


# --- metrics that are better when smaller --------------------------------------------------------------------


def judge_of_errors(pricer: Pricer, bound: Any = None, **limits: Any) -> Judge:
    """Judges errors; the float model's is 0.2."""
    factor = ForgivingFactor(direction="min")
    reference = pricer.reference().value
    limited = Constraints(**limits)
    return Judge(bound or NoBound(), limited, pricer, factor, reference, 0.2, best_metric=0.0)


def test_no_error_is_below_zero_so_a_strict_bound_prunes_nothing(space: Choices, pricer: Pricer) -> None:
    judge = judge_of_errors(pricer, StrictBound())
    assert judge.metric_limit() == 0.0
    assert judge.before_training(most_expensive(space), [done(0, 1e-9, 1.0)]) is None


def test_a_share_below_the_float_error_bounds_more_tightly(space: Choices, pricer: Pricer) -> None:
    judge = judge_of_errors(pricer, FloatBound(margin=0.1))
    assert judge.metric_limit() == pytest.approx(0.18)
    verdict = judge.before_training(most_expensive(space), [done(0, 0.01, 1.0)])
    assert verdict is not None
    assert verdict.status is TrialStatus.PRUNED
    assert verdict.proof["best_possible_score"] <= verdict.proof["incumbent_score"] < 0


@pytest.mark.parametrize(("metric", "is_kept"), [(0.1, True), (0.23, True), (0.25, False)])
def test_an_error_may_rise_by_a_share_of_the_float_model_s(
    pricer: Pricer, metric: float, is_kept: bool
) -> None:
    verdict = judge_of_errors(pricer, max_metric_drop=0.2).after_training(metric)
    assert (verdict is None) == is_kept
    if verdict is not None:
        assert "rose by a share of 0.25" in verdict.reason


@given(metric=st.floats(0.18, 10), cost=st.floats(1, 1e12))
def test_no_larger_error_scores_better_than_the_best_possible_one(metric: float, cost: float) -> None:
    factor = ForgivingFactor(direction="min")
    unpriced: Any = None
    bounded = Judge(FloatBound(margin=0.1), Constraints(), unpriced, factor, 1e6, 0.2, best_metric=0.0)
    assert factor.score(metric, cost, 1e6) <= bounded.best_possible_score(cost) + 1e-12
