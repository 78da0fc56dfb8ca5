"""Exports the spiking network of a trial and proves the export. Plain numpy.

Events of test examples show equality, whose labels are not read, and the validation data the accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quantization.export.comparison import ProvenExport
from quantization.export.context import ExportContext
from quantization.export.formats import export_format
from quantization.export.run import run_exports
from quantization.export.spiking import compare_spiking, export_spiking
from search.data import Dataset
from search.data.inputs import only_input
from search.spiking.network import counts
from search.spiking.trial import load_network


def export_trial(
    network_file: Path, data: Dataset, *, name: str, options: Mapping[str, Any], folder: Path
) -> ProvenExport:
    """Write the integers of a file into a folder, in the format of this name, and compare them in a fresh process.

    Raises `ExportError`: see `quantization.export.errors`.
    """
    network = load_network(network_file)
    most = export_format(name).examples
    test, validation = only_input(data.x_test)[:most], only_input(data.x_validation)[:most]
    labels = data.y_validation[:most]
    export = export_spiking(network, name, folder, ExportContext(test[:1]), options)
    on_test, on_validation = run_exports(name, [(folder, test), (folder, validation)])
    [answers] = on_validation.arrays
    right, model_right = (
        float(np.mean(events.argmax(axis=-1) == labels)) for events in (answers, counts(network, validation))
    )
    proof = compare_spiking(network, export, test, on_test)
    return ProvenExport(export, proof, right, model_right, len(validation))
