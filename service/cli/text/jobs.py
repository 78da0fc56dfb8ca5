"""Jobs as text: one in a line or a bar, many in a table, and what a job would search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.history import JobStatus, TrialStatus
from service.cli.text.numbers import cost, cost_name, duration, energy, local_time, metric, space_size
from service.cli.text.tables import new_table
from service.schemas.dry_run import DataView, DryRun
from service.schemas.jobs import JobSummary, JobView

_STYLES: Final = {
    JobStatus.DONE: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "yellow",
    JobStatus.RUNNING: "cyan",
    JobStatus.FINALIZING: "cyan",
}
_BAR_WIDTH: Final = 40


def status_text(status: str) -> Text:
    """A status in its color."""
    return Text(str(status), style=_STYLES.get(status, ""))  # type: ignore[call-overload]


def job_line(job: JobSummary) -> Text:
    """A job in one line."""
    line = Text.assemble(("job ", "bold"), (job.id, "bold"), " ", status_text(job.status))
    if job.name:
        line.append(f"  {job.name}")
    if job.reason:
        line.append(f"  ({job.reason})", style="dim")
    return line


def progress_bar(job: JobSummary) -> RenderableType:
    """The progress of a job, with the time that is left."""
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
    """The best score, metric and energy so far."""
    if job.best is None:
        failed = job.trials.get(TrialStatus.FAILED, 0)
        ruled_out = job.trials.get(TrialStatus.INFEASIBLE, 0) + job.trials.get(TrialStatus.PRUNED, 0)
        parts = ["no trial is measured yet"]
        parts += [f"{failed} failed"] if failed else []
        parts += [f"{ruled_out} ruled out"] if ruled_out else []
        return Text("; ".join(parts), style="dim")
    return Text(
        f"best score {job.best.score:.4f} (trial {job.best.number})   "
        f"best {job.metric_name} {metric(job.best_metric, job)}   least {cost_name(job.cost_unit)}"
        f" {cost(job.least_cost, job.cost_unit)} (reference {cost(job.reference_cost, job.cost_unit)})"
    )


def waiting_text(reason: str) -> Text:
    """Why no worker works on a job, and the remedy."""
    return Text.assemble(("waiting: ", "yellow"), reason)


def progress_text(job: JobSummary) -> Text:
    """The progress of a job in one line, for logs."""
    progress = job.progress
    return Text.assemble(
        f"{job.status:<10} {progress.done:>3}/{progress.total} trials  ETA {duration(progress.eta_s)}  ",
        best_text(job),
    )


def job_table(items: Sequence[JobSummary]) -> RenderableType:
    """A table of jobs."""
    if not items:
        return Text("no jobs yet: fewbits submit JOB.yaml")
    table = new_table("id", "name", "status", ">done", ">ETA", ">score", ">metric", ">cost", "created")
    for job in items:
        table.add_row(
            job.id,
            Text(job.name or job.model),
            status_text(job.status),
            f"{job.progress.done}/{job.progress.total}",
            "" if job.progress.eta_s is None else duration(job.progress.eta_s),
            "-" if job.best is None else f"{job.best.score:.4f}",
            "-" if job.best is None else f"{job.metric_name} {metric(job.best.metric, job)}",
            cost(job.best.cost if job.best else None, job.cost_unit),
            local_time(job.created_at),
        )
    return table


def submitted_text(job: JobView, url: str) -> Text:
    """A job that was just submitted, and how to follow it."""
    return Text(
        f"job {job.id} is {job.status}: {space_size(job.space_size)} assignments, {job.progress.total} trials\n"
        f"follow it:  fewbits watch {job.id}\ndashboard:  {url}/#/jobs/{job.id}"
    )


def dry_run(answer: DryRun) -> RenderableType:
    """What a job would search."""
    warnings = [Text(f"warning: {warning}", style="yellow") for warning in answer.warnings]
    summary = [Text(line) for line in _summary(answer)]
    tables = [_choices(answer), *([_normalizations(answer)] if answer.normalizations else [])]
    float_table = [_float_layers(answer)] if answer.float_layers else []
    return Group(*summary, *warnings, *tables, _reference_energies(answer), *float_table)


def _summary(answer: DryRun) -> list[str]:
    data, reference = answer.data, answer.reference
    targets = "numbers as targets" if data.classes is None else f"{data.classes} classes"
    lines = [
        f"{space_size(answer.space_size)} assignments, {answer.trials} trials",
        f"data: {data.train_samples} training, {data.validation_samples} validation, {data.test_samples} test "
        f"examples of shape {_shapes(data)}, {targets}",
        *(f"  {note}" for note in data.notes),
        *_preprocessing(data),
        *(f"input {name}: {quantizer}" for name, quantizer in answer.inputs.items()),
        f"reference: {energy(reference.energy_pj)}, {reference.bits:,} bits",
        *_exports(answer),
    ]
    return [*lines, f"untouched: {', '.join(answer.untouched)}"] if answer.untouched else lines


def _shapes(data: DataView) -> str:
    if len(data.inputs) < 2:
        return str(data.input_shape)
    return ", ".join(f"{entry.shape} ({entry.name})" for entry in data.inputs)


def _preprocessing(data: DataView) -> list[str]:
    if len(data.inputs) < 2:
        return (
            [f"preprocessing: {data.preprocessing}, {data.preprocessing_reason}"]
            if data.preprocessing
            else []
        )
    return [
        f"preprocessing of {entry.name}: {entry.preprocessing}, {entry.preprocessing_reason}"
        for entry in data.inputs
    ]


def _exports(answer: DryRun) -> list[str]:
    """The formats that take every trial, and those that do not."""
    taken = [entry.name for entry in answer.exports if entry.possible]
    refused = [entry.name for entry in answer.exports if not entry.possible]
    lines = [f"every trial can leave as {', '.join(taken)}"] if taken else []
    hint = f"not every trial can leave as {', '.join(refused)}: `fewbits export --check JOB` says why"
    return [*lines, hint] if refused else lines


def _choices(answer: DryRun) -> Table:
    table = new_table("choice", "layers", ">candidates", "of")
    candidates = [(slot.name, slot.layers, slot.candidates) for slot in answer.slots]
    for width in answer.widths:
        multipliers = tuple(f"{value:g}" for value in width.multipliers)
        candidates.append((width.name, width.layers, multipliers))
    for name, layers, labels in candidates:
        table.add_row(Text(name), Text(", ".join(layers)), str(len(labels)), Text(", ".join(labels)))
    return table


def _normalizations(answer: DryRun) -> Table:
    table = new_table("normalization", "in trials", ">reference", ">cheapest", "why")
    table.title = "Batch normalizations, with their energy (pJ)"
    for entry in answer.normalizations:
        becomes = f"folded into {entry.into}" if entry.into else entry.treatment
        costs = ("" if cost is None else f"{cost:,.0f}" for cost in (entry.reference_pj, entry.cheapest_pj))
        table.add_row(Text(entry.layer), Text(becomes), *costs, Text(entry.reason))
    return table


def _float_layers(answer: DryRun) -> Table:
    """What stays float, in the cheapest network of the search."""
    table = new_table("layer", "class", "float tensors", ">pJ", ">share")
    table.title = "Layers with float tensors, in the cheapest network"
    for layer in answer.float_layers:
        table.add_row(
            Text(layer.name),
            Text(layer.class_name),
            Text(", ".join(layer.tensors)),
            f"{layer.energy_pj:,.0f}",
            f"{layer.share:.1%}",
        )
    return table


def _reference_energies(answer: DryRun) -> Table:
    table = new_table("layer", "class", ">inputs", ">outputs", ">parameters", ">operations", ">included")
    table.title = "Reference energy by layer (pJ)"
    for layer in answer.reference.layers:
        energies = (
            layer.inputs_pj,
            layer.outputs_pj,
            layer.parameters_pj,
            layer.operations_pj,
            layer.included_pj,
        )
        table.add_row(Text(layer.name), Text(layer.class_name), *(f"{value:,.0f}" for value in energies))
    return table
