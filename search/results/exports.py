"""The export of a trial in a format of the device or tool that runs it: request and status. Plain pydantic."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from search.spec.base import Frozen


class ExportStatus(StrEnum):
    """The status of an export."""

    QUEUED = "queued"  #: requested; no worker has claimed it
    RUNNING = "running"  #: claimed by a worker; its lease is valid
    DONE = "done"  #: written, run by its own runtime, and compared with the model
    FAILED = "failed"  #: will not be retried automatically; the reason is stored


class ExportSpec(Frozen):
    """The request for an export."""

    format: str = Field(min_length=1, max_length=40, description="name of the format")
    options: dict[str, str | int | float | bool] = Field(
        {}, max_length=20, description="options of the format; those left out have their defaults"
    )
    model: Literal["trial", "final"] = Field(
        "trial", description="the trial's model, or that of its final training"
    )


def export_name(spec: ExportSpec, options: dict[str, Any], defaults: dict[str, Any]) -> str:
    """The name of an export within its trial: the format, which model, and a digest of options that are not defaults.

    `options`: all of the format, `defaults`: those of the format. Equal requests have equal names.
    """
    parts = [spec.format, *(["final"] if spec.model == "final" else [])]
    if options != defaults:
        text = json.dumps(options, sort_keys=True)
        parts.append(hashlib.sha256(text.encode()).hexdigest()[:8])
    return "-".join(parts)
