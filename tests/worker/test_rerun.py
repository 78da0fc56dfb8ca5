"""A trial's recipe, and the trial trained again by it."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import h5py
import pytest

from search.results.recipe import Recipe
from search.spec.job import SearchSpec
from search.trial_files import BITS_FILE, PARENT_BITS_FILE, PARENT_MODEL_FILE, UPLOADS_FOLDER
from service.store import trials
from service.store.blobs import BlobStore
from tests.security.hostile import lambda_layer
from tests.security.models import architecture, keras_file
from tests.worker.conftest import Bench, write_data
from worker import rerun

TRAINING = {"epochs": 2, "batch_size": 32}


def recipe_of(bench: Bench, job_id: str, number: int, folder: Path) -> Recipe:
    """The recipe of a trial, and the model it went on with, as `fewbits rerun` fetches them."""
    with bench.database.reading() as session:
        row = trials.artifact(session, trials.get(session, job_id, number), "recipe.json")
        shutil.copyfile(bench.runtime.blobs.path(row.sha256), folder / "recipe.json")
        recipe = Recipe.from_json(json.loads((folder / "recipe.json").read_text()))
        if recipe.parent is not None:
            model = trials.artifact(session, trials.get(session, job_id, recipe.parent), "model.keras")
            shutil.copyfile(bench.runtime.blobs.path(model.sha256), folder / PARENT_MODEL_FILE)
            if recipe.penalty is not None:
                bits = trials.artifact(session, trials.get(session, job_id, recipe.parent), BITS_FILE)
                shutil.copyfile(bench.runtime.blobs.path(bits.sha256), folder / PARENT_BITS_FILE)
    return recipe


def submitted(bench: Bench, **changes: Any) -> str:
    job_id = bench.submit(**changes)
    bench.work()
    return job_id


@pytest.mark.parametrize("start", ["scratch", "calibrated"])
def test_defect_33_a_trial_trained_again_by_its_recipe_has_the_same_metric(
    bench: Bench, tmp_path: Path, start: str
) -> None:
    job_id = submitted(bench, training=TRAINING | {"start": start}, budget={"trials": 1})
    recipe = recipe_of(bench, job_id, 0, tmp_path)
    assert recipe.start == ("scratch" if start == "scratch" else "float")
    again = rerun.rerun(recipe, tmp_path, bench.settings.data_folder)
    assert (again.metric, again.best_epoch) == (recipe.metric, recipe.best_epoch)


def test_a_trial_that_went_on_with_another_one_is_trained_again_from_that_one(
    bench: Bench, tmp_path: Path
) -> None:
    job_id = submitted(
        bench,
        oracle={"kind": "hyperband", "iterations": 1},
        training={"epochs": 3, "batch_size": 64},
        budget={"trials": 30},
    )
    with bench.database.reading() as session:
        later = next(row for row in trials.page(session, job_id, limit=100) if row.parent is not None)
    recipe = recipe_of(bench, job_id, later.number, tmp_path)
    assert (recipe.start, recipe.parent) == ("parent", later.parent)
    assert rerun.rerun(recipe, tmp_path, bench.settings.data_folder).metric == recipe.metric
    (tmp_path / PARENT_MODEL_FILE).unlink()
    with pytest.raises(rerun.NotRerun, match=r"whose model\.keras is missing"):
        rerun.rerun(recipe, tmp_path, bench.settings.data_folder)


def test_bits_are_trained_again_from_those_of_the_stage_before(bench: Bench, tmp_path: Path) -> None:
    job_id = submitted(
        bench,
        oracle={"kind": "gradient", "stages": 2, "first_penalty": 1.0, "last_penalty": 10.0},
        budget={"trials": 2},
        parallel_trials=1,
        constraints={"max_energy_pj": 1.0},
    )
    with bench.database.reading() as session:
        first, second = trials.page(session, job_id, limit=10)
        assert (
            first.status == second.status == "infeasible"
        )  # by what the bits became, once they were trained
        assert second.reason.startswith("max_energy_pj is 1")
        assert second.metric is not None
        assert (second.parent, second.seed) == (first.number, first.seed)
        assert trials.record(first).assignment.key == first.assignment_key
    recipe = recipe_of(bench, job_id, 1, tmp_path)
    again = rerun.rerun(recipe, tmp_path, bench.settings.data_folder)
    assert (again.metric, again.assignment) == (recipe.metric, trials.record(second).assignment)
    (tmp_path / PARENT_BITS_FILE).unlink()
    with pytest.raises(rerun.NotRerun, match=r"whose bits\.npz is missing"):
        rerun.rerun(recipe, tmp_path, bench.settings.data_folder)


def test_other_data_are_noticed_before_anything_is_trained(bench: Bench, tmp_path: Path) -> None:
    job_id = submitted(bench, budget={"trials": 1})
    recipe = recipe_of(bench, job_id, 0, tmp_path)
    write_data(bench.settings.data_folder, poison=1.0)
    with pytest.raises(rerun.NotRerun, match="x_train, x_validation, x_test differ"):
        rerun.rerun(recipe, tmp_path, bench.settings.data_folder)


def test_the_command_says_whether_the_metric_agrees_by_its_exit_code(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = submitted(bench, budget={"trials": 1})
    recipe = recipe_of(bench, job_id, 0, tmp_path)
    arguments = ["rerun", str(tmp_path), "--data", str(bench.settings.data_folder)]
    monkeypatch.setattr(sys, "argv", arguments)
    rerun.main()
    assert "the same within 0.005" in capsys.readouterr().out
    document = recipe.to_json()
    document["measured"]["metric"] = recipe.metric - 0.1
    (tmp_path / "recipe.json").write_text(json.dumps(document))
    with pytest.raises(SystemExit, match="1"):
        rerun.main()
    assert "not the same within 0.005" in capsys.readouterr().out


def test_a_recipe_is_read_as_it_was_written_and_a_newer_format_is_refused(
    bench: Bench, tmp_path: Path
) -> None:
    recipe = recipe_of(bench, submitted(bench, budget={"trials": 1}), 0, tmp_path)
    assert Recipe.from_json(recipe.to_json()) == recipe
    with pytest.raises(ValueError, match="format 2"):
        Recipe.from_json(recipe.to_json() | {"format": 2})


def test_the_tolerance_is_a_share_of_the_metric_or_of_one() -> None:
    recipe: Any = Recipe.__new__(Recipe)
    object.__setattr__(recipe, "metric", 100.0)
    assert recipe.agrees(100.4)
    assert not recipe.agrees(100.6)
    object.__setattr__(recipe, "metric", 0.5)
    assert recipe.agrees(0.504)
    assert not recipe.agrees(0.506)


def test_all_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FEWBITS_HOME", str(tmp_path))
    upload = {"kind": "uploaded", "id": "0" * 16, "sha256": "0" * 64}
    limits = {"by_class": {"Dense": 8}}
    spec = SearchSpec.model_validate({"model": "jet_mlp", "data": upload, "limits": limits})
    recipe = SimpleNamespace(spec=spec, start="parent", penalty=None, trial=3, parent=1)
    with pytest.raises(rerun.NotRerun) as caught:
        rerun._prepare(cast(Recipe, recipe), tmp_path, tmp_path)
    assert f"the uploaded data {'0' * 16} (SHA-256 {'0' * 64}) is missing" in str(caught.value)
    assert f"not in {tmp_path / 'blobs'}" in str(caught.value)
    assert "trial 3 continued trial 1, whose model.keras is missing" in str(caught.value)


def test_an_upload_beside_the_recipe_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FEWBITS_HOME", str(tmp_path))
    (tmp_path / UPLOADS_FOLDER).mkdir()
    digest = "ab" * 32
    (tmp_path / UPLOADS_FOLDER / digest).write_bytes(b"rows")
    uploads = rerun._Uploads(tmp_path / UPLOADS_FOLDER, BlobStore(tmp_path / "blobs"))
    assert uploads.path(digest) == tmp_path / UPLOADS_FOLDER / digest
    assert uploads.path("cd" * 32).is_relative_to(tmp_path / "blobs")


# --- bundles of strangers ---------------------------------------------------------------------------------------------


def stranger(
    class_name: str, module: str | None, config: Any, registered: str | None = None
) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": registered}


#: Name -> an object that Keras would import or call something for.
STRANGERS: dict[str, dict[str, Any]] = {
    "a Lambda": lambda_layer(Path("/nowhere")),
    "a layer that reads files": stranger("StringLookup", "keras.layers", {"vocabulary": "/etc/passwd"}),
    "a SavedModel": stranger("TFSMLayer", "keras.layers", {"filepath": "/tmp"}),
    "a module": stranger("Popen", "subprocess", {"args": ["true"]}),
    "a function of the system": stranger("function", "os", "system", "function"),
    "a function of Keras": stranger("function", "keras.utils", "get_file", "function"),
    "a name with a path": stranger("function", "builtins", "os.system", "function"),
    "what we do not register": stranger("subprocess", "quantization.export.run", {}, "fewbits>subprocess"),
    "an old description": {"class_name": "Lambda", "config": {}},
}


@pytest.mark.parametrize("name", sorted(STRANGERS))
def test_a_parent_that_names_other_things_than_layers_is_refused(tmp_path: Path, name: str) -> None:
    for place in ("layer", "argument", "optimizer"):
        document = architecture()
        if place == "layer":
            document["config"]["layers"].insert(1, STRANGERS[name])
        elif place == "argument":
            document["config"]["layers"][1]["config"]["kernel_initializer"] = STRANGERS[name]
        else:
            document["compile_config"] = {"optimizer": STRANGERS[name]}
        path = tmp_path / f"{place}.keras"
        path.write_bytes(keras_file(document))
        with pytest.raises(rerun.NotRerun, match="names what no trial has"):
            rerun._check_parent(path)


def test_a_parent_whose_weights_lead_elsewhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "parent.keras"
    path.write_bytes(keras_file())
    rerun._check_parent(path)
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file["layers"] = h5py.ExternalLink("/etc/passwd", "/")
    path.write_bytes(keras_file(None, memory.getvalue()))
    with pytest.raises(rerun.NotRerun, match="is a link"):
        rerun._check_parent(path)


@pytest.mark.parametrize(
    "text", ["{}", "[]", "null", '{"format": "1"}', '{"format": 1, "measured": 3}', "[" * 9000]
)
def test_another_document_is_no_recipe(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(rerun.NotRerun, match=r"recipe\.json is no recipe"):
        rerun._recipe(tmp_path / "recipe.json")
