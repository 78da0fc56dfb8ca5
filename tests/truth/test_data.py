"""Examples reach a network as it reads them, and nothing about them is learned from rows it is judged by."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from search.data import Dataset, diabetes, digits, load
from search.data.preprocessing import Preprocessing, learned, scaled
from search.data.split import order, share
from search.errors import InvalidSpec
from search.plan import Plan
from search.plans.kinds import plan
from search.spec.job import DiabetesData, DigitsData, NpzData, SearchSpec, SpikingDigitsData
from tests.search.nets import Layer, functional, layer
from worker import preparation


def model(shape: tuple[int, ...], *layers: Layer, end: str = "softmax", units: int = 2) -> dict[str, Any]:
    """A chain of layers that ends in a Dense layer; the last of them must have one axis."""
    chain, before = [], "input"
    for index, entry in enumerate((*layers, row("Dense", units=units, activation=end))):
        name = f"{entry['name']}_{index}"
        config = entry["config"] | {"name": name}
        chain.append({"class_name": entry["class_name"], "name": name, "inbound": [before], "config": config})
        before = name
    return {"kind": "architecture", "config": functional(shape, chain)}


def row(class_name: str, **config: Any) -> Layer:
    return layer(class_name, class_name.lower(), [], **config)


TOKENS = (row("Embedding", input_dim=50, output_dim=4), row("Flatten"))
LSTM = (row("LSTM", units=3),)
CONV = (row("Conv2D", filters=2, kernel_size=[3, 3], strides=[1, 1], padding="same"), row("Flatten"))
CONV1D = (row("Conv1D", filters=2, kernel_size=[3], strides=[1], padding="same"), row("Flatten"))

#: Shape and type as stored, network -> what `auto` does, in how many features.
CASES: list[tuple[tuple[int, ...], str, dict[str, Any], str, int]] = [
    ((6,), "int32", model((6,), *TOKENS), "none", 6),
    ((6,), "uint8", model((6,), row("Dropout", rate=0.1), *TOKENS), "none", 6),
    ((2, 3), "int64", model((6,), *TOKENS), "none", 3),
    ((6,), "int64", model((6,), row("Reshape", target_shape=[3, 2]), *TOKENS[:1], row("Flatten")), "none", 2),
    ((6, 1), "int64", model((6, 1), row("Flatten"), *TOKENS), "none", 1),
    ((6,), "float32", model((6,)), "standard", 6),
    ((6,), "uint8", model((6,)), "standard", 6),
    ((6,), "bool", model((6,)), "none", 6),
    ((5, 3), "float64", model((5, 3), *LSTM), "standard", 3),
    ((5, 3), "uint8", model((5, 3), *CONV1D), "standard", 3),
    ((5, 3), "float32", model((15,)), "standard", 3),
    ((15,), "float32", model((15,), row("Reshape", target_shape=[5, 3]), *LSTM), "standard", 3),
    ((15,), "float32", model((15, 1), *CONV1D), "standard", 1),
    ((8, 8), "uint8", model((8, 8, 1), *CONV), "centered", 1),
    ((8, 8), "float32", model((8, 8, 1), *CONV), "centered", 1),
    ((8, 8, 3), "uint8", model((8, 8, 3), *CONV), "centered", 3),
    ((8, 8), "uint8", model((64,)), "centered", 1),
    ((64,), "uint8", model((64,), row("Reshape", target_shape=[8, 8, 1]), *CONV), "centered", 1),
    ((8, 8, 3), "uint8", model((192,)), "centered", 3),
]


def write(folder: Path, **arrays: Any) -> NpzData:
    np.savez(folder / "set.npz", **arrays)
    return NpzData(file="set.npz")


def examples(shape: tuple[int, ...], dtype: str, count: int = 24, seed: int = 0) -> dict[str, Any]:
    """Two classes; numbers that every type holds and an Embedding of 50 rows has."""
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 2 if dtype == "bool" else 50, (count + 8, *shape)).astype(dtype)
    y = np.arange(count + 8) % 2
    return {"x_train": x[:count], "y_train": y[:count], "x_test": x[count:], "y_test": y[count:]}


def planned(folder: Path, network: Any, **data: Any) -> Plan:
    spec = {
        "model": network,
        "data": {"kind": "npz", "file": "set.npz"} | data,
        "limits": {"by_class": {"Dense": 8}},
    }
    return plan(SearchSpec.model_validate(spec), folder)


def loaded(folder: Path, job: Plan) -> Dataset:
    """The data as a worker loads them."""
    runtime = SimpleNamespace(settings=SimpleNamespace(data_folder=folder))
    preparation.clear()
    return preparation.dataset(cast(Any, runtime), job)


# --- what auto decides ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "dtype", "network", "method", "features"), CASES)
def test_preprocessing_follows_network_and_data(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, network: Any, method: str, features: int
) -> None:
    stored = examples(shape, dtype)
    write(tmp_path, **stored)
    job = planned(tmp_path, network)
    assert (job.data.preprocessing.method, job.data.preprocessing.features) == (method, features)
    data = loaded(tmp_path, job)
    if method == "none":
        np.testing.assert_array_equal(data.x_test.reshape(8, -1), stored["x_test"].reshape(8, -1))
    if method == "standard":
        numbers = data.x_train.reshape(-1, features).astype(np.float64)
        np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(numbers.std(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize("method", ["none", "unit", "centered", "standard"])
@pytest.mark.parametrize(("shape", "dtype", "network", "_auto", "_features"), CASES)
def test_a_named_preprocessing_is_done_and_its_constants_give_the_inputs_back(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, network: Any, _auto: str, _features: int, method: str
) -> None:
    stored = examples(shape, dtype)
    write(tmp_path, **stored)
    job = planned(tmp_path, network, preprocessing=method)
    assert (job.data.preprocessing.method, job.data.preprocessing.reason) == (method, "named in the job")
    data = loaded(tmp_path, job)
    subtract, divide_by = (np.asarray(value) for value in (data.scaling.subtract, data.scaling.divide_by))
    expected = (stored["x_test"].astype(np.float64) - subtract) / divide_by
    np.testing.assert_allclose(data.x_test.reshape(expected.shape), expected, atol=1e-5)


def test_masked_zeros_stay_zeros_and_other_masked_values_stay_as_they_are() -> None:
    from costmodel.layer import Layer as PlainLayer
    from costmodel.network import Network
    from search.data.preprocessing import Request, StoredExamples, decided
    from search.data.reading import input_reading

    def method(mask: float, next_class: str) -> str:
        layers = (
            PlainLayer("input", "InputLayer", {}, (), (), (5, 3)),
            PlainLayer("mask", "Masking", {"mask_value": mask}, ("input",), ((5, 3),), (5, 3)),
            PlainLayer("next", next_class, {}, ("mask",), ((5, 3),), (4,)),
        )
        reading = input_reading(Network(layers, ("input",), ("next",)))
        examples_ = StoredExamples((5, 3), np.dtype("float32"))
        return decided(Request("auto"), examples_, (5, 3), reading).method

    assert [method(0.0, "LSTM"), method(-1.0, "LSTM"), method(0.0, "Embedding")] == ["unit", "none", "none"]
    assert method(0.0, "Normalization") == "none"


def test_an_output_that_cannot_be_negative_gets_targets_from_0_to_1(tmp_path: Path) -> None:
    write(tmp_path, x_train=examples((6,), "float32")["x_train"], x_test=examples((6,), "float32")["x_test"])
    network = model((6,), end="sigmoid", units=6)
    spec = {"model": network, "data": {"kind": "npz", "file": "set.npz", "targets": "inputs"}}
    job = plan(
        SearchSpec.model_validate(spec | {"objective": "mse", "limits": {"by_class": {"Dense": 8}}}), tmp_path
    )
    assert job.data.preprocessing.method == "unit"
    targets = np.asarray(loaded(tmp_path, job).y_train)
    assert (targets.min(), targets.max()) == (0.0, 1.0)


def test_small_features_keep_their_size_and_constant_ones_become_zero(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    x = np.stack([draw.normal(0, 1e-6, 32), draw.normal(1.6e9, 50, 32), np.full(32, 0.1)], axis=1)
    write(tmp_path, x_train=x, y_train=np.arange(32) % 2, x_test=x[:8], y_test=np.arange(8) % 2)
    data = loaded(tmp_path, planned(tmp_path, model((3,))))
    np.testing.assert_allclose(data.x_train.std(axis=0), [1, 1, 0], atol=1e-5)
    np.testing.assert_allclose(data.x_train.mean(axis=0), 0, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "dtype", "network", "method", "says"),
    [
        ((6,), "int32", model((6,), *TOKENS), "centered", "whole numbers that layer 'embedding_0' looks up"),
        ((6,), "float32", model((6,)), "unit", "the largest number of all features"),
        ((6,), "uint8", model((6,)), "centered", "divides every feature by 255"),
    ],
)
def test_a_named_preprocessing_that_spoils_the_examples_is_warned_of(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, network: Any, method: str, says: str
) -> None:
    write(tmp_path, **examples(shape, dtype))
    assert any(says in text for text in planned(tmp_path, network, preprocessing=method).warnings)
    assert not any(says in text for text in planned(tmp_path, network).warnings)


def test_the_zoos_images_are_centred_as_before() -> None:
    for name in ("digits_cnn", "digits_autoencoder"):
        spec: dict[str, Any] = {"model": name, "limits": {"by_class": {"Dense": 8}}}
        if name == "digits_autoencoder":
            spec |= {"data": {"kind": "digits", "targets": "inputs"}, "objective": "mse"}
        job = plan(SearchSpec.model_validate(spec), Path())
        assert job.data.preprocessing.method == "centered"
        today, before = (
            load(DigitsData(preprocessing=method), Path(), 1, job.data.input_shape, preprocessing=chosen)
            for method, chosen in (("auto", job.data.preprocessing), ("centered", None))
        )
        np.testing.assert_array_equal(today.x_train, before.x_train)


# --- learned from training rows alone ------------------------------------------------------------------------------


def unchanged(before: Dataset, after: Dataset) -> None:
    """What training reads is the same; at least one of the other parts is not."""
    assert before.scaling == after.scaling
    assert before.target_scaling == after.target_scaling
    np.testing.assert_array_equal(before.x_train, after.x_train)
    np.testing.assert_array_equal(np.asarray(before.y_train), np.asarray(after.y_train))
    assert not np.array_equal(before.x_test, after.x_test) or not np.array_equal(
        before.x_validation, after.x_validation
    )


@given(
    seed=st.integers(0, 1000),
    shape=st.sampled_from([(4,), (3, 2), (4, 4, 1)]),
    dtype=st.sampled_from(["float32", "float64", "uint8", "int16"]),
    method=st.sampled_from(["auto", "unit", "centered", "standard"]),
    part=st.sampled_from(["validation", "test"]),
)
@settings(max_examples=30)
def test_no_other_row_changes_what_a_file_trains_with(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    shape: tuple[int, ...],
    dtype: str,
    method: str,
    part: str,
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    draw = np.random.default_rng(seed)
    stored: dict[str, Any] = {
        "x_train": draw.integers(0, 100, (20, *shape)).astype(dtype),
        "y_train": draw.normal(size=(20, 2)),
        "x_test": draw.integers(0, 100, (6, *shape)).astype(dtype),
        "y_test": draw.normal(size=(6, 2)),
    }
    network = model(shape, *([] if len(shape) == 1 else [row("Flatten")]), end="linear")
    spec = {
        "model": network,
        "data": {"kind": "npz", "file": "set.npz", "preprocessing": method, "target_scaling": "standard"},
        "limits": {"by_class": {"Dense": 8}},
        "objective": "mse",
        "seed": seed,
    }

    def read() -> Dataset:
        write(folder, **stored)
        return loaded(folder, plan(SearchSpec.model_validate(spec), folder))

    before = read()
    name, places = (
        ("test", np.arange(6)) if part == "test" else ("train", order(20, seed, 1)[: share(20, 0.2)])
    )
    for array in ("x", "y"):
        changed = stored[f"{array}_{name}"].copy()
        changed[places] = 120
        stored[f"{array}_{name}"] = changed
    unchanged(before, read())


def source_rows(kind: str) -> NDArray[np.intp]:
    """Rows of scikit-learn's table that a data set consists of."""
    if kind != "spiking_digits":
        return np.arange(diabetes.COUNT if kind == "diabetes" else digits.COUNT)
    return np.flatnonzero(digits.read_digits()[1] < 8)[1::2]


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (DigitsData(), (8, 8, 1)),
        (DigitsData(split="random"), (8, 8, 1)),
        (DigitsData(preprocessing="standard"), (64,)),
        (DiabetesData(), (10,)),
        (DiabetesData(preprocessing="centered"), (10,)),
        (SpikingDigitsData(), (32, 16)),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_no_other_row_changes_what_a_built_in_data_set_trains_with(
    data: Any, shape: tuple[int, ...], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load(data, Path(), 7, shape)
    rows = source_rows(data.kind)
    labels = None if data.split == "random" or data.kind == "diabetes" else digits.read_digits()[1][rows]
    places = order(len(rows), 7, 0, labels)
    tests = share(len(rows), data.test_fraction)
    if part == "test":
        others = rows[places[:tests]]
    else:
        left = rows[places[tests:]]
        remaining = None if labels is None else labels[places[tests:]]
        others = left[order(len(left), 7, 1, remaining)[: share(len(left), data.validation_fraction)]]
    module = diabetes if data.kind == "diabetes" else digits
    original = module.sklearn_table

    def altered(*arguments: Any, **options: Any) -> NDArray[Any]:
        table = original(*arguments, **options).copy()
        if table.ndim == 2:
            table[others, :10] = 9
        return cast(NDArray[Any], table)

    monkeypatch.setattr(module, "sklearn_table", altered)
    unchanged(before, load(data, Path(), 7, shape))


def test_constants_of_a_trial_are_json_numbers_by_feature() -> None:
    scaling = learned(Preprocessing("standard", "", 2), np.array([[1.0, 5.0], [3.0, 5.0]]), None)
    assert json.loads(json.dumps({"a": scaling.divide_by, "b": scaling.subtract})) == {
        "a": [1.0, 1.0],
        "b": [2.0, 5.0],
    }
    np.testing.assert_array_equal(scaled(np.array([[3.0, 6.0]]), scaling), [[1.0, 1.0]])


# --- what was a 500 ------------------------------------------------------------------------------------------------


def test_any_file_can_hold_inputs_that_are_their_targets(tmp_path: Path) -> None:
    write(tmp_path, x_train=np.ones((9, 4)), x_test=np.ones((3, 4)))
    network = model((4,), end="linear", units=4)
    spec: dict[str, Any] = {
        "model": network,
        "data": {"kind": "npz", "file": "set.npz", "targets": "inputs"},
        "objective": "mse",
        "limits": {"by_class": {"Dense": 8}},
    }
    job = plan(SearchSpec.model_validate(spec), tmp_path)
    assert job.data.classes is None
    with pytest.raises(InvalidSpec, match="class numbers"):
        plan(
            SearchSpec.model_validate(spec | {"objective": "accuracy", "training": {"loss": "crossentropy"}}),
            tmp_path,
        )
