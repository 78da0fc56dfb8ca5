"""Faults of uploaded files."""

from __future__ import annotations

from costmodel.descriptions import shown

__all__ = ["UploadFault", "shown"]


class UploadFault(ValueError):
    """Why a file is refused. `where`: the part of it, "config.json/config/layers/3" for example; "" for the whole.

    A reason continues the sentence "the file ...".
    """

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(f"{where}: {reason}" if where else f"the file {reason}")
