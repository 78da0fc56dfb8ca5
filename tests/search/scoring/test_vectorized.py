"""Many scores at once are those of each trial on its own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.scoring.forgiving_factor import MAXIMIZE, MINIMIZE, ForgivingFactor
from search.scoring.vectorized import merits, scores

FACTOR = ForgivingFactor(8.0, 12.0, 2.0, 0.9)

directions = st.sampled_from([MAXIMIZE, MINIMIZE])
metrics = st.one_of(st.just(math.nan), st.floats(-2, 2))
costs = st.one_of(st.just(math.nan), st.floats(1e-3, 1e9))
trials = st.lists(st.tuples(metrics, costs), max_size=30)


@given(trials, st.floats(1e-3, 1e9), directions)
def test_many_scores_are_those_of_each(
    trials: list[tuple[float, float]], reference: float, direction: str
) -> None:
    factor = replace(FACTOR, direction=direction)
    metric, cost = (np.array([trial[i] for trial in trials], dtype=np.float64) for i in (0, 1))
    result = scores(metric, cost, factor=factor, reference=reference)
    for index, (m, c) in enumerate(trials):
        if math.isnan(m) or math.isnan(c):
            assert math.isnan(result[index])
        else:
            assert result[index] == pytest.approx(factor.score(m, c, reference), rel=1e-9)


def test_a_cost_that_is_not_above_0_has_no_score() -> None:
    result = scores(np.ones(3), np.array([0.0, -1.0, 1.0]), factor=FACTOR, reference=1.0)
    assert np.isnan(result).tolist() == [True, True, False]


@given(st.floats(-2, 2), directions)
def test_many_merits_are_those_of_each(metric: float, direction: str) -> None:
    factor = replace(FACTOR, direction=direction)
    assert merits(np.array([metric]), factor).tolist() == [factor.merit(metric)]
