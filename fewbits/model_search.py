"""A search in one call: the model and arrays go to a service of this machine, the result comes back."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fewbits.arguments import built_in, check_job, check_model, options
from fewbits.arrays import Ends, Examples, ends_of, named_arrays
from fewbits.local_service import LocalService, local
from fewbits.progress import Html, followed, plot_html, result_html
from search.networks.zoo import ZOO
from service.cli import bundling
from service.cli.text.jobs import best_text
from service.client import ClientError, SearchClient
from service.client.unpacking import unpack
from service.schemas.exports import ExportView
from service.schemas.jobs import JobView, ParetoView, PointView
from service.settings import Settings

if TYPE_CHECKING:
    import keras
    import pandas

_MODEL: Final = "model.keras"


class SearchFailed(ClientError):
    """The job ended without a measured trial; the message has its reason."""


@dataclass(frozen=True)
class SearchResult:
    """What a search produced. `job`: its last state; `client`: reaches everything else that the service has."""

    client: SearchClient
    job: JobView

    @property
    def best(self) -> PointView:
        """The trial with the highest score: number, score, metric, cost, energy in pJ, bits."""
        return self.client.best(self.job.id, 1)[0]

    @property
    def front(self) -> ParetoView:
        """The trials that no other trial beats in both metric and cost, by rising cost."""
        return self.client.pareto(self.job.id)

    def to_dataframe(self) -> pandas.DataFrame:
        """All trials as a pandas data frame, indexed by number. ImportError without pandas."""
        return self.client.to_dataframe(self.job.id)

    def model(self, trial: int | None = None) -> keras.Model:
        """The trained model of a trial, by default of the best. Its files are deleted at once."""
        with tempfile.TemporaryDirectory(prefix="fewbits-") as folder:
            number = self.best.number if trial is None else trial
            return load_model(self.client.download(self.job.id, number, _MODEL, folder))

    def save(self, folder: str | os.PathLike[str], trial: int | None = None) -> Path:
        """Download all files of a trial, by default of the best: model, report, quantizers, weights, recipe."""
        number = self.best.number if trial is None else trial
        for artifact in self.client.trial(self.job.id, number).artifacts:
            self.client.download(self.job.id, number, artifact.name, folder)
        return Path(folder)

    def bundle(
        self, path: str | os.PathLike[str], trial: int | None = None, *, formats: Sequence[str] = ()
    ) -> Path:
        """Write a trial, by default the best, to one zip: model, exports, report, recipe and model card.

        `formats`: exports that are made first, such as `["c", "tflite"]`; all that are done are in the zip.
        """
        if isinstance(formats, str):
            raise ValueError(f"formats must be a list of names, such as [{formats!r}]")
        number = self.best.number if trial is None else trial
        bundling.bundle(self.client, self.job.id, number, Path(path), formats)
        return Path(path)

    def export(
        self, name: str, folder: str | os.PathLike[str], trial: int | None = None, **options: Any
    ) -> ExportView:
        """Export a trial, by default the best, in the format `name`, and unpack it in `folder`; its proof and files.

        `options`: those of the format. Raises `Invalid`, which names what the format cannot express, or `ExportFailed`.
        """
        number = self.best.number if trial is None else trial
        with tempfile.TemporaryDirectory(prefix="fewbits-") as scratch:
            view = self.client.export_model(self.job.id, number, name, scratch, options)
            unpack(Path(scratch) / f"{view.name}.zip", folder, view.unpacked_bytes)
        return view

    def plot(self) -> Html:
        """All trials in the dashboard's charts, for a notebook; `.text` is the HTML."""
        return Html(plot_html(self.client, self.job.id))

    def __repr__(self) -> str:
        best = self.job.best
        measured = "no trial was measured" if best is None else best_text(self.job).plain
        return f"<SearchResult of job {self.job.id}, {self.job.progress.done} trials, {measured}>"

    def _repr_html_(self) -> str:
        return result_html(self.job, self.front.items, self.best.number, self.client.url)


