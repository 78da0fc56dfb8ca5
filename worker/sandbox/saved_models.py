"""A `.keras` file of a trial that someone else trained, checked before Keras opens it.

Keras imports and calls what such a file names. Trials have our layers, Keras' own, and Keras' optimizers, losses and
the like: whatever else is named is refused, and the weights are checked in a process without privileges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import keras

from costmodel.layer_classes import LAYER_CLASSES
from quantization.layers.base import PACKAGE
from search.uploads.archive import open_archive
from search.uploads.documents import read_document
from search.uploads.faults import UploadFault
from worker.sandbox.weights import check_weights

_CONFIG: Final = "config.json"
_MAX_CONFIG_BYTES: Final = 64 << 20
_MAX_BYTES: Final = 8 << 30
#: Objects of HDF5 that a described object may have: groups and arrays of its weights, and of an optimizer for each.
_OBJECTS, _OBJECTS_EACH = 1000, 100

#: Modules of Keras of which any class may be named: they hold rules of arithmetic, and take numbers and names.
_MODULES: Final = frozenset(
    f"keras.{name}"
    for name in (
        "constraints",
        "initializers",
        "losses",
        "metrics",
        "optimizers",
        "optimizers.schedules",
        "regularizers",
    )
)
#: Values that Keras writes as objects.
_VALUES: Final = frozenset({"__keras_tensor__", "__tuple__", "__slice__"})
_MODELS: Final = ("Functional", "Sequential")
_OURS: Final = f"{PACKAGE}>"


def check_saved_model(path: Path, folder: Path) -> None:
    """UploadFault unless the file names nothing but layers and rules of Keras' and ours; `folder` is empty."""
    archive = open_archive(path, most_members=3, most_bytes=_MAX_BYTES)
    document = read_document(archive.read(_CONFIG, _MAX_CONFIG_BYTES), _CONFIG)
    count = 0
    for described in _objects(document):
        _check(described)
        count += 1
    check_weights(path, folder, _OBJECTS + _OBJECTS_EACH * count)


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Everything that Keras would make an object of."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            if "class_name" in value or "registered_name" in value or "module" in value:
                yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check(described: Mapping[str, Any]) -> None:
    module, class_name, registered = (
        described.get(key) for key in ("module", "class_name", "registered_name")
    )
    if not _is_known(module, class_name, registered, described.get("config")):
        raise UploadFault(
            _CONFIG, f"names what no trial has: {ascii([module, class_name, registered])[:200]}"
        )


def _is_known(module: Any, class_name: Any, registered: Any, config: Any) -> bool:
    """Whether an object is one that a trial may have."""
    if class_name in _VALUES:
        return True
    if isinstance(registered, str) and registered.startswith(_OURS):
        return keras.saving.get_registered_object(registered) is not None
    if class_name == "function":
        return module == "builtins" and isinstance(config, str) and config.isidentifier()
    if module == "keras.layers":
        return class_name in LAYER_CLASSES or class_name == "InputLayer"
    if class_name in _MODELS:
        return module in ("keras", f"keras.src.models.{class_name.lower()}")
    if module == "keras":
        return bool(class_name == "DTypePolicy")
    return module in _MODULES
