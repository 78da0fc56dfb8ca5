"""The stages of a schedule: each has its choices and its share of the trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.history import TRIAL_ENDED, Assignment, TrialRecord
from search.space.choices import Choices


@dataclass(frozen=True)
class Stage:
    """A part of a search: its trials, `first` to `first + trials - 1`, make these `choices`; all others are settled."""

    index: int
    name: str
    choices: Choices
    first: int
    trials: int

    def records(self, history: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The trials of this stage, by number."""
        last = self.first + self.trials
        return sorted((r for r in history if self.first <= r.number < last), key=lambda record: record.number)


@dataclass(frozen=True)
class Block:
    """Which trials search a block: `first` to `first + trials - 1`. `name`: its pattern; `layers`: those it settles."""

    name: str
    first: int
    trials: int
    layers: tuple[str, ...]


def current_stage(
    stages: Sequence[Stage], history: Sequence[TrialRecord], exhausted: frozenset[int]
) -> Stage | None:
    """The first stage with trials to propose or to wait for; None when all are over.

    `exhausted`: indexes of the stages whose oracle cannot propose any more.
    """
    for stage in stages:
        records = stage.records(history)
        proposes = len(records) < stage.trials and stage.index not in exhausted
        if proposes or any(record.status not in TRIAL_ENDED for record in records):
            return stage
    return None


def on_top_of(base: Assignment | None, added: Assignment) -> Assignment:
    """The assignment of a stage, added to what the stages before it settled."""
    if base is None:
        return added
    quantizers = {layer: dict(slots) for layer, slots in base.quantizers.items()}
    for layer, slots in added.quantizers.items():
        quantizers[layer] = {**quantizers.get(layer, {}), **slots}
    return Assignment(
        values={**base.values, **added.values},
        quantizers=quantizers,
        widths={**base.widths, **added.widths},
        learning_rate=base.learning_rate if added.learning_rate is None else added.learning_rate,
    )


def shares(weights: Mapping[str, float], total: int, caps: Mapping[str, int]) -> dict[str, int]:
    """`total` whole parts in proportion to `weights`, at least one and at most `caps[name]` each.

    Largest remainder (Hamilton); what exceeds a cap goes to the others. The parts sum to `total` unless the caps do not
    allow it. Raises ValueError if `total` is less than the number of names.
    """
    if total < len(weights):
        raise ValueError(f"{total} trials are fewer than {len(weights)} blocks")
    parts = dict.fromkeys(weights, 1)
    left = total - len(weights)
    while left > 0:
        open_weights = {
            name: max(weight, 1e-300) for name, weight in weights.items() if parts[name] < caps[name]
        }
        if not open_weights:
            break
        for name, count in _largest_remainder(open_weights, left).items():
            added = min(count, caps[name] - parts[name])
            parts[name] += added
            left -= added
    return parts


def _largest_remainder(weights: Mapping[str, float], total: int) -> dict[str, int]:
    whole = sum(weights.values())
    exact = {name: total * weight / whole for name, weight in weights.items()}
    parts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: parts[name] - exact[name])
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return parts
