"""Names of the files of a trial. Plain: the API, the worker and the command line share them; nothing loads Keras."""

from __future__ import annotations

from typing import Final

MODEL_FILE: Final = "model.keras"
QUANTIZERS_FILE: Final = "quantizers.json"
WEIGHTS_FILE: Final = "weights.npz"
PREPROCESSING_FILE: Final = "preprocessing.json"

#: Where bits were trained: weights, bits and optimizer as they were, for the trial that continues this one.
BITS_FILE: Final = "bits.npz"

#: In place of the four above: the integers of a spiking network, and the settings they were quantized by.
NETWORK_FILE: Final = "network.npz"
SETTINGS_FILE: Final = "settings.json"

REPORT_FILE: Final = "report.json"
#: Of the trial that a job reports, and of final trainings: `quantization.models.tensor_report`.
TENSORS_FILE: Final = "tensors.json"
RECIPE_FILE: Final = "recipe.json"

#: Beside a recipe that is run again: files of the trial that its trial continued.
PARENT_MODEL_FILE: Final = "parent.keras"
PARENT_BITS_FILE: Final = "parent-bits.npz"
#: The uploads that its job names, each under its SHA-256.
UPLOADS_FOLDER: Final = "uploads"

#: The files of a final training are named as those of its trial, with this prefix.
FINAL_PREFIX: Final = "final-"


def parent_files(start: str, penalty: float | None) -> dict[str, str]:
    """Files of the trial that the trial of a recipe continued -> their names beside the recipe; {} if it began anew."""
    if start != "parent":
        return {}
    bits = {} if penalty is None else {BITS_FILE: PARENT_BITS_FILE}
    return {MODEL_FILE: PARENT_MODEL_FILE, **bits}
