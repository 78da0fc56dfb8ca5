"""Data of networks with several inputs: arrays named after them, what is said where one is missing, preprocessing."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from search.data import DataInfo, describe, load_inputs
from search.data.examine import examined
from search.data.files import DataFault
from search.data.rebuilt import rebuilt_inputs
from search.errors import InvalidSpec
from search.networks.architecture import network
from search.plans.kinds import plan
from search.spec.job import NpzData, SearchSpec
from search.task import Head, Output
from tests.models.several_inputs import image_and_numbers, words_and_numbers

FILE = "set.npz"
DRAW = np.random.default_rng(0)
COUNT = 20
ARRAYS = {
    "x_train_image": DRAW.integers(0, 256, (COUNT, 8, 8), dtype=np.uint8),
    "x_train_numbers": DRAW.normal(3.0, [1, 2, 5, 1, 9], (COUNT, 5)),
    "y_train": np.arange(COUNT) % 3,
}


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    keras.utils.clear_session()
    described: dict[str, Any] = image_and_numbers().get_config()
    return described


def spec(config: dict[str, Any], data: dict[str, Any] | None = None, **fields: Any) -> SearchSpec:
    return SearchSpec.model_validate(
        {
            "model": {"kind": "architecture", "config": config},
            "data": data or {"kind": "npz", "file": FILE},
            "limits": 8,
            "budget": {"trials": 2},
            **fields,
        }
    )


def write(folder: Path, **changes: Any) -> NpzData:
    arrays = {name: array for name, array in (ARRAYS | changes).items() if array is not None}
    np.savez(folder / FILE, **arrays)
    return NpzData(file=FILE)


def described(config: dict[str, Any], folder: Path, **data: Any) -> DataInfo:
    job = spec(config, {"kind": "npz", "file": FILE, **data})
    return describe(job.data, folder, network(job.model))


def fault(config: dict[str, Any], folder: Path, **data: Any) -> str:
    with pytest.raises(InvalidSpec) as caught:
        described(config, folder, **data)
    [problem] = caught.value.problems
    return f"{problem.pointer} {problem.message}"


def test_each_input_has_its_array_its_preprocessing_and_its_scaling(
    config: dict[str, Any], tmp_path: Path
) -> None:
    data = write(tmp_path)
    info = described(config, tmp_path)
    assert [(entry.name, entry.shape, entry.preprocessing.method) for entry in info.inputs] == [
        ("image", (8, 8, 1), "centered"),
        ("numbers", (5,), "standard"),
    ]
    assert "training part: x_train_image, x_train_numbers, y_train" in info.notes
    loaded = load_inputs(data, tmp_path, 1, info.inputs, plan(spec(config), tmp_path).task.heads)
    assert isinstance(loaded.x_train, tuple)
    image, numbers = loaded.x_train
    assert (image.shape, numbers.shape) == ((13, 8, 8, 1), (13, 5))
    assert np.abs(image).max() <= 1
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(numbers.std(axis=0), 1, atol=1e-5)


def test_parts_are_drawn_alike_at_all_inputs(config: dict[str, Any], tmp_path: Path) -> None:
    numbers = np.repeat(np.arange(COUNT, dtype=np.float32)[:, None], 5, axis=1)
    images = np.broadcast_to(np.arange(COUNT, dtype=np.uint8)[:, None, None], (COUNT, 8, 8))
    data = write(tmp_path, x_train_image=images, x_train_numbers=numbers)
    info = described(config, tmp_path, preprocessing={"image": "none", "numbers": "none"})
    loaded = load_inputs(data, tmp_path, 1, info.inputs, plan(spec(config), tmp_path).task.heads)
    for part in (loaded.x_train, loaded.x_validation, loaded.x_test):
        np.testing.assert_array_equal(part[0][:, 0, 0, 0], part[1][:, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"x_train_numbers": None},
            "lacks x_train_numbers; it holds x_train_image, y_train; the model has 2",
        ),
        ({"x_train_image": None}, "lacks x_train_image"),
        (
            {"x_train_image": None, "x_train_numbers": None, "x_train": np.zeros((COUNT, 5))},
            "lacks x_train_image and x_train_numbers; it holds x_train, y_train; the model has 2 inputs (image,"
            " numbers), each with an array of its own name",
        ),
        ({"x_train_numbers": np.zeros((COUNT - 1, 5))}, "each input needs one row for each example"),
        ({"x_train_numbers": np.zeros((COUNT, 4))}, "examples of input 'numbers' have the shape (4,)"),
        ({"x_val_image": np.zeros((3, 8, 8))}, "holds x_val_image, but lacks x_val_numbers, y_val: add it"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(
    config: dict[str, Any], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write(tmp_path, **changes)
    assert message in fault(config, tmp_path)


def test_built_in_data_have_one_input(config: dict[str, Any], tmp_path: Path) -> None:
    job = spec(config, {"kind": "digits"})
    with pytest.raises(InvalidSpec, match=r"a \.npz may hold x_train_image, x_train_numbers"):
        describe(job.data, tmp_path, network(job.model))


def test_preprocessing_of_an_input_that_is_not_there_is_refused(
    config: dict[str, Any], tmp_path: Path
) -> None:
    write(tmp_path)
    said = fault(config, tmp_path, preprocessing={"imag": "unit"})
    assert said.startswith(
        "/data/preprocessing/imag the model has no input 'imag'; its inputs: image, numbers"
    )


def autoencoder(image: str = "rebuilt_image", numbers: str = "rebuilt_numbers") -> dict[str, Any]:
    """One code for an image and numbers, and both given back."""
    inputs = keras.Input((8, 8, 1), name="image"), keras.Input((5,), name="numbers")
    code = keras.layers.Dense(6, activation="relu")(
        keras.layers.Concatenate()([keras.layers.Flatten()(inputs[0]), inputs[1]])
    )
    outputs = [
        keras.layers.Dense(5, name=numbers)(code),
        keras.layers.Dense(64, activation="sigmoid", name=image)(code),
    ]
    described: dict[str, Any] = keras.Model(inputs, outputs).get_config()
    return described


def test_outputs_give_back_the_inputs_that_they_fit(tmp_path: Path) -> None:
    data = write(tmp_path, y_train=None)
    stored = {"kind": "npz", "file": FILE, "targets": "inputs"}
    judged = {"objective": {"metric": "mse", "output": "a"}, "training": {"loss": {"a": "mse", "b": "mse"}}}
    job = spec(autoencoder("a", "b"), stored, **judged)
    checked = plan(job, tmp_path)
    by_name = {entry.name: entry.preprocessing.method for entry in checked.data.inputs}
    assert by_name["image"] == "unit"  # as far as a sigmoid reaches
    loaded = load_inputs(
        data.model_copy(update={"targets": "inputs"}), tmp_path, 1, checked.data.inputs, checked.task.heads
    )
    for x, y in (
        (loaded.x_train, loaded.y_train),
        (loaded.x_validation, loaded.y_validation),
        (loaded.x_test, loaded.y_test),
    ):
        np.testing.assert_array_equal(y[0], x[1])
        np.testing.assert_array_equal(y[1], x[0].reshape(len(x[0]), 64))


HEADS = [("rebuilt_b", (4,)), ("a_out", (4,)), ("c", (2, 2, 1))]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_inputs_that_fit_the_name_tells_which_is_given_back(order: tuple[int, ...]) -> None:
    names, shapes = zip(
        *[[("a", (4,)), ("b", (4,)), ("other", (2, 2))][index] for index in order], strict=True
    )
    heads = [Head(name, Output("linear", 4), shape, loss="mse") for name, shape in HEADS]
    assert [names[index] for index in rebuilt_inputs(heads, names, shapes)] == ["b", "a", "other"]


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("out", (4,), "the output 'out' has the shape of the inputs a and b: name it after the one"),
        ("a_of_b", (4,), "the output 'a_of_b' has the shape of the inputs a and b"),
        ("aa", (4,), "the output 'aa' has the shape of the inputs a and b"),
        ("a", (3,), "the output 'a' of the shape (3,) gives back no input; their examples: a (4,), b (4,)"),
    ],
)
def test_an_output_that_gives_back_no_input_or_any_is_refused(
    name: str, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(DataFault) as caught:
        rebuilt_inputs([Head(name, Output("linear", 4), shape, loss="mse")], ("a", "b"), ((4,), (4,)))
    assert str(caught.value).startswith(message)
    assert caught.value.field == "targets"


def test_a_classifier_of_two_inputs_gives_back_neither(config: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path)
    assert fault(config, tmp_path, targets="inputs").startswith("/data/targets the output of the shape (3,)")


@pytest.mark.parametrize(
    ("augmentation", "fault"),
    [
        ({"noise": 0.1}, None),
        ({"image": {"flip": "horizontal", "mixup": 0.2}, "numbers": {"noise": 0.1, "mixup": 0.2}}, None),
        ({"image": {"flip": "horizontal"}}, None),
        (
            {"flip": "horizontal"},
            "/training/augmentation/flip is not for examples of input 'numbers' of the shape (5,), which allow noise,"
            " mixup; state it by input: augmentation: {image: {...}}",
        ),
        (
            {"numbers": {"rotate": 5}},
            "/training/augmentation/numbers/rotate is not for examples of input 'numbers' of the shape (5,), which"
            " allow noise, mixup",
        ),
        (
            {"picture": {"noise": 1}},
            "/training/augmentation/picture is not an input; inputs are image, numbers",
        ),
        (
            {"image": {"mixup": 0.2}},
            "/training/augmentation mixes examples with their targets: state the same mixup for every input, or for"
            " none",
        ),
    ],
)
def test_augmentation_is_stated_by_input(
    config: dict[str, Any], tmp_path: Path, augmentation: dict[str, Any], fault: str | None
) -> None:
    write(tmp_path)
    job = spec(config, training={"augmentation": augmentation})
    if fault is None:
        plan(job, tmp_path)
        return
    with pytest.raises(InvalidSpec) as error:
        plan(job, tmp_path)
    assert [f"{problem.pointer} {problem.message}" for problem in error.value.problems] == [fault]


def test_each_input_has_a_quantizer_of_its_own(config: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path)
    fixed = plan(spec(config), tmp_path).choices.fixed
    assert {name: str(quantizers["activation"]) for name, quantizers in fixed.items()} == {
        "image": "quantized_bits(8,0,1)",
        "numbers": "quantized_bits(8,2,1)",
    }
    job = spec(config, quantizers={"input": ["quantized_bits(4,2,1)", "quantized_bits(6,2,1)"]})
    searched = [slot.name for slot in plan(job, tmp_path).choices.slots if slot.field == "input"]
    assert searched == ["image.input", "numbers.input"]


def test_the_numbers_of_every_input_are_examined(tmp_path: Path) -> None:
    keras.utils.clear_session()
    job = spec(words_and_numbers().get_config())
    words, numbers = DRAW.integers(0, 9, (COUNT, 6)), DRAW.normal(size=(COUNT, 4))
    numbers[:, 2] = 1.0
    labels = np.arange(COUNT) % 3
    test = {"x_test_words": words[:4], "x_test_numbers": numbers[:4], "y_test": labels[:4]}
    np.savez(tmp_path / FILE, x_train_words=words, x_train_numbers=numbers, y_train=labels, **test)
    planned = plan(job, tmp_path)
    said = examined(planned.job.data, tmp_path, 1, planned.network, planned.task, planned.data).warnings
    assert any("feature 2 of input 'numbers' is constant" in warning for warning in said)
    assert any("4 of 4 test examples are also in" in warning for warning in said)
    np.savez(tmp_path / FILE, x_train_words=words + 10**6, x_train_numbers=numbers, y_train=labels, **test)
    with pytest.raises(InvalidSpec, match=r"x_train_words holds .* looks up 0 to"):
        examined(planned.job.data, tmp_path, 1, planned.network, planned.task, planned.data)
