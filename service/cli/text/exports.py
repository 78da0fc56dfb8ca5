"""Exports and formats as text."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from service.cli.text.numbers import file_size, percent
from service.cli.text.tables import new_table
from service.schemas.device import DeviceView
from service.schemas.exports import ExportView, FiguresView, FormatView, ProofView


def formats_text(formats: Sequence[FormatView], device: DeviceView | None) -> RenderableType:
    """What a trial needs on a device, where it is one trial, and every format."""
    return format_table(formats) if device is None else Group(Text(_device(device)), format_table(formats))


def _device(device: DeviceView) -> str:
    return (
        f"parameters {device.packed_bytes:,} bytes packed, activations {device.peak_activation_bytes:,} bytes at"
        f" their peak, {device.macs:,} MACs"
    )


def format_table(formats: Sequence[FormatView]) -> RenderableType:
    """Every format: whether it takes the trial, and each layer that it does not."""
    if not formats:
        return Text("no format takes a job of this kind")
    table = new_table("format", "takes it", "what it is, or what it refuses")
    for entry in formats:
        refusals = [f"layer {refusal.layer!r}: {refusal.reason}" for refusal in entry.refusals]
        equality = "; computes exactly what the model does" if entry.exact else ""
        table.add_row(
            Text(entry.name),
            Text("yes", style="green") if entry.possible else Text("no", style="red"),
            Text("\n".join(refusals) or entry.title + equality),
        )
    return table


def export_text(view: ExportView, place: str) -> RenderableType:
    """An export that is done: where it is, how it compares with the model, what it needs on a device."""
    lines = [f"{place}  {view.format}, {len(view.files)} files"]
    lines += [f"  {file.name}  {file_size(file.size_bytes)}" for file in view.files]
    if view.proof is not None:
        lines += _proof(view.proof)
    if view.figures is not None:
        lines += _figures(view.figures)
    return Group(*map(Text, [*lines, *view.notes]))


def _proof(proof: ProofView) -> list[str]:
    same = "" if proof.equal_classes is None else f"{percent(proof.equal_classes)} equal classes, "
    difference = "exact" if proof.exact else f"largest difference {proof.largest_difference:.4g}"
    line = f"compared on {proof.examples} test inputs: {same}{difference}"
    if proof.metric is not None and proof.model_metric is not None:
        metrics = f"{proof.metric:.4g}, the model {proof.model_metric:.4g}"
        line += f"; on {proof.validation_examples} validation examples {metrics}"
    ran = ", ".join(f"{name} {version}" for name, version in proof.versions.items())
    reasons = [f"  layer {layer!r}: {reason}" for layer, reason in proof.inexact.items()]
    return [line, *reasons, f"run by {ran}"]


def _figures(figures: FiguresView) -> list[str]:
    """What is known of a device's memory."""
    sizes = (
        ("flash", figures.flash_bytes),
        ("RAM", figures.ram_bytes),
        ("packed weights", figures.packed_bytes),
    )
    parts = [f"{name} {size:,} bytes" for name, size in sizes if size is not None]
    parts += [] if figures.macs is None else [f"{figures.macs:,} multiplications"]
    return [", ".join(parts)] if parts else []
