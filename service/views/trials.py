"""Trials as responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from quantization.export.figures import NetworkFigures
from quantization.specs.parse import parse_quantizer
from search.history import spread
from search.results.final_training import FinalStatus
from service.schemas.device import DeviceView
from service.schemas.jobs import (
    ArtifactView,
    AttemptView,
    EpochView,
    ExecutionView,
    SpreadView,
    TensorView,
    TrialLayerView,
    TrialSummary,
    TrialView,
)
from service.store.models import Artifact, Attempt, Trial, TrialEpoch, TrialLayer
from service.store.reading import SCORE
from service.views.scoring import Scorer

_ENERGY_PARTS: Final = (
    "inputs_pj",
    "outputs_pj",
    "parameters_pj",
    "operations_pj",
    "included_pj",
    "included",
)


def trial_item(fields: Mapping[str, Any], score: Scorer, names: Sequence[str]) -> dict[str, Any]:
    """The named fields of a trial in a list, from its columns, which include metric and cost."""
    metric, cost = fields["metric"], fields["cost"]
    value = None if metric is None or cost is None else score(metric, cost)
    return {name: value if name == SCORE else fields[name] for name in names}


def trial_view(
    trial: Trial,
    score: Scorer,
    *,
    epochs: Sequence[TrialEpoch],
    layers: Sequence[TrialLayer],
    files: Sequence[Artifact],
    attempts: Sequence[Attempt],
    final_status: str | None = None,
    device: NetworkFigures | None = None,
) -> TrialView:
    """The trial in full."""
    return TrialView(
        **_trial_fields(trial, score),
        job_id=trial.job_id,
        layers=_trial_layers(trial.assignment, layers),
        choices=trial.assignment["values"],
        epochs=tuple(
            EpochView(epoch=row.epoch, metrics=row.metrics, duration_s=row.duration_s) for row in epochs
        ),
        post_training_metric=trial.post_training_metric,
        best_epoch=trial.best_epoch,
        **_executions(trial),
        learning_rate=trial.assignment.get("learning_rate"),
        seed=trial.seed,
        effective=trial.effective or {},
        versions=trial.versions or {},
        durations_s=trial.durations_s or {},
        worker=trial.worker,
        attempts=tuple(AttemptView.model_validate(row, from_attributes=True) for row in attempts),
        artifacts=tuple(
            ArtifactView(name=row.name, sha256=row.sha256, size_bytes=row.size_bytes) for row in files
        ),
        final_status=None if final_status is None else FinalStatus(final_status),
        device=None if device is None else DeviceView.model_validate(device, from_attributes=True),
    )


def _executions(trial: Trial) -> dict[str, Any]:
    """The executions and the spread of their metrics."""
    executions = trial.executions or []
    metrics = spread([execution["metric"] for execution in executions])
    return {
        "executions": tuple(
            ExecutionView(**execution, selected=execution["best_epoch"] == trial.best_epoch)
            for execution in executions
        ),
        "spread": None if metrics is None else SpreadView.model_validate(metrics, from_attributes=True),
    }


def _trial_fields(trial: Trial, score: Scorer) -> dict[str, Any]:
    fields = {name: getattr(trial, name) for name in TrialSummary.model_fields if name != "score"}
    if trial.metric is None or trial.cost is None:
        return fields | {"score": None}
    return fields | {"score": score(trial.metric, trial.cost)}


def _trial_layers(
    assignment: Mapping[str, Any], energies: Sequence[TrialLayer]
) -> tuple[TrialLayerView, ...]:
    """The layers in the network's order once they are priced; before that, the layers with a choice."""
    quantizers, widths = assignment["quantizers"], assignment["widths"]
    rows = {row.name: row for row in energies}
    if not rows:
        return tuple(
            _trial_layer(name, quantizers.get(name, {}), widths.get(name), None)
            for name in dict.fromkeys([*quantizers, *widths])
        )
    inputs = tuple(_input(name, slots) for name, slots in quantizers.items() if name not in rows)
    return inputs + tuple(
        _trial_layer(name, quantizers.get(name, {}), widths.get(name), row) for name, row in rows.items()
    )


def _input(name: str, slots: Mapping[str, str | None]) -> TrialLayerView:
    """A quantized input, the one layer with a quantizer that has no price: reading it is counted where it is read."""
    return TrialLayerView(
        name=name,
        class_name="InputLayer",
        slots=_tensors(slots),
        width=None,
        included=(),
        **{part: 0.0 for part in _ENERGY_PARTS if part != "included"},
    )


def _tensors(slots: Mapping[str, str | None]) -> dict[str, TensorView]:
    return {
        slot: TensorView(quantizer=text, bits=None if text is None else _bits(text))
        for slot, text in slots.items()
    }


def _trial_layer(
    name: str, slots: Mapping[str, str | None], width: int | None, row: TrialLayer | None
) -> TrialLayerView:
    tensors = _tensors(slots)
    if row is None:
        return TrialLayerView(name=name, class_name=None, slots=tensors, width=width)
    parts = {part: getattr(row, part) for part in _ENERGY_PARTS}
    return TrialLayerView(
        name=name,
        class_name=row.class_name,
        slots=tensors,
        width=width,
        **parts,
    )


@lru_cache(maxsize=4096)
def _bits(text: str) -> int:
    return parse_quantizer(text).bits
