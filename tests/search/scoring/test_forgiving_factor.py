"""One formula weighs every metric against every cost."""

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from search.scoring.forgiving_factor import MAXIMIZE, MINIMIZE, SMALLEST_FACTOR, ForgivingFactor

costs = st.floats(1e-3, 1e12)
percents = st.floats(0, 50)
rules = st.builds(ForgivingFactor, percents, percents, st.floats(1.1, 100), st.floats(0.01, 10))


def test_a_saving_of_the_rate_forgives_delta_p_percent():
    assert ForgivingFactor(8, 2, 2).factor(cost=50, reference=100) == pytest.approx(1.08)


def test_an_excess_of_the_rate_costs_delta_n_percent():
    assert ForgivingFactor(8, 2, 2).factor(cost=200, reference=100) == pytest.approx(0.98)


def test_the_notebooks_saving_is_worth_a_third():
    assert ForgivingFactor(8, 8, 2).delta(cost=11, reference=204) == pytest.approx(0.337, abs=5e-4)


@given(rule=rules, reference=costs)
def test_the_factor_is_one_at_the_budget(rule, reference):
    assert rule.factor(rule.budget(reference), reference) == pytest.approx(1)


@given(rule=rules, reference=costs, first=costs, second=costs)
def test_a_cheaper_network_never_has_a_smaller_factor(rule, reference, first, second):
    cheap, costly = sorted((first, second))

    assert rule.factor(cheap, reference) >= rule.factor(costly, reference) - 1e-9


directions = st.sampled_from([MAXIMIZE, MINIMIZE])
signed = st.floats(-10, 10)


@given(rule=rules, reference=costs, cost=costs, one=signed, other=signed, direction=directions)
def test_a_better_metric_scores_better_at_any_cost(rule, reference, cost, one, other, direction):
    rule = replace(rule, direction=direction)
    worse, better = sorted((one, other), key=rule.merit)
    assume(rule.merit(better) <= 0 or rule.factor(cost, reference) > 1e-6)

    scores = [rule.score(value, cost, reference) for value in (worse, better)]

    assert scores[0] < scores[1] or abs(one - other) < 1e-6
    assert scores == sorted(scores)


@given(rule=rules, reference=costs, first=costs, second=costs, metric=signed, direction=directions)
def test_a_cheaper_network_never_scores_worse(rule, reference, first, second, metric, direction):
    rule = replace(rule, direction=direction)
    cheap, costly = (rule.score(metric, cost, reference) for cost in sorted((first, second)))

    assert cheap >= costly - 1e-9 * (1 + abs(costly))


@given(rule=rules, reference=costs, cost=costs, metric=signed, direction=directions)
def test_every_score_is_a_finite_number(rule, reference, cost, metric, direction):
    assert math.isfinite(replace(rule, direction=direction).score(metric, cost, reference))


@given(rule=rules, reference=costs, cost=costs)
def test_stress_moves_the_reference(rule, reference, cost):
    plain = ForgivingFactor(rule.delta_p, rule.delta_n, rule.rate)

    assert rule.delta(cost, reference) == pytest.approx(plain.delta(cost, rule.stress * reference), abs=1e-9)


@given(rule=rules, reference=costs, cost=costs)
def test_the_compatible_rule_ignores_stress(rule, reference, cost):
    compatible = ForgivingFactor(rule.delta_p, rule.delta_n, rule.rate, rule.stress, ignores_stress=True)
    plain = ForgivingFactor(rule.delta_p, rule.delta_n, rule.rate)

    assert compatible.delta(cost, reference) == plain.delta(cost, reference)


@given(rule=rules, reference=costs, cost=costs, metric=signed, direction=directions)
def test_the_slope_is_what_a_unit_of_merit_adds_to_the_score(rule, reference, cost, metric, direction):
    rule = replace(rule, direction=direction)
    merit = rule.merit(metric)
    slope = rule.slope(cost, reference, below_zero=merit < 0)

    assert slope > 0
    if merit < 0 or rule.factor(cost, reference) >= SMALLEST_FACTOR:
        assert rule.score(metric, cost, reference) == pytest.approx(slope * merit)


def test_a_minimised_metric_is_divided_and_counts_from_below():
    assert ForgivingFactor(8, 8, 2, direction=MINIMIZE).score(0.54, 50, 100) == pytest.approx(-0.5)


def test_a_negative_metric_is_not_made_better_by_cost():
    rule = ForgivingFactor(8, 8, 2)

    assert rule.score(-1.0, 50, 100) > rule.score(-1.0, 200, 100)


def test_an_error_is_divided_by_no_smaller_factor_than_the_smallest():
    rule = ForgivingFactor(50, 50, 2, direction=MINIMIZE)

    assert rule.score(0.5, 100_000, 10) == -0.5 / SMALLEST_FACTOR


def test_nan_stays_nan():
    assert math.isnan(ForgivingFactor().score(math.nan, 1, 2))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("delta_p", -1),
        ("delta_n", math.nan),
        ("rate", 1),
        ("rate", math.inf),
        ("rate", math.nan),
        ("stress", 0),
        ("stress", math.inf),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        ForgivingFactor(**{field: value})


@pytest.mark.parametrize(
    ("cost", "reference", "says"), [(0, 1, "cost"), (1, -1, "reference"), (math.nan, 1, "cost")]
)
def test_a_cost_that_makes_no_sense_is_refused(cost, reference, says):
    with pytest.raises(ValueError, match=says):
        ForgivingFactor().factor(cost, reference)


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match="direction"):
        ForgivingFactor(direction="sideways")
