"""What a body names and somebody uploaded, looked up."""

from __future__ import annotations

from dataclasses import replace

from search.errors import InvalidSpec
from service.parsing import Spec, Stated, refused
from service.store.blobs import BlobStore
from service.store.references import opened, pinned
from service.store.session import Database


def resolved(stated: Stated[Spec], database: Database, blobs: BlobStore) -> Stated[Spec]:
    """The value with its uploads at hand; InvalidRequest with a pointer for one that is not there."""
    try:
        return replace(stated, spec=opened(pinned(stated.spec, database), blobs))
    except InvalidSpec as error:
        raise refused(error, stated.document) from None
