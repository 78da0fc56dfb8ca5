"""Hyperband: many short trainings, the best of each round continue (Li et al., JMLR 18, 2018)."""

from __future__ import annotations

import math
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from search.oracles.base import NEVER, DatabaseOracle, OracleContext, State, proposal
from search.spec.oracle import HyperbandOracleSpec

Bracket = dict[str, Any]  #: bracket_num, rounds: lists of {id, past_id}; closed: no further trial enters it


class HyperbandOracle(DatabaseOracle, keras_tuner.oracles.HyperbandOracle):
    """keras-tuner's HyperbandOracle with its brackets and sizes, whose rounds also end when trials fail.

    In keras-tuner a failed trial leaves its bracket waiting forever; here it counts as the worst of its round. A round
    with fewer survivors than places has as many trials as survivors, and a bracket that exhausts a small space is as
    wide as what was left of it. Each trial carries the number of its bracket.
    """

    _brackets: list[Bracket]

    def __init__(self, spec: HyperbandOracleSpec, context: OracleContext) -> None:
        super().__init__(
            context,
            max_epochs=spec.max_epochs or context.epochs,
            factor=spec.factor,
            # keras-tuner's value for "no end" is infinity, which JSON does not have.
            hyperband_iterations=spec.iterations or NEVER,
        )

    def populate_space(self, trial_id: str) -> State:
        """A promoted trial where a round allows one, else a new one; IDLE while other trials must end first."""
        for bracket in self._brackets:
            if (answer := self._promoted(trial_id, bracket)) is not None:
                return answer
        self._brackets = [bracket for bracket in self._brackets if not self._is_complete(bracket)]
        while True:
            opened = [bracket for bracket in self._brackets if self._is_open(bracket)]
            if not opened and not self._is_last():
                self._increment_bracket_num()
                self._start_new_bracket()
                opened = self._brackets[-1:]
            if not opened:
                return self._waiting()
            bracket = opened[0]
            values = self.random_untried()
            if values is not None:
                return self._entered(trial_id, bracket, values)
            bracket["closed"] = True  # the space is exhausted: the rounds continue with the trials there are
            self._current_bracket, self._current_iteration = 0, self.hyperband_iterations - 1
            if (answer := self._promoted(trial_id, bracket)) is not None:
                return answer

    def _is_last(self) -> bool:
        """True if no bracket may follow the newest one."""
        return bool(self._current_bracket == 0 and self._current_iteration + 1 >= self.hyperband_iterations)

    def _waiting(self) -> State:
        if self.ongoing_trials:
            return {"status": TrialStatus.IDLE}
        return proposal(None)

    def _entered(self, trial_id: str, bracket: Bracket, values: Any) -> State:
        bracket["rounds"][0].append({"past_id": None, "id": trial_id})
        return proposal({**values, **self._training(bracket, 0)})

    def _promoted(self, trial_id: str, bracket: Bracket) -> State | None:
        """The best trial of a round that is certain to be among those that continue; None if there is none yet."""
        rounds = bracket["rounds"]
        for number in range(1, len(rounds)):
            promoted = {entry["past_id"] for entry in rounds[number]}
            if len(promoted) >= self._places(bracket, number):
                continue
            past = [self.trials[entry["id"]] for entry in rounds[number - 1]]
            ended = [trial for trial in past if trial.trial_id not in promoted and _has_ended(trial)]
            dropped = self._places(bracket, number - 1) - self._places(bracket, number)
            measured = [trial for trial in ended if trial.status == TrialStatus.COMPLETED]
            if len(ended) > dropped and measured:
                best = max(measured, key=lambda trial: (trial.score, -int(trial.trial_id)))
                rounds[number].append({"past_id": best.trial_id, "id": trial_id})
                training = {**self._training(bracket, number), "tuner/trial_id": best.trial_id}
                return proposal({**best.hyperparameters.values, **training})
        return None

    def _training(self, bracket: Bracket, number: int) -> dict[str, int]:
        """How a trial of this round is trained, under keras-tuner's names."""
        return {
            "tuner/epochs": self._get_epochs(bracket["bracket_num"], number),
            "tuner/initial_epoch": self._get_epochs(bracket["bracket_num"], number - 1) if number else 0,
            "tuner/bracket": bracket["bracket_num"],
            "tuner/round": number,
        }

    def _places(self, bracket: Bracket, number: int) -> int:
        """How many trials a round has room for, as far as is known."""
        rounds: list[list[State]] = bracket["rounds"]
        places: int
        if bracket.get("closed"):
            places = math.ceil(len(rounds[0]) / int(self.factor) ** number)
        else:
            places = int(self._get_size(bracket["bracket_num"], number))
        if number == 0 or not self._is_decided(bracket, number - 1):
            return places
        past = [self.trials[entry["id"]].status for entry in rounds[number - 1]]
        return min(places, past.count(TrialStatus.COMPLETED))

    def _is_decided(self, bracket: Bracket, number: int) -> bool:
        """True if the round is full and all its trials have ended."""
        entries = bracket["rounds"][number]
        full = len(entries) >= self._places(bracket, number)
        return full and all(_has_ended(self.trials[entry["id"]]) for entry in entries)

    def _is_open(self, bracket: Bracket) -> bool:
        return len(bracket["rounds"][0]) < self._places(bracket, 0)

    def _is_complete(self, bracket: Bracket) -> bool:
        """True if no further trial can be promoted in it."""
        rounds = bracket["rounds"]
        last = len(rounds) - 1
        before = last == 0 or self._is_decided(bracket, last - 1)
        return before and len(rounds[last]) >= self._places(bracket, last)


def _has_ended(trial: Trial) -> bool:
    return trial.status in (TrialStatus.COMPLETED, TrialStatus.FAILED)
