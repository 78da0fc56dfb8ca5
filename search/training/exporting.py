"""Exports a trained model and proves the export.

Equality is shown on test inputs, whose labels are not read, and the job's metric on the validation data: so an export
is no look at the test data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import quantization.layers  # noqa: F401 -- Keras finds the quantized layers of a saved model by their names
from quantization.export.comparison import ProvenExport
from quantization.export.context import ExportContext, OutputStage
from quantization.export.export import export_model
from quantization.export.formats import export_format
from quantization.export.proof import compare, model_outputs
from quantization.export.run import run_exports
from search.data import Dataset
from search.data.inputs import example_count, rows
from search.task import Task
from search.training.evaluate import tally_of
from search.training.metrics import metric_value

#: Training examples that a writer sees, for ranges.
_SAMPLES = 256


def export_trial(
    model_file: Path,
    data: Dataset,
    task: Task,
    *,
    name: str,
    options: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    folder: Path,
) -> ProvenExport:
    """Write the model of a file into a folder, in the format of this name, and compare it in a fresh process.

    Raises `ExportError`: see `quantization.export.errors`.
    """
    model = keras.models.load_model(model_file)
    most = export_format(name).examples
    test, validation = rows(data.x_test, 0, most), rows(data.x_validation, 0, most)
    classifies = tuple(head.labels == "classes" for head in task.heads)
    context = ExportContext(rows(data.x_train, 0, _SAMPLES), preprocessing, classifies)
    export = export_model(model, name, folder, context, options)
    on_test, on_validation = run_exports(name, [(folder, test), (folder, validation)])
    proof = compare(model, export, test, on_test, classifies)
    y = keras.tree.map_structure(lambda target: target[:most], data.y_validation)
    stage = export.written.stage
    return ProvenExport(
        export,
        proof,
        _metric(task, y, on_validation.arrays, stage),
        _metric(task, y, model_outputs(model, validation, "outputs"), "outputs"),
        example_count(validation),
    )


def _metric(task: Task, y: Any, outputs: Sequence[NDArray[Any]], stage: OutputStage) -> float:
    scores = [
        _ended(head.output.kind, output) if stage == "logits" else output
        for head, output in zip(task.heads, outputs, strict=True)
    ]
    sums = tally_of(task, y, [np.asarray(output, np.float32) for output in scores])
    return metric_value(task, keras.ops.convert_to_numpy(sums), len(outputs[0]))


def _ended(kind: str, logits: NDArray[Any]) -> NDArray[Any]:
    """The scores that a network which ends in a softmax or sigmoid makes of its logits."""
    if kind == "softmax":
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
    return np.asarray(1.0 / (1.0 + np.exp(-logits))) if kind == "sigmoid" else logits