def search(
    model: Any,
    x: Examples | str,
    y: Examples | None = None,
    *,
    validation_data: tuple[Examples, Examples] | None = None,
    test_data: tuple[Examples, Examples] | None = None,
    limits: Any = 8,
    trials: int | None = None,
    epochs: int | None = None,
    service: LocalService | SearchClient | None = None,
    progress: bool = True,
    **job: Any,
) -> SearchResult:
    """Search the quantizers of a model, wait for the end, and return what was learned.

    `model`: a Keras model, a `.keras` or `.json` file, or the name of a built-in network. `x`, `y`: arrays of numbers
    with one row per example, of several inputs or outputs `{"name": array, ...}`, or a list in the model's order; or
    `x` is a `.npz` file, or the name of a built-in data set. Without `test_data` a fifth of the examples (by
    `data={"test_fraction": ...}` another share) is put aside for the final report. `validation_data`: by default the
    job splits it off.
    `limits`: which layers are quantized; a number is the largest bit width in all layers.
    `trials`, `epochs`: the budget, and how long each trial is trained; by default 20 and 10.
    `service`: where to search. By default the service at FEWBITS_URL if that is set, otherwise one that is started on
    this machine and runs until this process ends; its files stay in FEWBITS_HOME (`~/.fewbits`).
    `job`: all other fields of a job file, such as `quantizers`, `filters`, `goal`, `oracle` or `training`.

    An interrupt (Ctrl-C) cancels the job; its trials stay. What the job warns of is printed, or a warning where
    `progress` is false. Raises ValueError for an argument that cannot be used, and `Invalid`, which names every fault
    of the job, before anything is trained; `NotStarted`; `SearchFailed`.
    """
    check_model(model)
    chosen = options(limits, trials, epochs, job)
    source = built_in(x) if isinstance(x, str | os.PathLike) else None
    arrays = _arrays(x, y, validation_data, test_data, ends_of(model))
    if _is_here(service):
        check_job(chosen, model, source)
    client = _client(service)
    with tempfile.TemporaryDirectory(prefix="fewbits-") as folder:
        network = _model(client, model, Path(folder))
        data = {"kind": source} if source else _upload(client, x, arrays, Path(folder))
        submitted = client.submit(chosen.document(network, data))
    ended = _ended(client, submitted, is_shown=progress)
    if ended.best is None:
        raise SearchFailed(f"job {ended.id} ended {ended.status} without a measured trial: {ended.reason}")
    return SearchResult(client, ended)


def _ended(client: SearchClient, job: JobView, *, is_shown: bool) -> JobView:
    """Wait for the end of a job; an interrupt cancels it."""
    for text in job.warnings:
        if is_shown:
            print(f"warning: {text}")
        else:
            warnings.warn(text, stacklevel=3)
    try:
        return followed(client, job.id, is_shown=is_shown)
    except KeyboardInterrupt as interrupt:
        client.cancel(job.id)
        interrupt.add_note(
            f"Job {job.id} was cancelled. What was measured stays:"
            f" fewbits.SearchResult(client, client.job({job.id!r})) with a client of the service at {client.url};"
            f" client.extend({job.id!r}, {{'trials': 5}}) continues it."
        )
        raise


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    """Read the `model.keras` of a trial, or the first one in a folder that `fewbits fetch` or `save` wrote.

    Registers the quantized layers with Keras; nothing else of the service is needed.
    """
    import keras

    import fewbits.layers  # noqa: F401 -- registers the layers

    file = Path(path)
    return keras.models.load_model(file / _MODEL if file.is_dir() else file)


# --- where -----------------------------------------------------------------------------------------------------------

_started: list[LocalService] = []


def _is_here(service: LocalService | SearchClient | None) -> bool:
    """Whether the service is of this installation, so that the fields of a job are the same there."""
    if service is not None and not isinstance(service, LocalService | SearchClient):
        raise ValueError(
            f"service must be what fewbits.local() returns, or a fewbits.SearchClient(url), not {service!r}"
        )
    return isinstance(service, LocalService) or (service is None and not Settings().url)


def _client(service: LocalService | SearchClient | None) -> SearchClient:
    if isinstance(service, SearchClient):
        return service
    if isinstance(service, LocalService):
        return service.client
    settings = Settings()
    if settings.url:
        return SearchClient(settings.url, key=settings.api_key or None)
    running = [one for one in _started if one.is_running and one.home == settings.home]
    if not running:
        running = [local()]
        _started.extend(running)
    return running[0].client


# --- what ------------------------------------------------------------------------------------------------------------


def _model(client: SearchClient, model: Any, folder: Path) -> Any:
    """The field `model` of the job; a model that is not built in is uploaded."""
    if isinstance(model, str) and model in ZOO:
        return model
    path = Path(model) if isinstance(model, str | os.PathLike) else folder / _MODEL
    if not isinstance(model, str | os.PathLike):
        model.save(path)
    return {"kind": "uploaded", "id": client.upload_model(path).id}


def _arrays(
    x: Examples | str,
    y: Examples | None,
    validation_data: tuple[Examples, Examples] | None,
    test_data: tuple[Examples, Examples] | None,
    ends: Ends,
) -> dict[str, Any]:
    """The arrays of a data file; none where `x` names data."""
    if not isinstance(x, str | os.PathLike):
        if y is None:
            raise ValueError("y is missing: the targets, one row per example")
        return named_arrays(x, y, validation_data, test_data, ends)
    if y is not None or validation_data is not None or test_data is not None:
        raise ValueError(
            "x names data that hold all parts: y, validation_data and test_data must not be passed"
        )
    return {}


def _upload(client: SearchClient, x: Any, arrays: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The field `data` of the job; arrays are uploaded as one file."""
    path = Path(x) if not arrays else folder / "data.npz"
    if arrays:
        np.savez(path, allow_pickle=False, **arrays)
    return {"kind": "uploaded", "id": client.upload_dataset(path).id}
