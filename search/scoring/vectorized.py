"""The score of many trials at once, as NumPy arrays. Plain: numpy only.

The formula is that of `search.scoring.forgiving_factor.ForgivingFactor.score` for one trial; a test holds them
equal. The logarithms of NumPy and of the standard library may differ in the last digit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from search.scoring.forgiving_factor import MAXIMIZE, SMALLEST_FACTOR, ForgivingFactor

Floats = NDArray[np.float64]


def merits(metric: Floats, factor: ForgivingFactor) -> Floats:
    """The metrics with the sign that makes larger better."""
    return metric if factor.direction == MAXIMIZE else -metric


def scores(metric: Floats, cost: Floats, *, factor: ForgivingFactor, reference: float) -> Floats:
    """Score of each metric and cost; NaN where one of them is NaN or the cost is not above 0. Shapes (trials,)."""
    budget, rate = factor.budget(reference), math.log(factor.rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = np.where(cost < budget, factor.delta_p, factor.delta_n)
        factors = 1.0 + percent / 100 * (math.log(budget) - np.log(np.where(cost > 0, cost, np.nan))) / rate
        merit = merits(metric, factor)
        score = np.where(merit >= 0, merit * factors, merit / np.maximum(factors, SMALLEST_FACTOR))
    return np.asarray(np.where(np.isnan(metric) | np.isnan(factors), np.nan, score), dtype=np.float64)
