"""Trainings given up early, by comparing their metric with that of other trials at the same epoch. Plain.

A trial given up is PRUNED: it has no model and is never best, but its metric so far was measured, so the oracle is told
it, and the proof says what it was compared with. Trials are only compared with what they had reached at that epoch:
what a rule decides depends on the epochs stored at that moment, never on how long anything took.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from search.history import TrialStatus, Verdict
from search.spec.objective import MAXIMIZE, MINIMIZE, Direction
from search.spec.oracle import AshaStopping, MedianStopping, NoStopping, StoppingSpec

#: The metric of each epoch of one trial, on the validation data, as far as it came.
Curve = Sequence[float]

Proof = dict[str, Any]


class StoppingRule(Protocol):
    """Says when a training is given up."""

    def judge(self, curve: Curve, others: Callable[[], Sequence[Curve]]) -> Proof | None:
        """What speaks against going on after the last epoch of `curve`; None to go on.

        `others`, the curves of the job's other trials, is called only if the rule needs them.
        """


class NeverStop:
    """Every training runs to its end."""

    def __init__(self, _: NoStopping) -> None:
        pass

    def judge(self, curve: Curve, others: Callable[[], Sequence[Curve]]) -> Proof | None:
        """None."""
        return None


class MedianRule:
    """Gives up a training whose best metric is below the median of the others' mean metrics up to the same epoch.

    Golovin et al., "Google Vizier" (KDD 2017), section 3.2.2.
    """

    def __init__(self, spec: MedianStopping) -> None:
        self._spec = spec

    def judge(self, curve: Curve, others: Callable[[], Sequence[Curve]]) -> Proof | None:
        """After the grace epochs, once enough others have come as far."""
        epochs = len(curve)
        if epochs < self._spec.grace_epochs:
            return None
        means = [statistics.fmean(other[:epochs]) for other in others() if len(other) >= epochs]
        if len(means) < self._spec.min_trials or max(curve) >= statistics.median(means):
            return None
        return _proof("median", curve, statistics.median(means), len(means))


class AshaRule:
    """At rungs of `grace_epochs * factor^k` epochs only the best one in `factor` of those that came so far goes on.

    Li et al., "A system for massively parallel hyperparameter tuning" (MLSys 2020), algorithm 2, as a stopping rule: a
    training is judged once when it reaches a rung, and not called back.
    """

    def __init__(self, spec: AshaStopping) -> None:
        self._spec = spec

    def judge(self, curve: Curve, others: Callable[[], Sequence[Curve]]) -> Proof | None:
        """At a rung, among those that have come to it; while they are fewer than `factor`, all go on."""
        epochs, factor = len(curve), self._spec.factor
        if not self._is_rung(epochs):
            return None
        reached = [max(other[:epochs]) for other in others() if len(other) >= epochs]
        everyone = sorted([*reached, max(curve)], reverse=True)
        if len(everyone) < factor:
            return None
        needed = everyone[len(everyone) // factor - 1]
        return None if max(curve) >= needed else _proof("asha", curve, needed, len(reached))

    def _is_rung(self, epochs: int) -> bool:
        rung = self._spec.grace_epochs
        while rung < epochs:
            rung *= self._spec.factor
        return rung == epochs


def _proof(rule: str, curve: Curve, needed: float, compared: int) -> Proof:
    return {
        "stopping": rule,
        "epochs": len(curve),
        "metric": max(curve),
        "metric_needed": needed,
        "compared_with": compared,
    }


#: By the `kind` of a job's `stopping`.
STOPPING_RULES: Final[Mapping[str, Callable[[Any], StoppingRule]]] = {
    "off": NeverStop,
    "median": MedianRule,
    "asha": AshaRule,
}


class Minimised:
    """A rule for a metric that is better when smaller: it is shown the negative of each."""

    def __init__(self, rule: StoppingRule) -> None:
        self._rule = rule

    def judge(self, curve: Curve, others: Callable[[], Sequence[Curve]]) -> Proof | None:
        """As the rule has it; the metrics of the proof are as measured."""
        proof = self._rule.judge(_negated(curve), lambda: [_negated(other) for other in others()])
        if proof is None:
            return None
        return proof | {name: -proof[name] for name in ("metric", "metric_needed")} | {"direction": MINIMIZE}


def _negated(curve: Curve) -> list[float]:
    return [-value for value in curve]


def stopping_rule(spec: StoppingSpec, direction: Direction = MAXIMIZE) -> StoppingRule:
    """The rule a job asks for, for a metric that is better in this direction."""
    rule = STOPPING_RULES[spec.kind](spec)
    return rule if direction == MAXIMIZE else Minimised(rule)


def verdict(proof: Proof) -> Verdict:
    """What a proof of `judge` means for the trial."""
    side = "above" if proof.get("direction") == MINIMIZE else "below"
    reason = (
        f"given up after {proof['epochs']} epochs: its metric of {proof['metric']:.6g} is {side} the"
        f" {proof['metric_needed']:.6g} that the rule {proof['stopping']} asks for"
    )
    return Verdict(TrialStatus.PRUNED, reason, proof)
