"""Frozen values of a search: statuses, assignments, costs, measurements, trials. Plain; nothing loads Keras."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, Final

from costmodel.layer_energy import LayerEnergy
from quantization.specs.parse import QuantizerSpec, parse_quantizer


class JobStatus(StrEnum):
    """The status of a job."""

    QUEUED = "queued"  #: stored; no worker has started it
    RUNNING = "running"  #: trials are proposed and trained
    PAUSED = "paused"  #: no trial starts until the job is resumed; running trials continue
    STOPPING = (
        "stopping"  #: no further trial starts; the job ends with its best once the running trials have ended
    )
    CANCELLING = "cancelling"  #: running trials are being ended
    FINALIZING = "finalizing"  #: the search is over; the best trial is measured on the test data
    DONE = "done"  #: at least one trial was measured; the report is stored
    FAILED = "failed"  #: no trial could be measured
    CANCELLED = "cancelled"  #: ended by its user


class Cause(StrEnum):
    """Why a search ended; the job's `reason` explains it in words."""

    TRIALS = "trials"  #: the budget of trials is used up
    EPOCHS = "epochs"  #: the budget of epochs has no room for another trial
    SECONDS = "seconds"  #: the budget of time is used up
    QUOTA = "quota"  #: the tenant's quota of compute time is used up
    SPACE = "space"  #: every assignment was tried, or the oracle cannot propose another
    USER = "user"  #: stopped or cancelled
    NO_RESULT = "no_result"  #: no trial could be measured
    ERROR = (
        "error"  #: the search, a trial or the final report failed with an error that retries do not resolve
    )


class TrialStatus(StrEnum):
    """The status of a trial."""

    QUEUED = "queued"  #: proposed; no worker has claimed it
    RUNNING = "running"  #: claimed; its lease is valid
    DONE = "done"  #: measured; may be on the front
    PRUNED = "pruned"  #: cannot win, as shown before training, or stopped while training; the proof is stored
    INFEASIBLE = "infeasible"  #: no network can be built from its assignment, or it breaks a constraint
    FAILED = "failed"  #: will not be retried; the reason is stored
    CANCELLED = "cancelled"  #: ended by the user


class AttemptOutcome(StrEnum):
    """How a worker's attempt at a trial ended: like the trial, or so that the trial is retried."""

    DONE = "done"
    PRUNED = "pruned"
    INFEASIBLE = "infeasible"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RELEASED = "released"  #: given back, for a cause outside the trial
    LOST = "lost"  #: the worker died, or sent no heartbeat for too long


JOB_ENDED: Final = frozenset({JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED})
TRIAL_ENDED: Final = frozenset(
    {
        TrialStatus.DONE,
        TrialStatus.PRUNED,
        TrialStatus.INFEASIBLE,
        TrialStatus.FAILED,
        TrialStatus.CANCELLED,
    }
)

#: Cached, since the rows of a job repeat the same few quantizers.
_parsed = lru_cache(maxsize=4096)(parse_quantizer)

#: Version of the rules by which the texts of quantizers are read; version 0.1 wrote none.
_RULES: Final = 2


@lru_cache(maxsize=4096)
def _parsed_as_earlier(text: str) -> QuantizerSpec:
    return parse_quantizer(text).as_earlier()


SlotQuantizers = Mapping[str, QuantizerSpec | None]


