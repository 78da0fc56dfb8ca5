"""Trials as a pandas data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from service.schemas.jobs import PointsView

if TYPE_CHECKING:
    import pandas

#: Every column a frame has.
FIELDS: Final = ("number", "status", "metric", "cost", "score", "front", "energy_pj", "bits", "finished_s")


def to_dataframe(points: PointsView) -> pandas.DataFrame:
    """A row for each trial, indexed by its number. ImportError says how pandas is installed."""
    pandas = _pandas()
    columns: dict[str, Any] = {name: list(getattr(points, name)) for name in FIELDS}
    columns["state"] = columns["status"]  # deprecated: the name of `status` in 0.1
    frame = pandas.DataFrame(columns).astype(
        {"metric": "float64", "cost": "float64", "score": "float64", "energy_pj": "float64"}
        | {"finished_s": "float64", "bits": "Int64", "front": "bool", "status": "str", "state": "str"}
    )
    frame.attrs = {"job_id": points.job_id, "cost_unit": points.cost_unit, "version": points.version}
    frame.attrs["reference_cost"] = points.reference_cost
    return frame.set_index("number")


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError("data frames need pandas: pip install 'fewbits[pandas]'") from error
    return pandas
