"""Content nobody names any more: noted when its last name goes, removed by the sweep.

Not at once: equal content is stored once, and a worker that has just put the same bytes may be about to name them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, delete, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.store.blobs import BlobStore
from service.store.models import Artifact, DiscardedBlob, now
from service.store.session import insert_of
from service.store.upload_models import Upload

#: Every column that names content.
NAMES: Final[tuple[InstrumentedAttribute[Any], ...]] = (Artifact.sha256, Upload.sha256)

#: Looked at in one sweep.
_BATCH: Final = 500


def discard(session: Session, addresses: Select[Any]) -> None:
    """Note that content may be without a name soon; `addresses` selects its SHA-256. Comes before the names go."""
    known = select(DiscardedBlob.sha256)
    column = addresses.selected_columns[0]
    query = addresses.with_only_columns(column, literal(now(), DiscardedBlob.discarded_at.type)).distinct()
    insert = insert_of(session)
    session.execute(
        insert(DiscardedBlob)
        .from_select(["sha256", "discarded_at"], query.where(column.not_in(known)))
        .on_conflict_do_nothing()
    )


def remove(session: Session, blobs: BlobStore, before: datetime) -> int:
    """Remove content discarded before this moment that nobody names, unless it was put again since; how much it was."""
    addresses = session.scalars(
        select(DiscardedBlob.sha256).where(DiscardedBlob.discarded_at < before).limit(_BATCH)
    ).all()
    named = {
        address
        for column in NAMES
        for address in session.scalars(select(column).where(column.in_(addresses)).distinct())
    }
    removed = [each for each in addresses if each not in named and blobs.remove_stale(each, before)]
    forgotten = [*removed, *named]
    if forgotten:
        session.execute(delete(DiscardedBlob).where(DiscardedBlob.sha256.in_(forgotten)))
    return len(removed)
