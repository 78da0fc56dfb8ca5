"""Documents of a trial that views are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from search.trial_files import QUANTIZERS_FILE
from service.store.blobs import BlobStore


def quantizer_document(files: Mapping[str, str], blobs: BlobStore) -> dict[str, Any] | None:
    """The network and quantizers of a trial, from its files (name -> SHA-256); None without them."""
    path = blobs.path(files[QUANTIZERS_FILE]) if QUANTIZERS_FILE in files else None
    if path is None or not path.is_file():
        return None
    document: dict[str, Any] = json.loads(path.read_text())
    return document if "architecture" in document else None
