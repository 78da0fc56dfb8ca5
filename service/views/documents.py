"""Documents of a trial that views are made from, and what follows from them.

What follows is kept for the files asked for last: of a network of thousands of layers it takes up to two seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from costmodel.errors import CostError
from quantization.export import spiking
from quantization.export.described import described, refusals
from quantization.export.figures import NetworkFigures, network_figures
from quantization.export.legality.base import Refusal
from search.spiking.trial import load_network
from search.trial_files import NETWORK_FILE, QUANTIZERS_FILE
from service.store.blobs import BlobStore


def device_figures(files: Mapping[str, str], blobs: BlobStore) -> NetworkFigures | None:
    """What the network of a trial needs on a device, from its files (name -> SHA-256); None where no file describes it,
    or it has no price.
    """
    path = _stored(files, blobs)
    return None if path is None else _figures(path)


def format_refusals(files: Mapping[str, str], blobs: BlobStore) -> Mapping[str, list[Refusal]] | None:
    """Format -> what it cannot express of a trial, from its files (name -> SHA-256); None where none describes it."""
    path = _stored(files, blobs)
    if path is not None:
        return _refusals(path)
    network = _stored(files, blobs, NETWORK_FILE)
    return None if network is None else spiking.refusals(load_network(network))


def _stored(files: Mapping[str, str], blobs: BlobStore, name: str = QUANTIZERS_FILE) -> Path | None:
    path = blobs.path(files[name]) if name in files else None
    return None if path is None or not path.is_file() else path


# A path is that of its content: nothing that is kept grows old.


@lru_cache(maxsize=64)
def _figures(path: Path) -> NetworkFigures | None:
    document = _document(path)
    try:
        return None if document is None else network_figures(*described(document))
    except CostError:
        return None


@lru_cache(maxsize=16)
def _refusals(path: Path) -> Mapping[str, list[Refusal]] | None:
    document = _document(path)
    return None if document is None else refusals(*described(document))


def _document(path: Path) -> dict[str, Any] | None:
    """Network and quantizers of a trial; None for the documents of older versions, which lack the network."""
    document: dict[str, Any] = json.loads(path.read_text())
    return document if "architecture" in document else None
