"""Examples that stay in their file: the same numbers, and the same training, as of examples in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from search.data import Dataset, load_inputs, stored_rows
from search.data.files import MAX_ARRAY_BYTES, DataFault, Header, check_size, checked_header
from search.data.inputs import ALIGNMENT, aligned_floats
from search.errors import InvalidSpec
from search.history import EpochReport, Measurement
from search.plan import Plan
from search.plans.kinds import plan
from search.results.recipe import fingerprint
from search.spec.job import SearchSpec
from search.training.program.backend import tensor_of
from search.training.program.state import DeviceData, StreamedData
from search.training.request import FLOAT, TrainingRequest
from search.training.trial import run_trial

COUNT = 90
DRAW = np.random.default_rng(0)
LABELS = np.arange(COUNT) % 3
IMAGES = (60 * LABELS[:, None, None] + DRAW.integers(0, 60, (COUNT, 6, 6))).astype(np.uint8)
NUMBERS = (LABELS[:, None] + DRAW.normal(3.0, [1, 2, 5], (COUNT, 3))).astype(np.float32)


class Silence:
    """A reporter that no one listens to."""

    def batch(self) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    image, numbers = keras.Input((6, 6, 1), name="image"), keras.Input((3,), name="numbers")
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(image), numbers])
    x = keras.layers.Dense(6, activation="relu")(joined)
    described: dict[str, Any] = keras.Model([image, numbers], keras.layers.Dense(3)(x)).get_config()
    return described


@pytest.fixture
def in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array counts as large, and a block holds few examples."""
    monkeypatch.setattr(stored_rows, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(stored_rows, "BLOCK_BYTES", 36 * 4 * 20)


def write(folder: Path, **changes: Any) -> None:
    np.savez(folder / "set.npz", x_image=IMAGES, x_numbers=changes.get("numbers", NUMBERS), y=LABELS)


def loaded(config: dict[str, Any], folder: Path, method: str = "auto") -> tuple[Plan, Dataset]:
    document = {
        "model": {"kind": "architecture", "config": config},
        "data": {"kind": "npz", "file": "set.npz", "preprocessing": {"image": method, "numbers": method}},
        "limits": 8,
        "budget": {"trials": 2},
        "training": {"epochs": 2, "batch_size": 8, "class_weight": "balanced"},
    }
    job = plan(SearchSpec.model_validate(document), folder)
    return job, load_inputs(job.job.data, folder, 1, job.data.inputs, job.task.heads)


@pytest.mark.parametrize("method", ["auto", "none", "unit", "centered", "standard"])
def test_the_numbers_are_those_of_arrays_in_memory(
    config: dict[str, Any], tmp_path: Path, method: str, request: pytest.FixtureRequest
) -> None:
    write(tmp_path)
    _, expected = loaded(config, tmp_path, method)
    request.getfixturevalue("in_files")
    _, data = loaded(config, tmp_path, method)
    for part in ("x_train", "x_validation", "x_test"):
        for rows, array in zip(getattr(data, part), getattr(expected, part), strict=True):
            assert isinstance(rows, stored_rows.ScaledRows)
            assert (rows.shape, rows.dtype) == (array.shape, array.dtype)
            np.testing.assert_allclose(rows[:], array, rtol=1e-5, atol=1e-6)
            np.testing.assert_array_equal(rows[np.array([3, 1])], rows[:][[3, 1]])
    if method in ("none", "unit"):
        assert fingerprint(data) == fingerprint(expected)


def test_a_training_is_the_same(
    config: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    write(tmp_path)
    results: list[Measurement] = []
    for name in ("memory", "files"):
        if name == "files":
            request.getfixturevalue("in_files")
        job, data = loaded(config, tmp_path, "none")
        (tmp_path / name).mkdir()
        results.append(run_trial(job, TrainingRequest(FLOAT, seed=1), data, Silence(), tmp_path / name))
    memory, files = results
    assert (files.metric, files.best_epoch, files.classes) == (
        memory.metric,
        memory.best_epoch,
        memory.classes,
    )
    assert files.loss == pytest.approx(memory.loss, rel=1e-6)


@pytest.mark.usefixtures("in_files")
def test_blocks_hold_every_example_once_in_the_given_order(config: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path)
    _, data = loaded(config, tmp_path, "none")
    streamed = DeviceData.from_arrays(data.x_train, data.y_train)
    assert isinstance(streamed, StreamedData)
    order = np.random.default_rng(2).permutation(len(streamed)).astype(np.int32)
    blocks = list(streamed.blocks(8, order))
    assert [block.batches for block in blocks[:-1]] == [2] * (len(blocks) - 1)
    assert len(blocks) > 2
    labels = np.concatenate([np.asarray(block.data.y) for block in blocks])
    np.testing.assert_array_equal(labels, np.asarray(data.y_train)[order])


@pytest.mark.usefixtures("in_files")
def test_numbers_that_are_not_finite_are_refused(config: dict[str, Any], tmp_path: Path) -> None:
    numbers = NUMBERS.copy()
    numbers[70, 1] = np.inf
    write(tmp_path, numbers=numbers)
    with pytest.raises(InvalidSpec, match="x_numbers holds numbers that are not finite"):
        loaded(config, tmp_path, "standard")


@pytest.mark.usefixtures("in_files")
def test_compressed_arrays_are_read_whole(config: dict[str, Any], tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "set.npz", x_image=IMAGES, x_numbers=NUMBERS, y=LABELS)
    _, data = loaded(config, tmp_path)
    assert all(isinstance(array, np.ndarray) for array in data.x_train)


def test_only_examples_that_are_read_as_they_are_used_may_exceed_memory() -> None:
    header = Header("x", (MAX_ARRAY_BYTES // 2048, 1024), np.dtype(np.uint8))
    assert checked_header(header, MAX_ARRAY_BYTES // 2, 1 << 40) is header
    with pytest.raises(DataFault, match=r"examples may have more, written by numpy\.savez"):
        check_size(header)


@pytest.mark.parametrize("shape", [(5,), (3, 7), (2, 3, 4), (0, 4)])
def test_an_aligned_array_becomes_a_tensor_of_its_own_numbers(shape: tuple[int, ...]) -> None:
    array = aligned_floats(shape)
    array[...] = DRAW.normal(size=shape)
    assert array.shape == shape
    assert array.flags.c_contiguous
    assert array.ctypes.data % ALIGNMENT == 0
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(tensor_of(array)), array)


def test_arrays_that_the_backend_cannot_read_in_place_are_copied() -> None:
    whole = aligned_floats((6, 20))
    whole[...] = DRAW.normal(size=whole.shape)
    fixed = whole.copy()
    fixed.flags.writeable = False
    for array in (whole[:, 1:], whole.reshape(-1)[1:], whole.T, fixed):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(tensor_of(array)), array)
