"""Stops trainings early, by comparing their metric with that of other trials at the same epoch. Plain.

A stopped trial is PRUNED: it has no model and is never best, but its metric so far was measured and is reported to the
oracle; the proof states what it was compared with. Trials are compared with the metrics of others up to the same epoch:
a decision depends on the epochs stored at that moment, never on durations.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from search.history import TrialStatus, Verdict
from search.spec.objective import MAXIMIZE, MINIMIZE, Direction
from search.spec.oracle import AshaStopping, MedianStopping, NoStopping, StoppingSpec

#: The metric on the validation data of each epoch of one trial so far.
Curve = Sequence[float]

Proof = dict[str, Any]


class StoppingRule(Protocol):
    """Decides when a training is stopped."""

    def judge(self, curve: Curve, others: Callable[[], Sequence[Curve]]) -> Proof | None:
        """Why the training is stopped after the last epoch of `curve`; None to continue.

        `others` returns the curves of the job's other trials; it is called only if the rule needs them.
        """


class NeverStop:
    """Lets every training run to its end."""

    def __init__(self, _: NoStopping) -> None:
        pass

    def judge(self, curve: Curve, others: Callable[[], Sequence[Curve]]) -> Proof | None:
        """Always None."""
        return None


class MedianRule:
    """Stops a training whose best metric is below the median of the others' mean metrics up to the same epoch.

    Golovin et al., "Google Vizier" (KDD 2017), section 3.2.2.
    """

    def __init__(self, spec: MedianStopping) -> None:
        self._spec = spec

    def judge(self, curve: Curve, others: Callable[[], Sequence[Curve]]) -> Proof | None:
        """Judges after the grace epochs, once enough others have trained as long."""
        epochs = len(curve)
        if epochs < self._spec.grace_epochs:
            return None
        means = [statistics.fmean(other[:epochs]) for other in others() if len(other) >= epochs]
        if len(means) < self._spec.min_trials or max(curve) >= statistics.median(means):
            return None
        return _proof("median", curve, statistics.median(means), len(means))


class AshaRule:
    """At rungs of `grace_epochs * factor^k` epochs only the best 1 in `factor` of the trials that reached it continue.

    Li et al., "A system for massively parallel hyperparameter tuning" (MLSys 2020), algorithm 2, as a stopping rule: a
    training is judged once, when it reaches a rung, and is not resumed later.
    """

    def __init__(self, spec: AshaStopping) -> None:
        self._spec = spec

    def judge(self, curve: Curve, others: Callable[[], Sequence[Curve]]) -> Proof | None:
        """Judges at a rung, among the trials that reached it; while they are fewer than `factor`, all continue."""
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
    """Adapts a rule to a metric that is better when smaller, by negating the curves."""

    def __init__(self, rule: StoppingRule) -> None:
        self._rule = rule

    def judge(self, curve: Curve, others: Callable[[], Sequence[Curve]]) -> Proof | None:
        """The verdict of the rule; the metrics of the proof are as measured."""
        proof = self._rule.judge(_negated(curve), lambda: [_negated(other) for other in others()])
        if proof is None:
            return None
        return proof | {name: -proof[name] for name in ("metric", "metric_needed")} | {"direction": MINIMIZE}


def _negated(curve: Curve) -> list[float]:
    return [-value for value in curve]


def stopping_rule(spec: StoppingSpec, direction: Direction = MAXIMIZE) -> StoppingRule:
    """The rule of a job, for a metric that is better in this direction."""
    rule = STOPPING_RULES[spec.kind](spec)
    return rule if direction == MAXIMIZE else Minimised(rule)


def verdict(proof: Proof) -> Verdict:
    """The trial's verdict for a proof of `judge`."""
    side = "above" if proof.get("direction") == MINIMIZE else "below"
    reason = (
        f"stopped after {proof['epochs']} epochs: its metric of {proof['metric']:.6g} is {side} the"
        f" {proof['metric_needed']:.6g} required by the rule {proof['stopping']}"
    )
    return Verdict(TrialStatus.PRUNED, reason, proof)
