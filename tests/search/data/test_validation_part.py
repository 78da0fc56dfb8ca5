"""The validation part: that of the file where it has one, else a share of the training part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.data import load
from search.data.examine import examined
from search.errors import InvalidSpec
from search.networks.architecture import network, output
from search.spec.job import NpzData, ZooModel
from search.task import classification
from tests.search.data.examples import DIGITS_NETWORK, described, fault, write

RANDOM = np.random.default_rng(1)
OWN = {"x_val": RANDOM.integers(0, 256, (20, 8, 8), dtype=np.uint8), "y_val": np.arange(20) % 10}


def options(data: NpzData, **changes: Any) -> NpzData:
    return data.model_copy(update=changes)


@pytest.mark.parametrize("name", ["val", "validation"])
@pytest.mark.parametrize("validation", ["auto", "stored"])
def test_the_validation_part_of_a_file_is_used_whole(tmp_path: Path, name: str, validation: str) -> None:
    arrays = {f"x_{name}": OWN["x_val"], f"y_{name}": OWN["y_val"]}
    data = options(write(tmp_path, **arrays), validation=validation)
    info, loaded = described(data, tmp_path), load(data, tmp_path, 1, (8, 8, 1))
    assert (info.train, info.validation, info.test) == (40, 20, 10)
    assert (len(loaded.x_train), len(loaded.x_validation), len(loaded.x_test)) == (40, 20, 10)
    np.testing.assert_array_equal(loaded.y_validation, OWN["y_val"])
    assert loaded.scaling == load(options(data, validation="stored"), tmp_path, 2, (8, 8, 1)).scaling


def test_split_holds_out_a_share_of_the_training_part(tmp_path: Path) -> None:
    data = options(write(tmp_path, **OWN), validation="split")
    before = load(data, tmp_path, 1, (8, 8, 1))
    assert (len(before.x_train), len(before.x_validation)) == (32, 8)
    without = load(write(tmp_path), tmp_path, 1, (8, 8, 1))
    np.testing.assert_array_equal(before.x_train, without.x_train)
    np.testing.assert_array_equal(before.y_validation, without.y_validation)


def test_fewer_training_samples_leave_the_files_validation_part_alone(tmp_path: Path) -> None:
    data = options(write(tmp_path, **OWN), train_samples=40)
    assert len(load(data, tmp_path, 1, (8, 8, 1)).x_train) == 40
    few = options(data, train_samples=7)
    assert (described(few, tmp_path).train, described(few, tmp_path).validation) == (7, 20)
    assert fault(options(data, train_samples=41), tmp_path, "/data/train_samples").startswith(
        "41 examples requested"
    )


@pytest.mark.parametrize(
    ("changes", "validation", "says"),
    [
        ({}, "stored", "lacks x_val: add it, or set data.validation to split"),
        (
            {"x_val": OWN["x_val"]},
            "auto",
            "holds x_val, but lacks y_val: add it, or set data.validation to split",
        ),
        (OWN | {"y_val": np.arange(19)}, "auto", "x_val holds 20 examples and y_val 19 labels"),
        (OWN | {"y_val": np.full(20, 12)}, "auto", "labels run to 12, but the model has 10 classes"),
        (
            OWN | {"x_val": np.zeros((20, 4, 4))},
            "auto",
            "examples of x_train have the shape (8, 8), of x_val (4, 4)",
        ),
        (OWN | {"x_val": np.zeros((0, 8, 8)), "y_val": np.zeros(0, int)}, "auto", "x_val holds no examples"),
    ],
)
def test_a_validation_part_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], validation: str, says: str
) -> None:
    assert says in fault(options(write(tmp_path, **changes), validation=validation), tmp_path)


def test_numbers_of_a_validation_part_must_be_finite(tmp_path: Path) -> None:
    bad = OWN["x_val"].astype(np.float32)
    bad[0, 0, 0] = np.nan
    with pytest.raises(InvalidSpec, match="x_val holds numbers that are not finite"):
        load(write(tmp_path, **OWN | {"x_val": bad}), tmp_path, 1, (8, 8, 1))


def warnings_of(data: NpzData, folder: Path) -> tuple[str, ...]:
    task = classification(output(network(ZooModel(name="digits_cnn"))))
    return examined(data, folder, 1, DIGITS_NETWORK, task, described(data, folder)).warnings


def test_a_fraction_without_effect_and_classes_that_it_lacks_are_warned_of(tmp_path: Path) -> None:
    data = write(tmp_path, **OWN | {"y_val": np.arange(20) % 9})
    assert warnings_of(data, tmp_path) == ("the validation part has no example of class 9",)
    fraction = warnings_of(options(data, validation_fraction=0.3), tmp_path)
    assert any(text.startswith("data.validation_fraction has no effect: x_val is") for text in fraction)
    split = warnings_of(options(data, validation="split"), tmp_path)
    assert any(text.startswith("nothing reads the arrays x_val and y_val of the file") for text in split)
