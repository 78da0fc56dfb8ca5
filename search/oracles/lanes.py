"""Lanes: trainings that go on from trial to trial, several side by side."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keras_tuner.engine.trial import Trial, TrialStatus

from search.history import LANE

STAGE: Final = "tuner/stage"


@dataclass(frozen=True)
class Lane:
    """The trials of one training so far, by stage. `trained`: ids of trials that count as measured besides."""

    number: int
    trials: Sequence[Trial]
    trained: Collection[str] = ()

    @property
    def is_waiting(self) -> bool:
        """True while its last trial is trained."""
        return any(trial.status not in (TrialStatus.COMPLETED, TrialStatus.FAILED) for trial in self.trials)

    @property
    def parent(self) -> Trial | None:
        """The trial that its next one continues: the last one that was measured."""
        measured = [
            trial
            for trial in self.trials
            if trial.status == TrialStatus.COMPLETED or trial.trial_id in self.trained
        ]
        return measured[-1] if measured else None

    @property
    def epochs_done(self) -> int:
        """The epoch at which its next trial begins."""
        return 0 if self.parent is None else int(self.parent.hyperparameters.values["tuner/epochs"])

    @property
    def offset(self) -> float:
        """Where its stages lie between those of lane 0: 0, 1/2, 1/4, 3/4, 1/8, ... (van der Corput, 1935)."""
        place, share, number = 0.0, 0.5, self.number
        while number:
            number, bit = divmod(number, 2)
            place += bit * share
            share /= 2
        return place

    def training(self, epochs: int) -> dict[str, Any]:
        """How its next trial is trained, `epochs` longer than the last, under keras-tuner's names."""
        parent = {} if self.parent is None else {"tuner/trial_id": self.parent.trial_id}
        done = self.epochs_done
        return {
            LANE: self.number,
            STAGE: len(self.trials),
            **parent,
            "tuner/initial_epoch": done,
            "tuner/epochs": done + epochs,
        }


def lanes_of(trials: Mapping[str, Trial], trained: Collection[str] = ()) -> list[Lane]:
    """The lanes of all trials, by number; `trained` as of a `Lane`."""
    lanes: dict[int, list[Trial]] = {}
    for trial_id in sorted(trials, key=int):
        trial = trials[trial_id]
        lanes.setdefault(trial.hyperparameters.values[LANE], []).append(trial)
    return [Lane(number, of_lane, trained) for number, of_lane in sorted(lanes.items())]
