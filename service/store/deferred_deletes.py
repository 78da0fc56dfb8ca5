"""Deferred deletes: content that may have lost its last reference is noted, and removed by the sweep.

Not at once: equal content is stored once, and a worker that has just put the same bytes may be about to reference them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, delete, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.store.blobs import BlobStore
from service.store.export_models import Export
from service.store.models import Artifact, DiscardedBlob, now
from service.store.session import dialect_insert
from service.store.upload_models import Upload

#: Every column that references content.
REFERENCES: Final[tuple[InstrumentedAttribute[Any], ...]] = (Artifact.sha256, Export.sha256, Upload.sha256)

#: Addresses checked in one sweep.
_BATCH: Final = 500


def discard(session: Session, addresses: Select[Any]) -> None:
    """Note content that may lose its last reference, before it does; `addresses` selects its SHA-256."""
    noted = select(DiscardedBlob.sha256)
    column = addresses.selected_columns[0]
    query = addresses.with_only_columns(column, literal(now(), DiscardedBlob.discarded_at.type)).distinct()
    insert = dialect_insert(session)
    session.execute(
        insert(DiscardedBlob)
        .from_select(["sha256", "discarded_at"], query.where(column.not_in(noted)))
        .on_conflict_do_nothing()
    )


def remove(session: Session, blobs: BlobStore, before: datetime) -> int:
    """Remove content discarded before this moment, unless a row references it or it was put again; how many files."""
    addresses = session.scalars(
        select(DiscardedBlob.sha256).where(DiscardedBlob.discarded_at < before).limit(_BATCH)
    ).all()
    referenced = {
        address
        for column in REFERENCES
        for address in session.scalars(select(column).where(column.in_(addresses)).distinct())
    }
    removed = [
        address for address in addresses if address not in referenced and blobs.remove_stale(address, before)
    ]
    settled = [*removed, *referenced]
    if settled:
        session.execute(delete(DiscardedBlob).where(DiscardedBlob.sha256.in_(settled)))
    return len(removed)


def orphans(session: Session, blobs: BlobStore, before: datetime) -> list[str]:
    """Addresses of content stored before this moment that no row references and none has noted: what a process left
    that died between storing a file and its row.
    """
    stored = sorted(blobs.addresses(before))
    known: set[str] = set()
    for first in range(0, len(stored), _BATCH):
        batch = stored[first : first + _BATCH]
        for column in (*REFERENCES, DiscardedBlob.sha256):
            known.update(session.scalars(select(column).where(column.in_(batch))))
    return [address for address in stored if address not in known]


def referenced(session: Session) -> set[str]:
    """Addresses of all content that rows reference."""
    return {
        address
        for column in REFERENCES
        for address in session.scalars(select(column).where(column.is_not(None)).distinct())
    }
