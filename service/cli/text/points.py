"""Points as rows, for other programs."""

from __future__ import annotations

from typing import Any, Final

from service.schemas.jobs import PointsView

COLUMNS: Final = ("number", "status", "metric", "cost", "score", "front")

#: The name of `status` in 0.1: deprecated, the last column, gone after one minor version.
_OLD_STATUS: Final = "state"


def rows(points: PointsView, *, only_front: bool) -> list[dict[str, Any]]:
    """A mapping of columns for each trial, by number."""
    values = zip(*(getattr(points, name) for name in COLUMNS), strict=True)
    trials = (dict(zip(COLUMNS, row, strict=True)) for row in values)
    return [trial | {_OLD_STATUS: trial["status"]} for trial in trials if trial["front"] or not only_front]


def tab_separated(points: PointsView, *, only_front: bool) -> str:
    """The names of the columns, then a line for each trial; a value that was not measured is empty."""
    names = (*COLUMNS, _OLD_STATUS)
    lines = ["\t".join(names)]
    for trial in rows(points, only_front=only_front):
        lines.append("\t".join(_text(trial[name]) for name in names))
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