@dataclass(frozen=True)
class Assignment:
    """The choices of one trial: the quantizer of each slot of each quantized layer, and the widths that differ.

    `values` are the choices as the oracle makes them (hyperparameter -> label); `quantizers` and `widths` are their
    meaning. A layer with an empty mapping becomes its quantized class without quantizers (BatchNormalization).
    """

    values: Mapping[str, str | float | int | bool]
    quantizers: Mapping[str, SlotQuantizers]
    widths: Mapping[str, int] = field(default_factory=dict)
    learning_rate: float | None = None  #: None: the job's
    settings: Mapping[str, str | float | int] = field(
        default_factory=dict
    )  #: of a spiking network's integers

    def to_json(self) -> dict[str, Any]:
        """As JSON values; quantizers as strings."""
        return {
            "values": dict(self.values),
            "quantizers": {
                layer: {slot: None if spec is None else str(spec) for slot, spec in slots.items()}
                for layer, slots in self.quantizers.items()
            },
            "widths": dict(self.widths),
            "rules": _RULES,
            **({} if self.learning_rate is None else {"learning_rate": self.learning_rate}),
            **({"settings": dict(self.settings)} if self.settings else {}),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Assignment:
        """The assignment that `to_json` wrote, here or in an earlier version."""
        parsed = _parsed if document.get("rules") == _RULES else _parsed_as_earlier
        return cls(
            values=dict(document["values"]),
            quantizers={
                layer: {slot: None if text is None else parsed(text) for slot, text in slots.items()}
                for layer, slots in document["quantizers"].items()
            },
            widths=dict(document["widths"]),
            learning_rate=document.get("learning_rate"),
            settings=document.get("settings", {}),
        )

    @cached_property
    def key(self) -> str:
        """SHA-256 of what is built and trained: assignments with the same key give the same trial."""
        document = self.to_json()
        parts = [document["quantizers"], document["widths"]]
        if self.learning_rate is not None:
            parts.append({"learning_rate": self.learning_rate})
        if self.settings:
            parts.append({"settings": dict(self.settings)})
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one inference. `value` is the quantity that the goal names: `energy_pj`, or `bits`."""

    value: float
    energy_pj: float
    bits: int
    layers: tuple[LayerEnergy, ...] = ()


@dataclass(frozen=True, slots=True)
class EpochReport:
    """The metrics at the end of one epoch; epochs count from 0, through all executions of a trial."""

    epoch: int
    metrics: Mapping[str, float]
    duration_s: float


@dataclass(frozen=True, slots=True)
class Execution:
    """One of several trainings of a trial: with a seed for itself, measured like a trial with one training."""

    seed: int
    metric: float
    loss: float
    best_epoch: int  #: counted through all executions


@dataclass(frozen=True, slots=True)
class Spread:
    """The spread of the metrics of a trial's executions. `std` is the standard deviation of a sample (n - 1)."""

    std: float
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """The result of a trained trial. `metric` is on the validation data; the cost is stored beside it, never in it.

    Of several executions metric and loss are the means, and `best_epoch` and `classes` are those of the best one, whose
    model is stored.
    """

    metric: float
    loss: float
    cost: Cost
    durations_s: Mapping[str, float]  #: build, compile, train, evaluate, save
    best_epoch: int
    executions: tuple[Execution, ...] = ()  #: empty if there is only one
    classes: Mapping[str, Any] | None = (
        None  #: of a classifier: `search.scoring.classification.class_metrics`
    )
    effective: Mapping[str, Mapping[str, float]] = field(
        default_factory=dict
    )  #: granularity -> ebops, bits, energy_pj with the trained weights (`costmodel.effective`)
    assignment: Assignment | None = None  #: what trained bits became; None where the trial's was trained

    @property
    def best_execution(self) -> Execution | None:
        """The one whose model is stored; None if there is only one."""
        return next((run for run in self.executions if run.best_epoch == self.best_epoch), None)


def spread(metrics: Sequence[float]) -> Spread | None:
    """The spread of the executions' metrics; None for fewer than two."""
    if len(metrics) < 2:
        return None
    return Spread(statistics.stdev(metrics), min(metrics), max(metrics))


#: Name of the lane of a trial whose training goes on from trial to trial, among keras-tuner's own values.
LANE: Final = "tuner/lane"

#: Name of the penalty of a trial whose bits are trained, among keras-tuner's own values.
PENALTY: Final = "tuner/penalty"

#: Name of the loss of the metric that is allowed to a trial which lowers the bits of its parent.
POLISH: Final = "tuner/polish"


@dataclass(frozen=True)
class Verdict:
    """Why a trial is not trained, is stopped or does not count: in words, and in numbers."""

    status: TrialStatus
    reason: str
    proof: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial as the search sees it: enough to rebuild an oracle from rows."""

    number: int
    assignment: Assignment
    status: TrialStatus
    metric: float | None = None
    cost: float | None = None
    oracle_trial: Mapping[str, Any] = field(default_factory=dict)  #: keras-tuner's own state of the trial
    epochs: int | None = None  #: the epoch it trains up to; None: the job's
    initial_epoch: int = 0  #: the epoch it starts after: that of the parent's end
    parent: int | None = None  #: number of the trial whose training it continues
    proof: Mapping[str, Any] | None = None  #: why it was pruned or infeasible, in numbers
    post_training_metric: float | None = None  #: as `metric`, before any training, if measured

    @property
    def free(self) -> bool:
        """True if it was judged without training: it does not count against the budget."""
        return self.proof is not None and self.metric is None

    @property
    def bound(self) -> float | None:
        """The score it could not exceed, if that is why it was pruned."""
        return None if self.proof is None else self.proof.get("best_possible_score")


def penalty_of(record: TrialRecord) -> float | None:
    """The penalty on the cost under which a trial's bits are trained; None if they are not."""
    penalty = record.oracle_trial.get("values", {}).get(PENALTY)
    return None if penalty is None else float(penalty)


def polish_of(record: TrialRecord) -> float | None:
    """The loss of the metric allowed to a trial that lowers the bits of its parent; None where one is trained."""
    drop = record.oracle_trial.get("values", {}).get(POLISH)
    return None if drop is None else float(drop)


@dataclass(frozen=True, slots=True)
class NewTrial:
    """A proposed trial, not stored yet.

    It trains up to `epochs` (None: the job's). One that continues another starts after `initial_epoch` with the weights
    and the optimizer of the trial numbered `parent`.
    """

    number: int
    assignment: Assignment
    oracle_trial: Mapping[str, Any]  #: keras-tuner's own state of the trial, as JSON values
    seed: int  #: of its weights and shuffling
    epochs: int | None = None
    initial_epoch: int = 0
    parent: int | None = None


def trial_seed(job_seed: int, number: int, parent: int | None, parents: Mapping[int, int | None]) -> int:
    """The seed of a trial, fixed by the job's and by the number of the trial with which its training began.

    `parents`: parent of every trial before it, by number; None where one starts anew.
    """
    while parent is not None:
        number, parent = parent, parents[parent]
    return (job_seed * 1_000_003 + number * 7919) % (2**31 - 1)


def paid(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that count against the budget: all but those judged without training, and those that polish."""
    return [
        record
        for record in records
        if (record.proof is None or record.metric is not None)  # not `free`
        and polish_of(record) is None
    ]
