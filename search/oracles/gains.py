"""What a candidate is expected to gain: of the best score, or of the area that the trials dominate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.oracles.base import Observation, OracleContext
from search.oracles.candidates import Floats
from search.oracles.surrogate import expected_improvement


def score_improvement(
    context: OracleContext, incumbent: float, costs: Floats, mean: Floats, deviation: Floats
) -> Floats:
    """Expected improvement of the best score, `incumbent`, by candidates with a normal merit. Shapes (candidates,).

    At a known cost the score is the merit times a known slope. So the improvement is the slope times that of the merit,
    over the merit that has the incumbent's score at this cost. Merits above the best possible one do not count.
    """
    slopes = np.array(
        [context.factor.slope(cost, context.reference, below_zero=incumbent < 0) for cost in costs.tolist()]
    )
    level = incumbent / slopes
    gain = expected_improvement(level, mean, deviation)
    if context.best_merit is not None:
        level = np.minimum(level, context.best_merit)
        beyond = expected_improvement(context.best_merit, mean, deviation)
        gain = expected_improvement(level, mean, deviation) - beyond
    return np.asarray(slopes * np.maximum(gain, 0))


def front_improvement(
    staircase: tuple[Floats, Floats], costs: Floats, mean: Floats, deviation: Floats
) -> Floats:
    """Expected growth of the area of merit and log cost that the trials dominate, up to the reference's cost.

    At a known cost the area is, level by level, the distance to the first trial that reaches the level.
    """
    logs = np.log(costs)
    levels, reached = staircase
    gain = np.zeros(len(costs))
    for low, high, width in zip(levels[:-1], levels[1:], reached, strict=True):
        share = expected_improvement(low, mean, deviation) - expected_improvement(high, mean, deviation)
        gain += np.maximum(width - logs, 0) * np.maximum(share, 0)
    return gain


def staircase(measured: Sequence[Observation], context: OracleContext) -> tuple[Floats, Floats]:
    """Levels of the merit, and for each step between them the log cost at which it is reached.

    They begin at 0, or at the least merit measured if that is negative, and end at the best possible one; where there
    is none, as far above the best measured one as the least is below. Levels not reached yet count as reached at the
    cost of the reference, or of the most expensive trial if that is more. At least one trial is measured.
    """
    points = sorted((float(observation.cost or 0), float(observation.merit or 0)) for observation in measured)
    merits = [merit for _, merit in points]
    ceiling = np.log(max(points[-1][0], context.reference))
    levels, reached = [min(0.0, *merits)], []
    for cost, merit in points:
        if merit > levels[-1]:
            levels.append(merit)
            reached.append(np.log(cost))
    top = 2 * max(merits) - min(merits) if context.best_merit is None else context.best_merit
    if levels[-1] < top:
        levels.append(top)
        reached.append(ceiling)
    return np.array(levels), np.array(reached)
