"""Faults of uploaded files."""

from __future__ import annotations

from costmodel.descriptions import shown
from search.upload_file import UploadFault

__all__ = ["UploadFault", "shown"]
