"""Points as rows, for other programs."""

from __future__ import annotations

from typing import Any, Final

from service.schemas.jobs import PointsView

FIELDS: Final = ("number", "status", "metric", "cost", "score", "front")
#: The name of `status` in 0.1: deprecated, the last column, gone after one minor version.
_OLD_STATUS: Final = "state"


def rows(points: PointsView, *, only_front: bool) -> list[dict[str, Any]]:
    """One mapping a trial, by number."""
    values = zip(*(getattr(points, name) for name in FIELDS), strict=True)
    trials = (dict(zip(FIELDS, row, strict=True)) for row in values)
    return [trial | {_OLD_STATUS: trial["status"]} for trial in trials if trial["front"] or not only_front]


def tabbed(points: PointsView, *, only_front: bool) -> str:
    """One line a trial, tabs between; what was not measured is empty."""
    names = (*FIELDS, _OLD_STATUS)
    lines = ["\t".join(names)]
    for row in rows(points, only_front=only_front):
        lines.append("\t".join(_text(row[name]) for name in names))
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
