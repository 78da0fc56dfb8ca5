"""What is left of a job's budget of trials and epochs when its next trials are proposed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from search.history import TRIAL_ENDED, TrialRecord, paid
from search.spec.job import SearchSpec
from search.spec.oracle import NoBound, NoPostTraining


class TrialBudget:
    """The remaining budget. Running trials count as if they trained all of their epochs."""

    def __init__(self, spec: SearchSpec, records: Sequence[TrialRecord]) -> None:
        self._whole = spec.training.epochs
        self._executions = spec.training.executions
        counted = paid(records)
        self.trials = max(spec.budget.trials - len(counted), 0)
        self.epochs: float = math.inf
        if spec.budget.epochs is not None:
            used = sum(self._cost(record.epochs, record.initial_epoch) for record in counted)
            self.epochs = spec.budget.epochs - used
        # A trial that has not ended may still be judged without training, and then does not count.
        self._judges = (
            not isinstance(spec.post_training, NoPostTraining)
            or not isinstance(spec.bound, NoBound)
            or spec.constraints.limits_cost
        )
        self._may_grow = self._judges and any(record.status not in TRIAL_ENDED for record in records)

    @property
    def is_spent(self) -> bool:
        """True if no further trial can ever be paid for."""
        return self.trials == 0 and not self._may_grow

    def _cost(self, epochs: int | None, initial_epoch: int) -> int:
        """Epochs of a trial, in all of its executions."""
        return ((epochs or self._whole) - initial_epoch) * self._executions

    def pay(self, epochs: int | None, initial_epoch: int) -> bool:
        """Pay for a training; False if it is longer than the remaining budget."""
        cost = self._cost(epochs, initial_epoch)
        if self.trials < 1 or cost > self.epochs:
            return False
        self.trials -= 1
        self.epochs -= cost
        self._may_grow = self._judges
        return True
