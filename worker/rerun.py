"""`python -m worker.rerun FOLDER`: retrain a trial by its recipe on this machine, and compare. Used by `fewbits rerun`.

FOLDER holds recipe.json; where the trial continued another one, the model of that one as parent.keras and, where bits
were trained, its bits.npz as parent-bits.npz; and uploads that the job names, as uploads/SHA256. Other uploads are
looked up in this machine's blob folder.
Exit codes: 0 the metric agrees within the tolerance, 1 it does not or the recipe could not be run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from search.data import Dataset, load_inputs
from search.errors import SearchError
from search.history import EpochReport, Measurement
from search.plan import Plan
from search.plans.kinds import plan as make_plan
from search.results.recipe import TOLERANCE, Recipe, fingerprint
from search.spec.job import UploadedData, UploadedModel
from search.training.request import TrainingRequest
from search.trial_files import (
    BITS_FILE,
    MODEL_FILE,
    PARENT_BITS_FILE,
    PARENT_MODEL_FILE,
    RECIPE_FILE,
    UPLOADS_FOLDER,
    parent_files,
)
from search.trial_runners import trial_runner
from search.uploads.faults import UploadFault
from service.settings import Settings
from service.store.blob_stores import open_blobs
from service.store.blobs import BlobStore
from service.store.references import BlobLookup
from worker import preparation
from worker.float_model import write_float
from worker.sandbox.saved_models import check_saved_model


class NotRerun(Exception):
    """The recipe cannot be run here: fetch what is missing, or use the data that it was made with."""


class PrintingReporter:
    """Prints each epoch on standard error."""

    def batch(self) -> None:
        """Does nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Print its metrics."""
        shown = ", ".join(f"{name} {value:.4f}" for name, value in report.metrics.items())
        print(f"epoch {report.epoch + 1}: {shown}", file=sys.stderr)


def main() -> None:
    """Parse, train, compare; exit code 1 where the metric differs."""
    parser = argparse.ArgumentParser(prog="python -m worker.rerun", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=None, help="data folder; default: FEWBITS_DATA_DIR")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    options = parser.parse_args()
    try:
        recipe = _recipe(options.folder / RECIPE_FILE)
        measurement = rerun(recipe, options.folder, options.data or Settings().data_folder)
    except (NotRerun, SearchError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    agrees = recipe.agrees(measurement.metric, options.tolerance)
    print(
        f"trial {recipe.trial}: metric {recipe.metric:.6f} as stored, {measurement.metric:.6f} now: "
        f"{'the same' if agrees else 'not the same'} within {options.tolerance:g}"
    )
    for line in differences(recipe):
        print(f"note: {line}")
    if not agrees:
        raise SystemExit(1)


def _recipe(path: Path) -> Recipe:
    """The recipe in a file. NotRerun for another document."""
    try:
        return Recipe.from_json(json.loads(path.read_text()))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotRerun(f"{path.name} is no recipe: {error!r}"[:300]) from None


def rerun(recipe: Recipe, folder: Path, data_dir: Path) -> Measurement:
    """Train and measure a trial by its recipe. NotRerun where the data differ or the parent's model is missing."""
    with tempfile.TemporaryDirectory(prefix="fewbits-rerun-") as place:
        return _run(recipe, folder, data_dir, Path(place))


def differences(recipe: Recipe) -> list[str]:
    """The versions that differ from those the trial was trained with, one line each."""
    installed = preparation.versions()
    return [
        f"{name} was {version}, here it is {installed.get(name, 'missing')}"
        for name, version in recipe.versions.items()
        if installed.get(name) != version
    ]


def _run(recipe: Recipe, folder: Path, data_dir: Path, place: Path) -> Measurement:
    plan, data = _prepare(recipe, folder, data_dir)
    start = _start(recipe, plan, data, folder, place)
    request = TrainingRequest(
        recipe.assignment,
        recipe.seed,
        epochs=recipe.epochs,
        initial_epoch=recipe.initial_epoch,
        start_from=start,
        penalty=recipe.penalty,
        polish=recipe.polish,
        start_bits=_start_bits(recipe, folder),
        rate_shares=recipe.shares,
        teacher=_teacher(recipe, plan, data, start, place),
    )
    (place / "trial").mkdir()
    return trial_runner(recipe.spec).run(plan, request, data, PrintingReporter(), place / "trial")


