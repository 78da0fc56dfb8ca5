"""Histograms of a trial's integer weights, with the quantizer's levels as bins."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from search.trial_files import WEIGHTS_FILE
from service.errors import ArtifactNotFound
from service.schemas.history import TensorHistogramView, WeightsView

#: Levels that are counted one by one; of more, ranges of equal width are.
MAX_BINS: Final = 64
_CODES: Final = "/codes"
_SCALE: Final = "/scale"


def weights_view(path: Path, job_id: str, number: int) -> WeightsView:
    """How often each level of its quantizer occurs, tensor by tensor. ArtifactNotFound without the file."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            tensors = tuple(
                _histogram(
                    name.removesuffix(_CODES), arrays[name], arrays.get(name.removesuffix(_CODES) + _SCALE)
                )
                for name in arrays.files
                if name.endswith(_CODES) and arrays[name].size
            )
    except (OSError, ValueError, zipfile.BadZipFile):
        raise ArtifactNotFound(f"the content of {WEIGHTS_FILE!r} is missing from the blob folder") from None
    return WeightsView(job_id=job_id, number=number, tensors=tensors)


def _histogram(name: str, codes: Any, scale: Any) -> TensorHistogramView:
    levels, counts = np.unique(codes, return_counts=True)
    distinct = len(levels)
    if distinct > MAX_BINS:
        counts, edges = np.histogram(codes, bins=MAX_BINS)
        levels = np.round((edges[:-1] + edges[1:]) / 2).astype(np.int64)
    scales = np.ones(1) if scale is None else np.abs(np.asarray(scale, dtype=np.float64)).ravel()
    layer, _, slot = name.rpartition("/")
    return TensorHistogramView(
        layer=layer,
        slot=slot,
        size=int(codes.size),
        distinct=distinct,
        levels=tuple(int(level) for level in levels),
        counts=tuple(int(count) for count in counts),
        smallest_scale=float(scales.min()),
        largest_scale=float(scales.max()),
    )
