"""A search in one call: the model and arrays go to a service of this machine, the result comes back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fewbits.arrays import Ends, Examples, ends_of, named_arrays
from fewbits.local_service import LocalService, local
from fewbits.progress import Html, followed, plot_html, result_html
from search.networks.zoo import ZOO
from service.cli import bundling
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
    trials: int = 20,
    epochs: int = 10,
    service: LocalService | SearchClient | None = None,
    progress: bool = True,
    **job: Any,
) -> SearchResult:
    """Search the quantizers of a model, wait for the end, and return what was learned.

    `model`: a Keras model, a `.keras` or `.json` file, or the name of a built-in network. `x`, `y`: arrays with one row
    per example, of several inputs or outputs `{"name": array, ...}`, or a list in the model's order; or
    `x` is a `.npz` file, or the name of a built-in data set. Without `test_data`, a fifth of the examples, drawn with
    seed 0, is put aside for the final report. `validation_data`: by default the job splits it off.
    `limits`: which layers are quantized; a number is the largest bit width in all layers.
    `trials`, `epochs`: the budget, and how long each trial is trained.
    `service`: where to search. By default the service at FEWBITS_URL if that is set, otherwise one that is started on
    this machine and runs until this process ends; its files stay in FEWBITS_HOME (`~/.fewbits`).
    `job`: all other fields of a job file, such as `quantizers`, `filters`, `goal`, `oracle` or `training`.

    Raises `Invalid`, which names every fault of the job, `NotStarted`, or `SearchFailed`.
    """
    client = _client(service)
    document: dict[str, Any] = {**job, "limits": limits}
    document["training"] = {"epochs": epochs, **document.get("training", {})}
    document["budget"] = {"trials": trials, **document.get("budget", {})}
    with tempfile.TemporaryDirectory(prefix="fewbits-") as folder:
        document["model"] = _model(client, model, Path(folder))
        data = _data(client, x, y, validation_data, test_data, Path(folder), ends_of(model))
        document["data"] = data | document.get("data", {})
    submitted = client.submit(document)
    ended = followed(client, submitted.id, is_shown=progress)
    if ended.best is None:
        raise SearchFailed(f"job {ended.id} ended {ended.status} without a measured trial: {ended.reason}")
    return SearchResult(client, ended)


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


def _data(
    client: SearchClient,
    x: Examples | str,
    y: Examples | None,
    validation_data: tuple[Examples, Examples] | None,
    test_data: tuple[Examples, Examples] | None,
    folder: Path,
    ends: Ends,
) -> dict[str, Any]:
    """The field `data` of the job; arrays are uploaded as one file."""
    if isinstance(x, str | os.PathLike):
        if y is not None or validation_data is not None or test_data is not None:
            raise ValueError(
                "x names data that hold all parts: y, validation_data and test_data must not be passed"
            )
        path = Path(x)
        return (
            {"kind": "uploaded", "id": client.upload_dataset(path).id}
            if path.is_file()
            else {"kind": os.fspath(x)}
        )
    if y is None:
        raise ValueError("y is missing: the targets, one row per example")
    arrays = named_arrays(x, y, validation_data, test_data, ends)
    path = folder / "data.npz"
    np.savez(path, allow_pickle=False, **arrays)
    return {"kind": "uploaded", "id": client.upload_dataset(path).id}