def _start(recipe: Recipe, plan: Plan, data: Dataset, folder: Path, place: Path) -> Path | None:
    """The model that a training starts from; None where it starts from new weights."""
    if recipe.start == "scratch":
        return None
    start = place / recipe.start / MODEL_FILE  # Keras tells the format by the name
    start.parent.mkdir()
    if recipe.start == "float":
        write_float(plan, data, PrintingReporter(), start.parent)
    else:
        shutil.copyfile(folder / PARENT_MODEL_FILE, start)
        _check_parent(start)
    return start


def _check_parent(path: Path) -> None:
    """NotRerun for a model that names other things than layers: it may come from anybody."""
    try:
        with tempfile.TemporaryDirectory(prefix="fewbits-check-") as scratch:
            check_saved_model(path, Path(scratch))
    except UploadFault as fault:
        raise NotRerun(f"{PARENT_MODEL_FILE} is refused: {fault}") from None


def _start_bits(recipe: Recipe, folder: Path) -> Path | None:
    """The bits that a training continues, where they are trained."""
    return folder / PARENT_BITS_FILE if BITS_FILE in parent_files(recipe.start, recipe.penalty) else None


def _teacher(recipe: Recipe, plan: Plan, data: Dataset, start: Path | None, place: Path) -> Path | None:
    """The float model, where the job's trials learn from it."""
    if recipe.spec.training.distill is None:
        return None
    if recipe.start == "float":
        return start
    teacher = place / "teacher" / MODEL_FILE
    teacher.parent.mkdir()
    write_float(plan, data, PrintingReporter(), teacher.parent)
    return teacher


class _Uploads(BlobStore):
    """Blobs of this machine, and files beside a recipe."""

    def __init__(self, files: Path, blobs: BlobStore) -> None:
        super().__init__(files)
        self._files, self._blobs = files, blobs

    def path(self, sha256: str) -> Path:
        """Where the content with this SHA-256 is, or would be."""
        beside = self._files / sha256
        return beside if beside.is_file() else self._blobs.path(sha256)


def _prepare(recipe: Recipe, folder: Path, data_dir: Path) -> tuple[Plan, Dataset]:
    """The plan and the data of a recipe. NotRerun names every file that is missing."""
    blobs = _Uploads(folder / UPLOADS_FOLDER, open_blobs(Settings()))
    missing = list(_missing(recipe, folder, blobs))
    if missing:
        raise NotRerun("; ".join(missing))
    plan = make_plan(recipe.spec, data_dir, BlobLookup(blobs))
    data = load_inputs(plan.job.data, data_dir, recipe.spec.seed, plan.data.inputs, plan.task.heads)
    _check_data(recipe, fingerprint(data))
    return plan, data


def _missing(recipe: Recipe, folder: Path, blobs: BlobStore) -> Iterator[str]:
    """What cannot be found of all that a recipe needs, each with where it is looked for."""
    for part, reference in (("model", recipe.spec.model), ("data", recipe.spec.data)):
        if isinstance(reference, UploadedModel | UploadedData):
            sha256 = reference.sha256 or ""
            if not sha256 or not blobs.path(sha256).is_file():
                yield (
                    f"the uploaded {part} {reference.id} (SHA-256 {sha256 or 'unknown'}) is missing: it is not among "
                    f"--file, not in {Settings().blob_folder}, and the service has deleted it or was not asked"
                )
    for name, beside in parent_files(recipe.start, recipe.penalty).items():
        if not (folder / beside).exists():
            yield f"trial {recipe.trial} continued trial {recipe.parent}, whose {name} is missing"


def _check_data(recipe: Recipe, digests: dict[str, str]) -> None:
    changed = [name for name, digest in recipe.data.items() if digests.get(name) != digest]
    if changed:
        raise NotRerun(f"the data are not those the trial was trained on: {', '.join(changed)} differ")


if __name__ == "__main__":
    main()
