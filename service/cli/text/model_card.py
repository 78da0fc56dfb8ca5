"""The model card of a trial: what it is, what was measured, how it was made; in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.cli.text import numbers
from service.schemas.exports import ExportView
from service.schemas.jobs import JobView, TrialView


def model_card(
    job: JobView, trial: TrialView, recipe: Mapping[str, Any], exports: Sequence[ExportView]
) -> str:
    """The card. `recipe`: the document of recipe.json, empty where there is none; `exports`: those that are done."""
    parts = (
        _head(job, trial),
        _figures(job, trial),
        _layers(trial),
        _exports(exports),
        _training(job, recipe),
        _use(),
    )
    return "\n".join(line for part in parts for line in (*part, ""))


def _head(job: JobView, trial: TrialView) -> Iterator[str]:
    yield f"# {_plain(job.name or job.model)}, trial {trial.number}"
    yield ""
    yield (
        f"The network {_plain(job.model)} on {_plain(job.data)}, quantized by fewbits: quantizer, bit width and "
        f"width of every layer were searched (job `{job.id}`, {job.progress.done} of {job.progress.total} trials)."
    )


def _figures(job: JobView, trial: TrialView) -> Iterator[str]:
    yield "## Measured"
    yield ""
    yield from _table(("figure", "value"), _rows(job, trial))


def _rows(job: JobView, trial: TrialView) -> Iterator[tuple[str, str]]:
    metric = _plain(job.metric_name)
    if trial.metric is not None:
        yield f"{metric}, validation data", f"{trial.metric:.4f}"
    if trial.spread is not None:
        yield f"its spread over {len(trial.executions)} trainings", f"{trial.spread.std:.4f}"
    if job.float_metric is not None:
        yield f"{metric} of the float model, validation data", f"{job.float_metric:.4f}"
    for look in job.test_looks:
        if look.trial == trial.number and look.metric is not None:
            yield f"{metric}, test data", f"{look.metric:.4f} ({_plain(look.note)})"
    if trial.energy_pj is not None:
        yield "energy of one inference", numbers.energy(trial.energy_pj)
    if trial.cost is not None:
        yield "cost that was searched for", numbers.cost(trial.cost, job.cost_unit)
        share = numbers.percent(trial.cost / job.reference_cost if job.reference_cost else None)
        yield "of the unquantized network", share
    if trial.bits is not None:
        yield "bits of parameters and activations", f"{trial.bits:,}"
    if trial.device is not None:
        yield "parameters, packed", f"{trial.device.packed_bytes:,} bytes"
        yield "activations at their peak", f"{trial.device.peak_activation_bytes:,} bytes"
        yield "multiplications and additions", f"{trial.device.macs:,}"


def _layers(trial: TrialView) -> Iterator[str]:
    yield "## Quantizers"
    yield ""
    rows = [
        (
            layer.name,
            layer.class_name or "",
            "" if layer.width is None else str(layer.width),
            ", ".join(f"{slot}: {tensor.quantizer or 'float'}" for slot, tensor in layer.slots.items()),
        )
        for layer in trial.layers
        if layer.slots or layer.width is not None
    ]
    yield from _table(("layer", "class", "width", "quantizers"), rows)


def _exports(exports: Sequence[ExportView]) -> Iterator[str]:
    if not exports:
        return
    yield "## Exports"
    yield ""
    yield "Each was run by its own runtime and compared with the model, on test inputs whose labels were not read."
    yield ""
    yield from _table(
        (
            "folder",
            "format",
            "examples",
            "equal classes",
            "largest difference",
            "flash",
            "RAM",
            "SHA-256 of the zip",
        ),
        [
            (
                f"exports/{view.name}",
                view.format,
                "" if view.proof is None else str(view.proof.examples),
                "" if view.proof is None else numbers.percent(view.proof.equal_classes),
                ""
                if view.proof is None
                else "exact"
                if view.proof.exact
                else f"{view.proof.largest_difference:.4g}",
                _bytes(None if view.figures is None else view.figures.flash_bytes),
                _bytes(None if view.figures is None else view.figures.ram_bytes),
                view.sha256 or "",
            )
            for view in exports
        ],
    )


def _training(job: JobView, recipe: Mapping[str, Any]) -> Iterator[str]:
    yield "## Training"
    yield ""
    if not recipe:
        yield "The trial has no recipe."
        return
    training = job.spec["training"]
    start = f"trial {recipe['parent']}" if recipe["start"] == "parent" else recipe["start"]
    yield (
        f"{recipe['epochs']} epochs, batches of {training['batch_size']}, seed {recipe['seed']}, started from {start}, "
        f"on {_plain(recipe['machine'])} with "
        + ", ".join(f"{name} {version}" for name, version in recipe["versions"].items())
        + ". `fewbits rerun` trains it again by `model/recipe.json`."
    )
    yield ""
    yield "Fingerprint of the data, as the model read them (SHA-256 of type, shape and bytes):"
    yield ""
    yield from _table(("array", "SHA-256"), recipe["data_sha256"].items())


def _use() -> Iterator[str]:
    yield "## Use"
    yield ""
    yield "```python"
    yield "import fewbits_layers"
    yield ""
    yield 'model = fewbits_layers.load_model("model/model.keras")'
    yield "```"
    yield ""
    yield "`model/preprocessing.json` says what is done to an input before. All figures of the search: `report.html`."
    yield ""
    yield "Not known here, to be added by whoever publishes this: intended use, origin and licence of the data, limits."


def _bytes(size: int | None) -> str:
    return "" if size is None else f"{size:,} bytes"


def _table(head: Sequence[str], rows: Any) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(_plain(cell) for cell in row)} |"


def _plain(text: str) -> str:
    """Text that is no Markdown and no HTML: names are a user's."""
    escaped = text.replace("\\", "\\\\")
    for mark in "|`*_<>[]#":
        escaped = escaped.replace(mark, f"\\{mark}")
    return " ".join(escaped.split())
