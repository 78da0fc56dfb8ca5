"""Candidates that keep a hard cap on cost, where chance finds none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.oracles.base import Setting
from search.oracles.candidates import Candidates, Floats, Rows

#: Candidates that are walked to the cap, and how many changes each is tried with at most.
_WALKERS, _CHANGES = 12, 150


def keeping(setting: Setting, candidates: Candidates, rows: Rows) -> NDArray[np.bool_]:
    """Of each row whether its assignment keeps the job's constraints."""
    if not setting.constraints.limits_cost:
        return np.ones(len(rows), dtype=bool)
    return np.array(
        [
            setting.prices.keeps(setting.choices.assignment(values), setting.constraints)
            for values in candidates.every_values(rows)
        ],
        dtype=bool,
    )


def affordable(setting: Setting, candidates: Candidates, rows: Rows, chance: np.random.Generator) -> Rows:
    """Some of these rows, changed choice by choice to what costs less until they keep the job's constraints.

    They end just below the cap, where a capped search has its best networks. Rows that do not get there are left out.
    """
    walking = rows[chance.permutation(len(rows))[:_WALKERS]].copy()
    arrived: list[Rows] = []
    costs = _costs(setting, candidates, walking)
    for _ in range(_CHANGES):
        if not len(walking):
            break
        there = keeping(setting, candidates, walking)
        arrived.append(walking[there])
        walking, costs = walking[~there], costs[~there]
        changed = _changed(candidates, walking, chance)
        prices = _costs(setting, candidates, changed)
        cheaper = prices < costs
        walking[cheaper], costs[cheaper] = changed[cheaper], prices[cheaper]
    return np.concatenate(arrived) if arrived else rows[:0]


def _changed(candidates: Candidates, rows: Rows, chance: np.random.Generator) -> Rows:
    """Each row with one choice made anew."""
    changed = rows.copy()
    where = chance.integers(0, len(candidates.sizes), size=len(rows))
    changed[np.arange(len(rows)), where] = chance.integers(0, candidates.sizes[where])
    return changed


def _costs(setting: Setting, candidates: Candidates, rows: Rows) -> Floats:
    """What each costs; infinite where there is no network."""
    assignments = [setting.choices.assignment(values) for values in candidates.every_values(rows)]
    found = np.array(setting.prices.price_many(assignments), dtype=float)  # None becomes NaN
    return np.where(np.isnan(found), np.inf, found)
