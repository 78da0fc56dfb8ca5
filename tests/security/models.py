"""Model files for tests, made without Keras: a valid one, and parts to make others from."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from search.networks.zoo import zoo_config
from tests.security.zips import Entry, zipped

METADATA = b'{"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"}'

#: Shapes of the weights of jet_mlp, as Keras lays them out.
SHAPES: Mapping[str, tuple[int, ...]] = {
    f"layers/dense{suffix}/vars/{index}": shape
    for suffix, (rows, columns) in (("", (16, 64)), ("_1", (64, 32)), ("_2", (32, 32)), ("_3", (32, 5)))
    for index, shape in enumerate(((rows, columns), (columns,)))
}


def architecture() -> dict[str, Any]:
    """A tagger of jets on 16 numbers, as Keras describes it."""
    return zoo_config("jet_mlp")


def layer(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The described layer of this name."""
    layer: dict[str, Any] = next(
        candidate for candidate in document["config"]["layers"] if candidate["config"]["name"] == name
    )
    return layer


def weights(arrays: Mapping[str, Any] | None = None) -> bytes:
    """The HDF5 file of these arrays; default: jet_mlp's, small random numbers."""
    random = np.random.default_rng(3)
    if arrays is None:
        arrays = {path: 0.1 * random.normal(size=shape).astype("float32") for path, shape in SHAPES.items()}
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for path, array in arrays.items():
            file[path] = array
    return memory.getvalue()


def members(
    config: Any = None, hdf5: bytes | None = None, metadata: bytes = METADATA, **options: Any
) -> list[Entry]:
    """The three members of a `.keras` file. `config` may be a description or bytes."""
    described = architecture() if config is None else config
    text = described if isinstance(described, bytes) else json.dumps(described).encode()
    return [
        Entry(b"metadata.json", metadata),
        Entry(b"config.json", text, **options),
        Entry(b"model.weights.h5", weights() if hdf5 is None else hdf5),
    ]


def keras_file(*arguments: Any, **options: Any) -> bytes:
    """A `.keras` file of `members(...)`."""
    return zipped(members(*arguments, **options))
