"""Numbers as targets: what is read, scaled and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes  # type: ignore[import-untyped]

from search.data import describe, load
from search.data.diabetes import read_diabetes
from search.errors import InvalidSpec
from search.networks.architecture import network
from search.spec.job import SearchSpec
from search.task import Task, task
from tests.search.nets import functional, layer


def two_outputs() -> dict[str, Any]:
    return functional(
        (3,),
        [
            layer("Dense", "hidden", ["input"], units=4, activation="relu"),
            layer("Dense", "kind", ["hidden"], units=3, activation="softmax"),
            layer("Dense", "size", ["hidden"], units=2, activation="linear"),
        ],
        outputs=["kind", "size"],
    )


def job(model: Any, data: Any, **changes: Any) -> tuple[SearchSpec, Task]:
    named = {"kind": "architecture", "config": model} if isinstance(model, dict) else model
    stated = {"model": named, "data": data, "limits": {"by_class": {"Dense": 8}}} | changes
    spec = SearchSpec.model_validate(stated)
    return spec, task(spec, network(spec.model))


def both(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """Two outputs' targets of 20 and 6 examples."""
    draw, arrays = np.random.default_rng(0), {}
    for part, count in (("train", 20), ("test", 6)):
        arrays[f"x_{part}"] = draw.normal(size=(count, 3))
        arrays[f"y_{part}_kind"] = np.arange(count) % 3
        arrays[f"y_{part}_size"] = draw.normal(5, 3, size=(count, 2))
    arrays = {name: array for name, array in (arrays | changes).items() if array is not None}
    np.savez(tmp_path / "both.npz", **arrays)
    return {"kind": "npz", "file": "both.npz"}


def fault(spec: SearchSpec, job_task: Task, folder: Path) -> tuple[str, str]:
    with pytest.raises(InvalidSpec) as caught:
        describe(spec.data, folder, network(spec.model), job_task)
    [problem] = caught.value.problems
    return problem.pointer, problem.message


def test_the_diabetes_data_are_scikit_learns() -> None:
    scaled, expected = read_diabetes("scikit-learn"), load_diabetes(return_X_y=True)
    np.testing.assert_allclose(scaled[0], expected[0], atol=1e-12)
    raw, measured = read_diabetes(), load_diabetes(return_X_y=True, scaled=False)
    np.testing.assert_array_equal(raw[0], measured[0])
    for _, targets in (scaled, raw):
        np.testing.assert_array_equal(targets, expected[1])


def test_targets_are_scaled_by_the_training_part_alone() -> None:
    spec, job_task = job("diabetes_mlp", {"kind": "diabetes", "target_scaling": "standard"}, objective="mse")
    data = load(spec.data, Path(), 1, (10,), job_task.heads)
    y_train, y_test = np.asarray(data.y_train), np.asarray(data.y_test)
    assert (y_train.mean(), y_train.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
    assert abs(y_test.mean()) > 1e-4
    [scaling] = data.target_scaling
    assert scaling is not None
    raw = load(spec.data.model_copy(update={"target_scaling": "none"}), Path(), 1, (10,), job_task.heads)
    np.testing.assert_allclose(
        y_test * scaling.divide_by[0] + scaling.subtract[0], np.asarray(raw.y_test), rtol=1e-5
    )
    assert y_train.shape == (283, 1)


def test_an_autoencoder_gets_its_scaled_inputs_as_targets() -> None:
    spec, job_task = job("digits_autoencoder", {"kind": "digits", "targets": "inputs"}, objective="mse")
    info = describe(spec.data, Path(), network(spec.model), job_task)
    data = load(spec.data, Path(), 1, info.input_shape, job_task.heads)
    assert info.classes is None
    np.testing.assert_array_equal(data.y_train, data.x_train)
    np.testing.assert_array_equal(data.y_test, data.x_test)


def test_each_output_has_separate_targets(tmp_path: Path) -> None:
    spec, job_task = job(two_outputs(), both(tmp_path), objective={"metric": "mae", "output": "size"})
    info = describe(spec.data, tmp_path, network(spec.model), job_task)
    data = load(spec.data, tmp_path, 1, info.input_shape, job_task.heads)
    kinds, sizes = data.y_train
    assert (kinds.dtype, kinds.shape) == (np.int32, (16,))
    assert (sizes.dtype, sizes.shape) == (np.float32, (16, 2))
    assert info.classes is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"y_test_size": None},
            "lacks y_test_size; it holds x_test, x_train, y_test_kind",
        ),
        ({"y_train_kind": np.zeros(20)}, "y_train_kind holds float64; labels must be class numbers"),
        ({"y_train_kind": np.arange(20)}, "labels run to 19, but the model has 3 classes"),
        ({"y_train_size": np.zeros((20, 5)), "y_test_size": np.zeros((6, 5))}, "targets have the shape (5,)"),
        ({"y_train_size": np.zeros((20, 1))}, "targets have the shape (1,) (y_train_size) and (2,)"),
        ({"y_train_size": np.zeros((19, 2))}, "x_train holds 20 examples and y_train_size 19 labels"),
    ],
)
def test_targets_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    spec, job_task = job(
        two_outputs(), both(tmp_path, **changes), objective={"metric": "mae", "output": "size"}
    )
    pointer, message = fault(spec, job_task, tmp_path)
    assert pointer == "/data/file"
    assert says in message


def test_targets_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    data = both(tmp_path, y_train_size=np.full((20, 2), np.nan))
    spec, job_task = job(two_outputs(), data, objective={"metric": "mae", "output": "size"})
    with pytest.raises(InvalidSpec, match="y_train_size holds numbers that are not finite"):
        load(spec.data, tmp_path, 1, (3,), job_task.heads)


def test_data_of_one_output_do_not_fit_a_model_of_two() -> None:
    spec, job_task = job(two_outputs(), "diabetes", objective={"metric": "mae", "output": "size"})
    with pytest.raises(InvalidSpec, match=r"a \.npz may hold y_train_kind, y_train_size"):
        describe(spec.data, Path(), network(spec.model), job_task)


def test_inputs_are_not_class_numbers_and_class_numbers_are_not_scaled() -> None:
    spec, job_task = job("digits_cnn", {"kind": "digits", "targets": "inputs"})
    assert "not class numbers, which the loss crossentropy needs" in fault(spec, job_task, Path())[1]
    spec, job_task = job("digits_cnn", {"kind": "digits", "target_scaling": "standard"})
    assert fault(spec, job_task, Path())[0] == "/data/target_scaling"
