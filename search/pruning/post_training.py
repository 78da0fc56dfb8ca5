"""Trials that end before they are trained, because of what they measure without training. Plain.

A trial that starts from the float model is first measured as it is: quantized, not trained. Its score under the job's
goal is compared with those of the other trials measured so, whether they were trained afterwards or not. One that lies
further below their median than the margin, a share of it, is PRUNED. That is a guess, not a proof: training may lift a
network of few bits far above what it starts from, so the comparison is of scores, which forgive few bits, and wants a
margin. What a rule decides depends on what was stored at that moment.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from search.cost.pricing import Pricer
from search.history import TrialRecord, TrialStatus, Verdict
from search.scoring.forgiving_factor import ForgivingFactor
from search.spec.oracle import PostTrainingMedian, PostTrainingSpec


def needed_score(scores: Sequence[float], margin: float) -> float:
    """The least score that is not hopeless: the median, less the margin, a share of its magnitude."""
    median = statistics.median(scores)
    return median - margin * abs(median)


def judge_untrained(
    spec: PostTrainingSpec,
    record: TrialRecord,
    metric: float,
    history: Sequence[TrialRecord],
    pricer: Pricer,
    factor: ForgivingFactor,
    reference: float,
) -> Verdict | None:
    """PRUNED with its proof; None if the trial is to be trained, or if fewer than `min_trials` others were measured.

    `metric`: of the trial before training. `history`: the job's trials, those judged here with what they measured.
    """
    if not isinstance(spec, PostTrainingMedian):
        return None
    others = [
        each for each in history if each.number != record.number and each.post_training_metric is not None
    ]
    if len(others) < spec.min_trials:
        return None
    own, *costs = pricer.price_many([record.assignment, *(each.assignment for each in others)])
    scores = [
        factor.score(each.post_training_metric, cost, reference)
        for each, cost in zip(others, costs, strict=True)
        if each.post_training_metric is not None and cost is not None
    ]
    if own is None or len(scores) < spec.min_trials:
        return None
    score, needed = factor.score(metric, own, reference), needed_score(scores, spec.margin)
    if score >= needed:
        return None
    proof = {
        "post_training": spec.kind,
        "post_training_metric": metric,
        "cost": own,
        "score": score,
        "score_needed": needed,
        "median_score": statistics.median(scores),
        "compared_with": len(scores),
    }
    reason = (
        f"without training it scores {score:.6g}, the median of {len(scores)} other trials is"
        f" {proof['median_score']:.6g}: below {needed:.6g} it is not trained"
    )
    return Verdict(TrialStatus.PRUNED, reason, proof)
