"""The score of many trials at once: as NumPy arrays, and as SQL that a database sorts by.

Both say what `search.scoring.forgiving_factor.ForgivingFactor.score` says of one trial; a test holds them equal.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Double, case, func, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from search.scoring.forgiving_factor import MAXIMIZE, SMALLEST_FACTOR, ForgivingFactor

Floats = NDArray[np.float64]


def scores(metric: Floats, cost: Floats, *, factor: ForgivingFactor, reference: float) -> Floats:
    """Score of each metric and cost; NaN where one of them is NaN or the cost is not above 0."""
    budget, rate = factor.budget(reference), math.log(factor.rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = np.where(cost < budget, factor.delta_p, factor.delta_n)
        whole = 1.0 + percent / 100 * (math.log(budget) - np.log(np.where(cost > 0, cost, np.nan))) / rate
        merit = metric if factor.direction == MAXIMIZE else -metric
        found = np.where(merit >= 0, merit * whole, merit / np.maximum(whole, SMALLEST_FACTOR))
    return np.asarray(np.where(np.isnan(metric) | np.isnan(whole), np.nan, found), dtype=np.float64)


class _Larger(FunctionElement[float]):
    """The larger of two expressions: SQLite and PostgreSQL call it differently."""

    type = Double()
    inherit_cache = True


@compiles(_Larger)
def _greatest(element: _Larger, compiler: SQLCompiler, **options: Any) -> str:
    return f"greatest({compiler.process(element.clauses, **options)})"


@compiles(_Larger, "sqlite")
def _max(element: _Larger, compiler: SQLCompiler, **options: Any) -> str:
    return f"max({compiler.process(element.clauses, **options)})"


def score_sql(metric: Any, cost: Any, *, factor: ForgivingFactor, reference: float) -> ColumnElement[float]:
    """The score as an expression over two columns; NULL where one of them is. It names each as seldom as it can: it
    is computed for every row of a job that is sorted by it.
    """
    budget, rate = factor.budget(reference), math.log(factor.rate)
    percent = case((cost < budget, factor.delta_p / 100 / rate), else_=factor.delta_n / 100 / rate)
    logarithm = func.ln(case((cost > 0, cost)))
    whole: Any = 1.0 + percent * (math.log(budget) - logarithm)
    divisor: Any = _Larger(whole, literal(SMALLEST_FACTOR, Double()))
    merit = metric if factor.direction == MAXIMIZE else -metric
    return case((cost.is_(None), None), (merit >= 0, merit * whole), else_=merit / divisor)


def front(metric: Floats, cost: Floats) -> NDArray[np.bool_]:
    """True for each point no other point beats in both: as `search.scoring.pareto`, ties kept. NaN is never on it."""
    kept = np.zeros(len(metric), dtype=np.bool_)
    known = np.flatnonzero(~(np.isnan(metric) | np.isnan(cost)))
    if not len(known):
        return kept
    order = known[np.lexsort((-metric[known], cost[known]))]
    highest = np.maximum.accumulate(metric[order])
    before = np.concatenate(([-np.inf], highest[:-1]))
    better = metric[order] > before
    better[0] = True
    # a tie repeats both metric and cost of the last point that was better
    last = np.maximum.accumulate(np.where(better, np.arange(len(order)), 0))
    same = (metric[order] == metric[order][last]) & (cost[order] == cost[order][last])
    kept[order[better | same]] = True
    return kept
