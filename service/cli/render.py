"""Answers as text: tables, bars and problems. Names are user input: they are printed as text, never as markup."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.history import JobStatus, TrialStatus
from service.schemas.dry_run import DryRun
from service.schemas.jobs import JobSummary, PointView, ProblemDocument, TrialSummary

_COLOURS = {
    JobStatus.DONE: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "yellow",
    JobStatus.RUNNING: "cyan",
    JobStatus.FINALIZING: "cyan",
}
_BAR_WIDTH = 40
_UNITS = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"))


# --- numbers -------------------------------------------------------------------------------------------------------


def energy(value_pj: float | None) -> str:
    """Picojoules in the unit that keeps the number short."""
    if value_pj is None:
        return "-"
    rounded = float(f"{value_pj:.3g}")
    factor, unit = next((pair for pair in _UNITS if rounded >= pair[0]), (1.0, "pJ"))
    return f"{rounded / factor:.6g} {unit}"


#: Cost unit of a job -> what stands behind the number.
_NAMES: Final = {"macs": "MACs", "bops": "BOPs", "ebops": "EBOPs", "peak_activation_bits": "bits"}


def cost(value: float | None, unit: str) -> str:
    """A cost in the job's unit."""
    if value is None:
        return "-"
    return energy(value) if unit == "energy_pj" else f"{value:,.0f} {_NAMES.get(unit, unit)}"


def percent(value: float | None) -> str:
    """A share of one."""
    return "-" if value is None else f"{100 * value:.2f} %"


def metric(value: float | None, job: JobSummary) -> str:
    """A metric of the job: in percent if it is a share."""
    if value is None or job.metric_is_share:
        return percent(value)
    return f"{value:.4g}"


