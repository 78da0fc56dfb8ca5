"""Names of the files of a trial. Plain: the API, the worker and the command line share them; nothing loads Keras."""

from __future__ import annotations

from typing import Final

MODEL_FILE: Final = "model.keras"
QUANTIZERS_FILE: Final = "quantizers.json"
WEIGHTS_FILE: Final = "weights.npz"
PREPROCESSING_FILE: Final = "preprocessing.json"

#: In place of the four above: the integers of a spiking network, and the settings they were quantized by.
NETWORK_FILE: Final = "network.npz"
SETTINGS_FILE: Final = "settings.json"

REPORT_FILE: Final = "report.json"
RECIPE_FILE: Final = "recipe.json"

#: Beside a recipe that is run again: the model of the trial that its trial continued.
PARENT_MODEL_FILE: Final = "parent.keras"
#: The uploads that its job names, each under its SHA-256.
UPLOADS_FOLDER: Final = "uploads"

#: The files of a final training are named as those of its trial, with this prefix.
FINAL_PREFIX: Final = "final-"
