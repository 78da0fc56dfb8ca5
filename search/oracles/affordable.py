"""Candidates below a hard cap on cost, where random draws do not find any."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.oracles.base import OracleContext
from search.oracles.candidates import Candidates, Floats, Rows

#: Candidates that are made cheaper at once, and the most changes tried on each.
_WALKERS, _CHANGES = 12, 150


def meets_constraints(context: OracleContext, candidates: Candidates, rows: Rows) -> NDArray[np.bool_]:
    """True for each row whose assignment meets the job's constraints on cost."""
    if not context.constraints.limits_cost:
        return np.ones(len(rows), dtype=bool)
    return np.array(
        [
            context.pricer.keeps(context.choices.assignment(values), context.constraints)
            for values in candidates.every_values(rows)
        ],
        dtype=bool,
    )


def affordable(context: OracleContext, candidates: Candidates, rows: Rows, rng: np.random.Generator) -> Rows:
    """Some of these rows, made cheaper choice by choice until they meet the job's constraints.

    They end just below the cap, where a capped search has its best networks. Rows that do not get there are left out.
    """
    walking = rows[rng.permutation(len(rows))[:_WALKERS]].copy()
    arrived: list[Rows] = []
    costs = _costs(context, candidates, walking)
    for _ in range(_CHANGES):
        if not len(walking):
            break
        mask = meets_constraints(context, candidates, walking)
        arrived.append(walking[mask])
        walking, costs = walking[~mask], costs[~mask]
        changed = _changed(candidates, walking, rng)
        changed_costs = _costs(context, candidates, changed)
        cheaper = changed_costs < costs
        walking[cheaper], costs[cheaper] = changed[cheaper], changed_costs[cheaper]
    return np.concatenate(arrived) if arrived else rows[:0]


def _changed(candidates: Candidates, rows: Rows, rng: np.random.Generator) -> Rows:
    """Each row with one choice drawn anew."""
    changed = rows.copy()
    columns = rng.integers(0, len(candidates.sizes), size=len(rows))
    changed[np.arange(len(rows)), columns] = rng.integers(0, candidates.sizes[columns])
    return changed


def _costs(context: OracleContext, candidates: Candidates, rows: Rows) -> Floats:
    """The cost of each row; infinite where no network can be built."""
    assignments = [context.choices.assignment(values) for values in candidates.every_values(rows)]
    costs = np.array(context.pricer.price_many(assignments), dtype=float)  # None becomes NaN
    return np.where(np.isnan(costs), np.inf, costs)
