"""How often each integer occurs among the weights of a trial: histograms with the quantizer's levels as bins."""

from __future__ import annotations

import zipfile
from typing import Any, Final

import numpy as np
from fastapi import APIRouter, Request, Response

from search.trial_files import WEIGHTS_FILE
from service.api.deps import READS, BlobsDep, JobId, SessionDep, TrialNumber
from service.api.responses import etag_of, is_known, mark, not_modified, problem_responses
from service.errors import ArtifactNotFound
from service.schemas.history import TensorHistogramView, WeightsView
from service.store import trials

router = APIRouter(prefix="/v1/jobs/{job_id}/trials/{number}/weights", tags=["trials"], dependencies=[READS])

#: Levels that are counted one by one; of more, ranges of equal width are.
MAX_BINS: Final = 64
_CODES: Final = "/codes"
_SCALE: Final = "/scale"


@router.get("", responses=problem_responses(_404="No such job or trial, or it has no weights"))
def read_weights(
    request: Request,
    response: Response,
    job_id: JobId,
    number: TrialNumber,
    session: SessionDep,
    blobs: BlobsDep,
) -> WeightsView:
    """Histograms of a trial's integer weights, tensor by tensor: how often each level of its quantizer occurs."""
    row = trials.artifact(session, trials.get(session, job_id, number), WEIGHTS_FILE)
    etag = etag_of(row.sha256, "weights")
    if is_known(request, etag):
        return not_modified(etag)  # type: ignore[return-value]
    mark(response, etag)
    try:
        with np.load(blobs.path(row.sha256), allow_pickle=False) as arrays:
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
