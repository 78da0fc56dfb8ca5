"""Numbers as text: energies, costs, shares, durations, sizes, times."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from service.schemas.jobs import JobSummary

_ENERGY_UNITS: Final = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"))
#: The cost unit of jobs whose goal is energy.
ENERGY: Final = "energy_pj"
#: Cost unit of a job -> what is written behind the number.
_COST_UNITS: Final = {"macs": "MACs", "bops": "BOPs", "ebops": "EBOPs", "peak_activation_bits": "bits"}


def energy(value_pj: float | None) -> str:
    """Picojoules, in the unit that keeps the number short."""
    if value_pj is None:
        return "-"
    rounded = float(f"{value_pj:.3g}")
    factor, unit = next((pair for pair in _ENERGY_UNITS if rounded >= pair[0]), (1.0, "pJ"))
    return f"{rounded / factor:.6g} {unit}"


def cost(value: float | None, unit: str) -> str:
    """A cost in the job's unit."""
    if value is None:
        return "-"
    return energy(value) if unit == ENERGY else f"{value:,.0f} {_COST_UNITS.get(unit, unit)}"


def cost_name(unit: str) -> str:
    """The heading of a column of costs."""
    return "energy" if unit == ENERGY else unit.replace("_", " ")


def percent(share: float | None) -> str:
    """A share of 1 in percent."""
    return "-" if share is None else f"{100 * share:.2f} %"


def metric(value: float | None, job: JobSummary) -> str:
    """A metric of the job, in percent if it is a share."""
    if value is None or job.metric_is_share:
        return percent(value)
    return f"{value:.4g}"


def duration(seconds: float | None) -> str:
    """Seconds as hours, minutes and seconds."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def space_size(digits: str) -> str:
    """The number of assignments of a search space, in scientific notation where it is long."""
    return f"{int(digits):,}" if len(digits) <= 9 else f"{digits[0]}.{digits[1:3]}e{len(digits) - 1}"


def file_size(size_bytes: int) -> str:
    """Bytes in KiB or MiB."""
    return f"{size_bytes / 1024:.1f} KiB" if size_bytes < 1 << 20 else f"{size_bytes / (1 << 20):.1f} MiB"


def local_time(moment: datetime | None) -> str:
    """A moment in the time zone of this machine."""
    return "-" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
