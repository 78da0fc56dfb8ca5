"""One trial of a spiking job: quantizes the float network, simulates it, saves it. Plain numpy; nothing is trained."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantization.spiking.specification import SpecificationError, XyloParameters, XyloSpecification
from search.cost.pricing import Pricer
from search.data import Dataset
from search.data.inputs import only_input
from search.errors import Infeasible
from search.history import Assignment, Measurement
from search.spiking.network import BATCH, counts, lost_states, quantize
from search.trial_files import NETWORK_FILE, SETTINGS_FILE


def run_trial(
    float_network: XyloSpecification,
    assignment: Assignment,
    data: Dataset,
    pricer: Pricer,
    batch: Callable[[], None],
    folder: Path,
) -> Measurement:
    """Quantize a float network and measure its accuracy on the validation data.

    Writes the integers and the settings that made them into `folder`. `batch` is called between batches and may raise.
    The loss is the share of wrong answers. Raises `Infeasible` where the integers do not form a network, or none of
    its readouts ever fires, which would pass for a network that answers class 0.
    """
    durations: dict[str, float] = {}
    began = time.perf_counter()
    cost = pricer.price(assignment)
    try:
        network = quantize(float_network, assignment.settings)
    except SpecificationError as error:
        raise Infeasible(str(error)) from error
    durations["build"] = time.perf_counter() - began
    began = time.perf_counter()
    metric, fires = _measured(network, only_input(data.x_validation), data.y_validation, batch)
    if not fires:
        reasons = lost_states(float_network) or ["its weights may be too coarse for its thresholds"]
        raise Infeasible(f"no readout fires on any validation example: {'; '.join(reasons)}")
    durations["evaluate"] = time.perf_counter() - began
    began = time.perf_counter()
    save(network, assignment.settings, folder)
    durations["save"] = time.perf_counter() - began
    return Measurement(metric=metric, loss=1.0 - metric, cost=cost, durations_s=durations, best_epoch=0)


def _measured(
    network: XyloParameters, events: NDArray[Any], labels: Any, batch: Callable[[], None]
) -> tuple[float, bool]:
    """The share of right answers over all examples, and whether a readout fires. `batch` is called after each batch.

    An answer is the readout with the most events; of equal readouts the first counts.
    """
    right, fires = 0, False
    for start in range(0, len(labels), BATCH):
        part = slice(start, start + BATCH)
        events_out = counts(network, events[part])
        right += int(np.count_nonzero(events_out.argmax(axis=-1) == labels[part]))
        fires = fires or bool(events_out.any())
        batch()
    return right / len(labels), fires


def evaluate(path: Path, events: NDArray[Any], labels: Any) -> dict[str, float]:
    """`metric` and `loss` of a saved network on these examples."""
    metric, _ = _measured(load_network(path), events, labels, lambda: None)
    return {"metric": metric, "loss": 1.0 - metric}


def save(network: XyloParameters, settings: Mapping[str, Any], folder: Path) -> None:
    """Write the files of a trial, except its report."""
    arrays: dict[str, Any] = network.arrays()
    np.savez_compressed(folder / NETWORK_FILE, **arrays)
    (folder / SETTINGS_FILE).write_text(json.dumps(dict(settings), indent=2) + "\n")


def load_network(path: Path) -> XyloParameters:
    """The integers that `save` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return XyloParameters.from_arrays(dict(arrays))
