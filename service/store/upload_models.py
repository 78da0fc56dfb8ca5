"""The table of uploads."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from service.store.models import Base
from service.store.tenancy import Owned


class Upload(Owned, Base):
    """A model or data file of a user. Its bytes are in `UploadParts`; once `completed_at` is set, in the blob store."""

    __tablename__ = "uploads"
    __table_args__ = (Index(None, "tenant", "kind", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]  #: UploadKind
    name: Mapped[str]  #: for people
    size_bytes: Mapped[int] = mapped_column(BigInteger)  #: as declared, and checked
    sha256: Mapped[str | None] = mapped_column(
        index=True
    )  #: of the content; before it is complete: as declared, or NULL
    format: Mapped[str | None]  #: keras, json or npz
    details: Mapped[dict[str, Any] | None]  #: ModelDetails or DatasetDetails
    created_at: Mapped[datetime]
    touched_at: Mapped[datetime]  #: when a part of it last arrived
    completed_at: Mapped[datetime | None]
