"""The table of exports."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.store.models import Base, Queued


class Export(Queued, Base):
    """A trial's model in a format of the device or tool that runs it. Its files are one zip in the blob store."""

    __tablename__ = "exports"
    __table_args__ = (UniqueConstraint("trial_id", "name"), Index(None, "status"))

    id: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"))
    name: Mapped[str]  #: unique in its trial: see `search.results.exports.export_name`
    format: Mapped[str]
    options: Mapped[dict[str, Any]]  #: all of the format's
    model: Mapped[str]  #: "trial" or "final": which of the trial's models
    sha256: Mapped[str | None] = mapped_column(index=True)  #: of the zip
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    files: Mapped[list[Any] | None]  #: name and size of each file in the zip
    proof: Mapped[dict[str, Any] | None]  #: how it compares with the model
    figures: Mapped[dict[str, Any] | None]  #: bytes of flash and RAM, multiplications
    notes: Mapped[list[Any] | None]
