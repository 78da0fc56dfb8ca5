"""Exports and formats as responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quantization.export.formats import export_format
from quantization.export.legality.base import Refusal
from search.errors import MAX_PROBLEMS
from service.schemas.exports import ExportView, FormatView, OptionView, RefusalView
from service.store.export_models import Export


def export_view(job_id: str, number: int, row: Export) -> ExportView:
    """The row as a response."""
    fields: dict[str, Any] = {"job_id": job_id, "number": number}
    for name in ExportView.model_fields.keys() - fields.keys():
        fields[name] = getattr(row, name)
    return ExportView(**fields | {name: fields[name] or () for name in ("files", "notes")})


def format_views(refusals: Mapping[str, Sequence[Refusal]]) -> tuple[FormatView, ...]:
    """Every format, with what it cannot express."""
    formats = [(export_format(name), refused) for name, refused in refusals.items()]
    return tuple(
        FormatView(
            name=entry.name,
            title=entry.title,
            exact=entry.exact,
            possible=not refused,
            refusals=tuple(
                RefusalView.model_validate(refusal, from_attributes=True)
                for refusal in refused[:MAX_PROBLEMS]
            ),
            options={
                key: OptionView.model_validate(option, from_attributes=True)
                for key, option in entry.options.items()
            },
        )
        for entry, refused in formats
    )
