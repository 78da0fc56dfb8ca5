"""`python -m worker.rerun FOLDER`: train a trial again by its recipe, here, and compare. What `fewbits rerun` starts.

FOLDER holds recipe.json, and where the trial went on with another one that one's model as parent.keras.
Exit codes: 0 it came out the same within the tolerance, 1 it did not or could not be run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from search.data import Dataset, load
from search.errors import SearchError
from search.history import EpochReport, Measurement
from search.plans.base import Plan, plan
from search.results.recipe import TOLERANCE, Recipe, fingerprint
from search.spec.spiking import XyloModel
from search.trial_files import MODEL_FILE, PARENT_MODEL_FILE, RECIPE_FILE
from service.settings import Settings
from service.store.blobs import BlobStore
from service.store.references import BlobLookup
from worker import preparation
from worker.float_model import train_float
from worker.uploads import uploaded_weights, write_uploaded_float


class NotRerun(Exception):
    """The recipe cannot be followed here."""


class Quiet:
    """A reporter that says on standard error how far a training is."""

    def batch(self) -> None:
        """Go on."""

    def epoch(self, report: EpochReport) -> None:
        """One line an epoch."""
        shown = ", ".join(f"{name} {value:.4f}" for name, value in report.metrics.items())
        print(f"epoch {report.epoch + 1}: {shown}", file=sys.stderr)


def main() -> None:
    """Parse, train, compare; ends with exit code 1 where the metric is off."""
    parser = argparse.ArgumentParser(prog="python -m worker.rerun", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=None, help="data folder; default: FEWBITS_DATA_DIR")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    options = parser.parse_args()
    try:
        recipe = Recipe.from_json(json.loads((options.folder / RECIPE_FILE).read_text()))
        measured = rerun(recipe, options.folder, options.data or Settings().data_folder)
    except (NotRerun, SearchError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    agrees = recipe.agrees(measured.metric, options.tolerance)
    print(
        f"trial {recipe.trial}: metric {recipe.metric:.6f} as stored, {measured.metric:.6f} now: "
        f"{'the same' if agrees else 'not the same'} within {options.tolerance:g}"
    )
    for line in differences(recipe):
        print(f"note: {line}")
    if not agrees:
        raise SystemExit(1)


def rerun(recipe: Recipe, folder: Path, data_dir: Path) -> Measurement:
    """Train and measure a trial by its recipe. NotRerun where data or the parent's model differ or are missing."""
    with tempfile.TemporaryDirectory(prefix="fewbits-rerun-") as place:
        model = recipe.spec.model
        if isinstance(model, XyloModel):
            return _simulated(recipe, model, data_dir, Path(place))
        return _trained(recipe, folder, data_dir, Path(place))


def differences(recipe: Recipe) -> list[str]:
    """What is not as it was when the trial was trained."""
    here = preparation.versions()
    return [
        f"{name} was {version}, here it is {here.get(name, 'missing')}"
        for name, version in recipe.versions.items()
        if here.get(name) != version
    ]


def _trained(recipe: Recipe, folder: Path, data_dir: Path, place: Path) -> Measurement:
    from search.training.trial import run_trial  # loads Keras

    prepared, data = _prepared(recipe, data_dir)
    start = None
    if recipe.start == "parent":
        if not (folder / PARENT_MODEL_FILE).exists():
            raise NotRerun(
                f"trial {recipe.trial} went on with trial {recipe.parent}, whose model is not there"
            )
        start = place / "parent" / MODEL_FILE  # Keras tells the format by the name
        start.parent.mkdir()
        shutil.copyfile(folder / PARENT_MODEL_FILE, start)
    elif recipe.start == "float":
        start = place / "float" / MODEL_FILE
        start.parent.mkdir()
        weights = uploaded_weights(prepared)
        if weights is not None:
            write_uploaded_float(start.parent, weights, prepared, data)
        else:
            train_float(start.parent, prepared, data, Quiet())
    (place / "trial").mkdir()
    return run_trial(
        prepared.job,
        recipe.assignment,
        data,
        prepared.pricer,
        Quiet(),
        place / "trial",
        seed=recipe.seed,
        epochs=recipe.epochs,
        initial_epoch=recipe.initial_epoch,
        start_from=start,
        shares=recipe.shares,
    )


def _simulated(recipe: Recipe, model: XyloModel, data_dir: Path, place: Path) -> Measurement:
    from search.spiking.network import specification
    from search.spiking.trial import run_trial

    prepared, data = _prepared(recipe, data_dir)
    given = specification(model, data_dir)
    return run_trial(given, recipe.assignment, data, prepared.pricer, lambda: None, place)


def _prepared(recipe: Recipe, data_dir: Path) -> tuple[Plan, Dataset]:
    """The plan and the data of a recipe; uploads are looked for among this machine's own."""
    spec = recipe.spec
    prepared = plan(spec, data_dir, BlobLookup(BlobStore(Settings().blob_folder)))
    data = load(prepared.job.data, data_dir, spec.seed, prepared.data.input_shape, prepared.task.heads)
    _check_data(recipe, fingerprint(data))
    return prepared, data


def _check_data(recipe: Recipe, found: dict[str, str]) -> None:
    other = [name for name, digest in recipe.data.items() if found.get(name) != digest]
    if other:
        raise NotRerun(f"the data are not those the trial was trained on: {', '.join(other)} differ")


if __name__ == "__main__":
    main()
