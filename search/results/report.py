"""The report of a trial: all that is needed to assess and to repeat it. Plain values; nothing loads Keras."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from costmodel.layer_energy import LayerEnergy
from search.history import Cost, Measurement, TrialRecord, spread
from search.results.test_looks import Look
from search.scoring.forgiving_factor import factor_of
from search.spec.job import SearchSpec


def build_report(
    spec: SearchSpec,
    record: TrialRecord,
    measurement: Measurement,
    reference: Cost,
    *,
    seed: int,
    versions: Mapping[str, str],
) -> dict[str, Any]:
    """The report of a measured trial, as JSON values.

    `test` is None: `with_test` adds the metrics on the test data. Energies are in picojoules per inference, durations
    in seconds, epochs count from 0.
    """
    factor = factor_of(spec)
    cost = measurement.cost
    return {
        "job": spec.name,
        "trial": record.number,
        "validation": {"metric": measurement.metric, "loss": measurement.loss, **_classes(measurement)},
        "test": None,
        "score": factor.score(measurement.metric, cost.value, reference.value),
        "factor": factor.factor(cost.value, reference.value),
        "cost": _cost(cost),
        "effective": {name: dict(costs) for name, costs in measurement.effective.items()},
        "reference": _cost(reference),
        "best_epoch": measurement.best_epoch,
        **_executions(measurement),
        "durations_s": dict(measurement.durations_s),
        "seeds": {"job": spec.seed, "trial": seed},
        "configuration": {
            "spec": spec.model_dump(mode="json"),
            "assignment": (measurement.assignment or record.assignment).to_json(),
        },
        "versions": dict(sorted(versions.items())),
    }


def _classes(measurement: Measurement) -> dict[str, Any]:
    return {} if measurement.classes is None else {"classes": dict(measurement.classes)}


def with_test(report: Mapping[str, Any], test: Mapping[str, Any], look: Look) -> dict[str, Any]:
    """The report with the metrics on the test data, and which look at them it was."""
    return {
        **report,
        "test": {**test, "look": look.number, "optimistic": look.optimistic, "note": look.note},
    }


def report_text(report: Mapping[str, Any]) -> str:
    """A report as JSON text with a line for each of its parts: indenting all of it takes five times as long."""
    parts = [f"  {json.dumps(name)}: {json.dumps(part, allow_nan=False)}" for name, part in report.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _executions(measurement: Measurement) -> dict[str, Any]:
    """The executions, the spread of their metrics, and the index of the one whose model is stored; {} if only one."""
    metrics_spread = spread([execution.metric for execution in measurement.executions])
    best = measurement.best_execution
    if metrics_spread is None or best is None:
        return {}
    return {
        "executions": [asdict(execution) for execution in measurement.executions],
        "spread": asdict(metrics_spread),
        "kept_execution": measurement.executions.index(best),
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        "value": cost.value,
        "energy_pj": cost.energy_pj,
        "bits": cost.bits,
        "layers": [_layer(layer) for layer in cost.layers],
    }


def _layer(energy: LayerEnergy) -> dict[str, Any]:
    """`counted_pj` is what `included_pj` was called in 0.1."""
    return asdict(energy) | {"included": list(energy.included), "counted_pj": energy.included_pj}
