"""Data as people bring them: weights, one-hot rows, no test part, a file for each part."""

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
from search.task import Task, classification
from tests.search.data.examples import DIGITS_NETWORK, arrays, described, fault, write

SHAPE = (8, 8, 1)


def classifier() -> Task:
    return classification(output(network(ZooModel(name="digits_cnn"))))


def options(data: NpzData, **changes: Any) -> NpzData:
    return NpzData.model_validate(data.model_dump() | changes)


def test_one_hot_rows_are_read_as_class_numbers(tmp_path: Path) -> None:
    plain, heads = load(write(tmp_path), tmp_path, 1, SHAPE), classifier().heads
    data = write(tmp_path, y_train=np.eye(10, dtype=np.float32)[np.arange(40) % 10])
    loaded = load(data, tmp_path, 1, SHAPE, heads)
    np.testing.assert_array_equal(loaded.y_train, plain.y_train)
    assert "y_train holds one-hot rows, read as class numbers" in described(data, tmp_path).notes


@pytest.mark.parametrize("bad", [np.full((40, 10), 0.1), np.ones((40, 10)), np.zeros((40, 10))])
def test_rows_that_are_not_one_hot_are_refused_with_the_remedy(tmp_path: Path, bad: Any) -> None:
    said = fault(write(tmp_path, y_train=bad), tmp_path)
    assert "row 0 (counted from 0) is not one-hot" in said
    assert "kl_divergence" in said


def test_rows_of_another_length_name_the_number_of_classes(tmp_path: Path) -> None:
    said = fault(write(tmp_path, y_train=np.eye(40, 7, dtype=int)), tmp_path)
    assert "one-hot rows of 10 numbers, one for each class of the network" in said


@pytest.mark.parametrize("name", ["sample_weight", "sample_weight_train"])
def test_weights_of_examples_follow_them_through_the_split(tmp_path: Path, name: str) -> None:
    images = np.arange(40, dtype=np.float32)[:, None, None] * np.ones((8, 8), np.float32)
    data = options(
        write(tmp_path, x_train=images, **{name: np.arange(40.0)}), preprocessing="none", train_samples=20
    )
    loaded = load(data, tmp_path, 1, SHAPE)
    assert loaded.train_weights is not None
    np.testing.assert_array_equal(loaded.x_train[:, 0, 0, 0], loaded.train_weights)
    assert f"{name} weighs the loss of training examples: 0 to 39" in described(data, tmp_path).notes


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (np.ones(39), "it must hold one weight for each of the 40 examples of x_train"),
        (np.ones((40, 2)), "it must hold one weight for each of the 40 examples of x_train"),
        (np.full(40, -1.0), "they must be finite, at least 0, and not all 0"),
        (np.full(40, np.nan), "they must be finite, at least 0, and not all 0"),
        (np.zeros(40), "they must be finite, at least 0, and not all 0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, weights: Any, says: str) -> None:
    assert says in fault(write(tmp_path, sample_weight=weights), tmp_path)


def warnings_of(data: NpzData, folder: Path) -> tuple[str, ...]:
    return examined(data, folder, 1, DIGITS_NETWORK, classifier(), described(data, folder)).warnings


@pytest.mark.parametrize("names", [("x_train", "y_train"), ("x", "y")])
def test_a_file_without_a_test_part_has_one_held_out_by_class(tmp_path: Path, names: tuple[str, str]) -> None:
    whole = arrays()
    np.savez(tmp_path / "set.npz", **{names[0]: whole["x_train"], names[1]: whole["y_train"]})
    data = NpzData(file="set.npz", test_fraction=0.5)
    info, loaded = described(data, tmp_path), load(data, tmp_path, 1, SHAPE)
    assert (info.train, info.validation, info.test) == (16, 4, 20)
    np.testing.assert_array_equal(np.bincount(np.asarray(loaded.y_test)), np.full(10, 2))
    rows = np.concatenate([loaded.x_train, loaded.x_validation, loaded.x_test]).reshape(40, -1)
    assert len(np.unique(rows, axis=0)) == 40
    assert any(note.startswith(f"test part: 0.5 of {names[0]}") for note in info.notes)


def test_a_test_fraction_without_effect_is_warned_of(tmp_path: Path) -> None:
    data = options(write(tmp_path), test_fraction=0.3)
    assert any("data.test_fraction has no effect: x_test" in text for text in warnings_of(data, tmp_path))


def three_files(folder: Path, **changes: Any) -> NpzData:
    whole = arrays()
    parts = {
        "train": {"x": whole["x_train"], "y": whole["y_train"]},
        "val": {"x": whole["x_train"][::2], "y": whole["y_train"][::2]},
        "test": {"x_test": whole["x_test"], "y_test": whole["y_test"]},
    }
    for name, part in parts.items():
        np.savez(folder / f"{name}.npz", **part | changes.get(name, {}))
    return NpzData(file="train.npz", validation_file="val.npz", test_file="test.npz")


def test_each_part_may_have_a_file(tmp_path: Path) -> None:
    data = three_files(tmp_path)
    info, loaded = described(data, tmp_path), load(data, tmp_path, 1, SHAPE)
    assert (info.train, info.validation, info.test) == (40, 20, 10)
    np.testing.assert_array_equal(loaded.y_validation, arrays()["y_train"][::2])
    assert info.notes == (
        "training part: x, y",
        "validation part: x of val.npz, y of val.npz",
        "test part: x_test of test.npz, y_test of test.npz",
    )


def test_a_file_of_a_part_that_does_not_fit_is_named(tmp_path: Path) -> None:
    data = three_files(tmp_path, test={"x_test": np.zeros((10, 4, 4))})
    assert "of x (8, 8)" not in fault(data, tmp_path)
    assert "of x_test of test.npz (4, 4)" in fault(data, tmp_path)
    three_files(tmp_path)
    assert "'no.npz' is not a file" in fault(options(data, test_file="no.npz"), tmp_path, "/data/test_file")
    np.savez(tmp_path / "val.npz", a=np.ones(3))
    assert "val.npz lacks x_val or x_validation or x; it holds a" in fault(data, tmp_path)


def test_an_array_of_any_file_that_nothing_reads_is_warned_of(tmp_path: Path) -> None:
    data = three_files(tmp_path, val={"more": np.ones(3)})
    [warning] = [text for text in warnings_of(data, tmp_path) if text.startswith("nothing reads")]
    assert warning.startswith("nothing reads the arrays more of val.npz")


def test_a_validation_file_that_is_not_read_is_refused() -> None:
    with pytest.raises(ValueError, match="validation_file is not read"):
        NpzData(file="a.npz", validation_file="b.npz", validation="split")


def test_a_random_split_is_that_of_earlier_versions(tmp_path: Path) -> None:
    data = options(write(tmp_path, y_train=np.repeat([0, 1], [36, 4])), split="random")
    labels = np.repeat([0, 1], [36, 4])
    random = load(data, tmp_path, 1, SHAPE)
    np.testing.assert_array_equal(
        random.y_validation, labels[np.random.default_rng([1, 1]).permutation(40)[:8]]
    )
    stratified = load(options(data, split="stratified"), tmp_path, 1, SHAPE)
    assert np.count_nonzero(stratified.y_validation) == 1


def test_targets_that_are_not_read_need_not_be_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x_train=np.ones((9, 8, 8)))
    with pytest.raises(InvalidSpec, match="lacks y_train; it holds x_train"):
        load(NpzData(file="set.npz"), tmp_path, 1, SHAPE)
    data = NpzData(file="set.npz", targets="inputs")
    assert len(load(data, tmp_path, 1, SHAPE).x_test) == 2
