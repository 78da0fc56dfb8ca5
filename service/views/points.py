"""The measured trials of a job as columns, from which best trials, front and extremes are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sqlalchemy.orm import Session

from search.scoring.best import best_first
from search.scoring.pareto import on_front
from search.scoring.vectorized import Floats, merits
from service.schemas.jobs import PointView
from service.store import reading
from service.store.reading import Scoring
from service.views.scoring import score_of


@dataclass(frozen=True, slots=True)
class JobPoints:
    """Columns of equal length, by trial number; shape (trials,)."""

    number: tuple[int, ...]
    energy_pj: tuple[float, ...]
    bits: tuple[int, ...]
    metric: Floats
    cost: Floats
    score: Floats
    scoring: Scoring

    @classmethod
    def read(cls, session: Session, job_id: str, scoring: Scoring) -> Self:
        """The measured trials of a job, scored."""
        number, metrics, costs, energy_pj, bits = reading.measured_columns(session, job_id)
        metric, cost = np.array(metrics, dtype=np.float64), np.array(costs, dtype=np.float64)
        return cls(number, energy_pj, bits, metric, cost, score_of(metric, cost, scoring), scoring)

    def best(self, count: int) -> list[PointView]:
        """The highest scores, best first."""
        return [self._view(index) for index in best_first(self.score, count)]

    def front(self) -> list[PointView]:
        """The points that no other point beats in both metric and cost, by rising cost."""
        members = np.flatnonzero(on_front(self._merit(), self.cost))
        return [self._view(index) for index in members[np.lexsort((members, self.cost[members]))]]

    def summary(self) -> dict[str, Any]:
        """The best trial and the extremes, as fields of a job; None without a trial that has a score."""
        best = self.best(1)
        if not best:
            return dict.fromkeys(("best", "best_metric", "least_cost", "least_energy_pj"))
        return {
            "best": best[0],
            "best_metric": float(self.metric[best_first(self._merit(), 1)[0]]),
            "least_cost": float(np.nanmin(self.cost)),
            "least_energy_pj": min(self.energy_pj),
        }

    def _merit(self) -> Floats:
        """The metric with the sign that makes larger better."""
        return merits(self.metric, self.scoring.factor)

    def _view(self, index: Any) -> PointView:
        metric, cost = float(self.metric[index]), float(self.cost[index])
        return PointView(
            number=self.number[index],
            score=self.scoring.score(metric, cost),
            metric=metric,
            cost=cost,
            energy_pj=self.energy_pj[index],
            bits=self.bits[index],
        )
