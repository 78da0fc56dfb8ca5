"""Model files: `.keras` archives and architectures as JSON. Nothing here builds or loads one."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from costmodel.descriptions import Cleaned, clean
from costmodel.errors import InvalidDescription, InvalidNetwork
from costmodel.network import Network, read_network
from costmodel.size import parameters, too_large
from search.upload_file import HDF5, Format, format_of
from search.uploads.archive import Archive, open_archive
from search.uploads.documents import read_document
from search.uploads.faults import UploadFault, shown

CONFIG: Final = "config.json"
METADATA: Final = "metadata.json"
WEIGHTS: Final = "model.weights.h5"

#: Bytes of a description; that of a network of 1,000 layers has less than one megabyte.
MAX_CONFIG_BYTES: Final = 4 << 20
#: Bytes a `.keras` file may unpack to.
MAX_MODEL_BYTES: Final = 2 << 30
#: Where an HDF5 file states its length, by version of its superblock: (offset of base address, of end address).
_HDF5_ENDS: Final[Mapping[int, tuple[int, int]]] = {0: (24, 40), 1: (28, 44), 2: (12, 28), 3: (12, 28)}

_KERAS_3: Final = re.compile(r"3\.\d{1,4}(\.\d{1,4})?[A-Za-z0-9.+-]{0,32}")


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """A layer of an uploaded model: output shape for one example, number of weights."""

    name: str
    class_name: str
    output_shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """The contents of a checked model file."""

    format: Format
    keras_version: str | None
    has_weights: bool
    layers: tuple[LayerInfo, ...]

    @property
    def parameters(self) -> int:
        """Weights of all layers."""
        return sum(layer.parameters for layer in self.layers)


def check_model(path: Path) -> CheckedModel:
    """The contents of a file after reading all of it. UploadFault unless it is a model that can be built here."""
    if _format(path) == "json":
        return CheckedModel("json", None, False, _layers(_json_architecture(path)))
    archive = _archive(path)
    layers = _layers(_keras_architecture(archive))
    version = _keras_version(archive)
    _check_weights(archive)
    return CheckedModel("keras", version, True, layers)


def read_architecture(path: Path) -> tuple[Cleaned, bool]:
    """The description of the network in a model file, rebuilt from what is allowed in it, and whether the file holds
    weights. UploadFault.
    """
    if _format(path) == "json":
        return _json_architecture(path), False
    return _keras_architecture(_archive(path)), True


def write_weights(path: Path, target: Path) -> None:
    """Extract the HDF5 file of a `.keras` file's weights to `target` without parsing it. UploadFault."""
    archive = _archive(path)
    with open(target, "xb") as file:
        for chunk in archive.chunks(WEIGHTS):
            file.write(chunk)


def _format(path: Path) -> Format:
    with open(path, "rb") as file:
        return format_of(file.read(64))


def _json_architecture(path: Path) -> Cleaned:
    size = path.stat().st_size
    if size > MAX_CONFIG_BYTES:
        raise UploadFault("", f"has {size} bytes; an architecture as JSON may have {MAX_CONFIG_BYTES}")
    return _cleaned(read_document(path.read_bytes(), ""), "")


def _archive(path: Path) -> Archive:
    archive = open_archive(path, most_members=64, most_bytes=MAX_MODEL_BYTES)
    needed = {CONFIG, METADATA, WEIGHTS}
    for name in archive.members:
        if name not in needed:
            raise UploadFault(
                "", f"holds {shown(name)}, which {_stranger(name)}; a .keras file holds {_all(needed)}"
            )
    missing = needed - set(archive.members)
    if missing:
        raise UploadFault("", f"lacks {_all(missing)}; a .keras file holds {_all(needed)}")
    return archive


def _stranger(name: str) -> str:
    if name.endswith("saved_model.pb"):
        return "is a SavedModel and can hold code"
    if name.endswith((".pkl", ".pickle", ".joblib")):
        return "is a pickle and can hold code"
    if name.startswith("assets"):
        return "only layers with additional files have, and none of those is allowed"
    return "does not belong there"


def _all(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _keras_architecture(archive: Archive) -> Cleaned:
    return _cleaned(read_document(archive.read(CONFIG, MAX_CONFIG_BYTES), CONFIG), CONFIG)


def _cleaned(document: Mapping[str, Any], where: str) -> Cleaned:
    if "class_name" not in document:
        raise UploadFault(where, "is not what `model.to_json()` writes: it has no class_name")
    try:
        return clean(document)
    except InvalidDescription as error:
        path = "".join(f"/{step}" for step in error.path)
        raise UploadFault(_shown_path(f"{where}{path}"), error.reason) from error


def _shown_path(path: str) -> str:
    return shown(path, 200)[1:-1]


def _keras_version(archive: Archive) -> str:
    version = read_document(archive.read(METADATA, 1 << 16), METADATA).get("keras_version")
    if not isinstance(version, str) or not _KERAS_3.fullmatch(version):
        raise UploadFault(
            f"{METADATA}/keras_version", f"is {shown(version)}; the file must be saved by Keras 3"
        )
    return version


def _layers(architecture: Cleaned) -> tuple[LayerInfo, ...]:
    try:
        network: Network = read_network(architecture.document)
        layers = tuple(
            LayerInfo(layer.name, layer.class_name, layer.output_shape, parameters(layer))
            for layer in network.layers
            if not layer.is_repeated
        )
    except InvalidNetwork as error:
        raise UploadFault("the network", str(error)) from error
    if fault := too_large(network):
        raise UploadFault("the network", fault.reason)
    return layers


def _check_weights(archive: Archive) -> None:
    """Read all of the weights once, for their checksum; of what they hold only where the file begins and ends."""
    start, size = b"", 0
    for chunk in archive.chunks(WEIGHTS):
        if len(start) < 64:
            start += chunk[:64]
        size += len(chunk)
    if not start.startswith(HDF5):
        raise UploadFault(WEIGHTS, "is not an HDF5 file, or does not begin with one")
    ends = _HDF5_ENDS.get(start[8]) if len(start) >= 52 else None
    if ends is None:
        raise UploadFault(WEIGHTS, "is an HDF5 file of a version that is not supported")
    base, end = (struct.unpack_from("<Q", start, place)[0] for place in ends)
    if base != 0 or end != size:
        reason = f"is an HDF5 file that declares {end} bytes but has {size}: truncated or appended to"
        raise UploadFault(WEIGHTS, reason)
