"""What one training is asked for, and who hears how it goes. Plain values; nothing loads Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from search.history import Assignment, EpochReport

#: The float network: no layer is quantized, no width is changed.
FLOAT: Final = Assignment(values={}, quantizers={})

#: Gets the metric on the validation data before the first epoch; may raise, which ends the trial.
UntrainedCheck: TypeAlias = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """Trains an assignment from the epoch `initial_epoch` up to the epoch `epochs`; epochs count from 0.

    `start_from`: the model.keras of an earlier training. Of the same assignment, the training continues with its
    weights and the state of its optimizer, as they were at its best epoch; of another one it takes over the weights
    (`search.training.warm_start`). `teacher`: the model.keras of the float model, where the job learns from it.

    `penalty`: bits are trained with the weights, from those of the assignment on, and the loss is higher by this much
    for a cost of twice as much; the measurement has the assignment that they become. `start_bits`: the bits.npz of an
    earlier such training, which is continued in place of `start_from`.

    `polish`: nothing is trained; the bits of `start_from`, a model of the assignment, are lowered while its metric
    loses no more than this (`search.training.polish`).
    """

    assignment: Assignment
    seed: int  #: of new weights and of the order of the examples
    epochs: int | None = None  #: None: the job's
    initial_epoch: int = 0
    start_from: Path | None = None  #: None: from new weights
    rate_shares: Mapping[str, float] = field(default_factory=dict)  #: layer -> share of the learning rate
    teacher: Path | None = None
    penalty: float | None = None
    start_bits: Path | None = None
    polish: float | None = None


class Reporter(Protocol):
    """Receives a trial's progress. Both methods may raise `Cancelled`, which ends the trial at once."""

    def batch(self) -> None:
        """Some batches were trained or evaluated; called about twice a second, however many they were."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch has ended."""
