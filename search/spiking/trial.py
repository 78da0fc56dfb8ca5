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
from search.errors import Infeasible
from search.history import Assignment, Measurement
from search.spiking.network import BATCH, accuracy, quantize
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
    The loss is the share of wrong answers. Raises `Infeasible` where the integers do not form a network.
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
    metric = batched_accuracy(network, data.x_validation, data.y_validation, batch)
    durations["evaluate"] = time.perf_counter() - began
    began = time.perf_counter()
    save(network, assignment.settings, folder)
    durations["save"] = time.perf_counter() - began
    return Measurement(metric=metric, loss=1.0 - metric, cost=cost, durations_s=durations, best_epoch=0)


def batched_accuracy(
    network: XyloParameters, events: NDArray[Any], labels: Any, batch: Callable[[], None]
) -> float:
    """The share of right answers over all examples. `batch` is called after each batch."""
    right = 0.0
    for start in range(0, len(labels), BATCH):
        part = slice(start, start + BATCH)
        right += accuracy(network, events[part], labels[part]) * len(labels[part])
        batch()
    return right / len(labels)


def evaluate(path: Path, events: NDArray[Any], labels: Any) -> dict[str, float]:
    """`metric` and `loss` of a saved network on these examples."""
    metric = batched_accuracy(load_network(path), events, labels, lambda: None)
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