def duration(value_s: float | None) -> str:
    """Seconds as a clock."""
    if value_s is None:
        return "-:--"
    minutes, seconds = divmod(round(value_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def size(digits: str) -> str:
    """A number of assignments, which may be astronomic."""
    return f"{int(digits):,}" if len(digits) <= 9 else f"{digits[0]}.{digits[1:3]}e{len(digits) - 1}"


def bytes_of(count: int) -> str:
    """A file's size."""
    return f"{count / 1024:.1f} KiB" if count < 1 << 20 else f"{count / (1 << 20):.1f} MiB"


def moment(value: datetime | None) -> str:
    """A moment in this machine's time zone."""
    return "-" if value is None else f"{value.astimezone():%Y-%m-%d %H:%M:%S}"


# --- jobs ----------------------------------------------------------------------------------------------------------


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(str(status), style=_COLOURS.get(status, ""))  # type: ignore[call-overload]


def job_line(job: JobSummary) -> Text:
    """A job in one line."""
    line = Text.assemble(("job ", "bold"), (job.id, "bold"), " ", status_text(job.status))
    if job.name:
        line.append(f"  {job.name}")
    if job.reason:
        line.append(f"  ({job.reason})", style="dim")
    return line


def bar(job: JobSummary) -> RenderableType:
    """How far the job is, with its time left."""
    progress = job.progress
    table = Table.grid(padding=(0, 1))
    table.add_row(
        ProgressBar(total=1.0, completed=progress.fraction, width=_BAR_WIDTH),
        f"{progress.done}/{progress.total} trials",
        f"{duration(progress.elapsed_s)} elapsed",
        f"ETA {duration(progress.eta_s)}",
    )
    return table


def best_text(job: JobSummary) -> Text:
    """The best so far."""
    if job.best is None:
        failed = job.trials.get(TrialStatus.FAILED, 0)
        ruled_out = job.trials.get(TrialStatus.INFEASIBLE, 0) + job.trials.get(TrialStatus.PRUNED, 0)
        parts = ["no trial is measured yet"]
        parts += [f"{failed} failed"] if failed else []
        parts += [f"{ruled_out} ruled out"] if ruled_out else []
        return Text("; ".join(parts), style="dim")
    return Text(
        f"best score {job.best.score:.4f} (trial {job.best.number})   "
        f"best {job.metric_name} {metric(job.best_metric, job)}   best energy {energy(job.least_energy_pj)}"
        f" (reference {energy(job.reference_energy_pj)})"
    )


def progress_text(job: JobSummary) -> Text:
    """The job's progress in one line, for logs."""
    progress = job.progress
    return Text.assemble(
        f"{job.status:<10} {progress.done:>3}/{progress.total} trials  ETA {duration(progress.eta_s)}  ",
        best_text(job),
    )


def jobs(items: Sequence[JobSummary]) -> RenderableType:
    """A table of jobs."""
    if not items:
        return Text("no jobs yet: fewbits submit JOB.yaml")
    table = _table("id", "name", "status", ">done", ">ETA", ">score", ">metric", ">energy", "created")
    for job in items:
        table.add_row(
            job.id,
            Text(job.name or job.model),
            status_text(job.status),
            f"{job.progress.done}/{job.progress.total}",
            "" if job.progress.eta_s is None else duration(job.progress.eta_s),
            "-" if job.best is None else f"{job.best.score:.4f}",
            "-" if job.best is None else f"{job.metric_name} {metric(job.best.metric, job)}",
            energy(job.best.energy_pj if job.best else None),
            moment(job.created_at),
        )
    return table


def dry_run(answer: DryRun) -> RenderableType:
    """What a job would search."""
    choices = _table("choice", "layers", ">candidates", "of")
    for slot in answer.slots:
        choices.add_row(
            Text(slot.name),
            Text(", ".join(slot.layers)),
            str(len(slot.candidates)),
            Text(", ".join(slot.candidates)),
        )
    for width in answer.widths:
        multiples = ", ".join(f"{value:g}" for value in width.multipliers)
        choices.add_row(
            Text(width.name), Text(", ".join(width.layers)), str(len(width.multipliers)), multiples
        )
    layers = _table("layer", "class", ">inputs", ">outputs", ">parameters", ">operations", ">included")
    for layer in answer.reference.layers:
        parts = (
            layer.inputs_pj,
            layer.outputs_pj,
            layer.parameters_pj,
            layer.operations_pj,
            layer.included_pj,
        )
        layers.add_row(Text(layer.name), Text(layer.class_name), *(f"{part:,.0f}" for part in parts))
    data = answer.data
    lines = [
        f"{size(answer.space_size)} assignments, {answer.trials} trials",
        f"data: {data.train_samples} training, {data.validation_samples} validation, {data.test_samples} test "
        f"examples of shape {data.input_shape}, "
        + ("numbers as targets" if data.classes is None else f"{data.classes} classes"),
        f"reference: {energy(answer.reference.energy_pj)}, {answer.reference.bits:,} bits",
    ]
    if answer.untouched:
        lines.append(f"untouched: {', '.join(answer.untouched)}")
    warnings = [Text(f"warning: {warning}", style="yellow") for warning in answer.warnings]
    layers.title = "Reference energy by layer (pJ)"
    return Group(*(Text(line) for line in lines), *warnings, choices, layers)


# --- trials --------------------------------------------------------------------------------------------------------


def points(job: JobSummary, items: Sequence[PointView], title: str) -> RenderableType:
    """A table of measured trials, costs beside the reference."""
    if not items:
        return Text("no trial is measured yet")
    table = _table(">trial", ">score", f">{job.metric_name}", ">energy", ">of reference", ">bits")
    table.title = title
    for point in items:
        table.add_row(
            str(point.number),
            f"{point.score:.4f}",
            metric(point.metric, job),
            energy(point.energy_pj),
            percent(point.cost / job.reference_cost) if job.reference_cost else "-",
            f"{point.bits:,}",
        )
    return table


def trials(items: Sequence[TrialSummary]) -> RenderableType:
    """A table of trials."""
    if not items:
        return Text("no trials yet")
    table = _table(">trial", "status", ">score", ">metric", ">energy", ">epochs", "reason")
    for trial in items:
        table.add_row(
            str(trial.number),
            status_text(trial.status),
            "-" if trial.score is None else f"{trial.score:.4f}",
            "-" if trial.metric is None else f"{trial.metric:.4g}",
            energy(trial.energy_pj),
            str(trial.epochs_done),
            Text(trial.reason or ""),
        )
    return table


# --- problems ------------------------------------------------------------------------------------------------------


def problem(console: Console, document: ProblemDocument) -> None:
    """Why the service refused: each fault with the field it stands in."""
    console.print(Text.assemble(("error: ", "red"), f"{document.title} ({document.status})"))
    if not document.errors:
        console.print(Text(f"  {document.detail}"))
    for item in document.errors:
        console.print(
            Text.assemble("  ", (item.pointer or item.parameter or "(body)", "bold"), f": {item.detail}")
        )
    if document.trace_id:
        console.print(Text(f"  trace {document.trace_id}", style="dim"))


def _table(*columns: str) -> Table:
    """A table; a leading > aligns a column to the right."""
    table = Table(header_style="bold", title_justify="left")
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return table
