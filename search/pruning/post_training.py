"""Prunes trials before training, by the metric of the quantized but untrained network. Plain.

A trial that starts from the float model is first measured quantized and untrained. Its score under the job's goal is
compared with those of the other trials measured in this way, whether they were trained afterwards or not. A trial that
is further below their median than the margin, a share of it, is PRUNED. This is a heuristic, not a proof: training may
improve a network of few bits a lot, so the comparison is of scores, which forgive few bits, and has a margin. A
decision depends on what is stored at that moment.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from search.cost.pricing import Pricer
from search.history import TrialRecord, TrialStatus, Verdict
from search.scoring.forgiving_factor import ForgivingFactor
from search.spec.oracle import PostTrainingMedian, PostTrainingSpec


def needed_score(scores: Sequence[float], margin: float) -> float:
    """The least score with which a trial is trained: the median, less the margin, a share of its magnitude."""
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

    `metric`: of the trial before training. `history`: the job's trials, with their metrics before training.
    """
    if not isinstance(spec, PostTrainingMedian):
        return None
    others = [
        other for other in history if other.number != record.number and other.post_training_metric is not None
    ]
    if len(others) < spec.min_trials:
        return None
    cost, *costs = pricer.price_many([record.assignment, *(other.assignment for other in others)])
    scores = [
        factor.score(other.post_training_metric, other_cost, reference)
        for other, other_cost in zip(others, costs, strict=True)
        if other.post_training_metric is not None and other_cost is not None
    ]
    if cost is None or len(scores) < spec.min_trials:
        return None
    score, needed = factor.score(metric, cost, reference), needed_score(scores, spec.margin)
    if score >= needed:
        return None
    proof = {
        "post_training": spec.kind,
        "post_training_metric": metric,
        "cost": cost,
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
