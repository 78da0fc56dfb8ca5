"""What a data file may be, and what is said about one that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from search.data import DataInfo, Dataset, describe, load
from search.data.digits import read_digits
from search.data.load import scaled
from search.data.split import SplitFault, order, share, sizes
from search.errors import InvalidSpec
from search.spec.job import DigitsData
from tests.search.data.examples import IMAGES, JET_NETWORK, arrays, described, fault, input_of, write

# --- digits --------------------------------------------------------------------------------------------------


def test_the_digits_are_split_into_three_parts() -> None:
    assert described(DigitsData(), Path()) == DataInfo(input_of(IMAGES), 1150, 288, 359, 10)


def test_the_digits_that_are_loaded_are_those_described() -> None:
    info, loaded = described(DigitsData(), Path()), load(DigitsData(), Path(), 1, (8, 8, 1))
    counts = (len(loaded.x_train), len(loaded.x_validation), len(loaded.x_test))
    assert counts == (info.train, info.validation, info.test)


def test_the_digits_are_scikit_learns() -> None:
    images, labels = load_digits(return_X_y=True)
    ours, our_labels = read_digits()
    assert np.array_equal(ours.reshape(-1, 64), images)
    assert np.array_equal(our_labels, labels)


def test_digits_can_be_given_to_a_network_of_flat_inputs() -> None:
    assert load(DigitsData(), Path(), 1, (64,)).x_train.shape == (1150, 64)


def test_digits_do_not_fit_a_network_of_16_inputs() -> None:
    with pytest.raises(InvalidSpec, match=r"examples have the shape \(8, 8\); the model takes \(16,\)"):
        describe(DigitsData(), Path(), JET_NETWORK)


def rows(images: NDArray[Any]) -> set[bytes]:
    return {image.tobytes() for image in images}


def parts(data: Dataset) -> tuple[NDArray[Any], ...]:
    return data.x_train, data.y_train, data.x_validation, data.y_validation, data.x_test, data.y_test


@pytest.mark.parametrize(
    "pair", [("x_train", "x_validation"), ("x_train", "x_test"), ("x_validation", "x_test")]
)
def test_no_digit_lies_in_two_parts(pair: tuple[str, str]) -> None:
    loaded = load(DigitsData(), Path(), 3, (8, 8, 1))
    first, second = (rows(getattr(loaded, name)) for name in pair)
    assert not first & second


def test_the_same_seed_gives_the_same_parts() -> None:
    first, second = (parts(load(DigitsData(), Path(), 5, (8, 8, 1))) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_another_seed_gives_other_parts() -> None:
    first, second = (load(DigitsData(), Path(), seed, (8, 8, 1)) for seed in (5, 6))
    assert not np.array_equal(first.y_test, second.y_test)


def test_fewer_training_samples_leave_the_validation_part_alone() -> None:
    few, all_of_them = (load(DigitsData(train_samples=count), Path(), 5, (8, 8, 1)) for count in (100, None))
    assert len(few.x_train) == 100
    assert np.array_equal(few.y_validation, all_of_them.y_validation)


def test_more_training_samples_than_there_are_is_refused() -> None:
    message = fault(DigitsData(train_samples=5000), Path(), "/data/train_samples")
    assert message == "5000 examples requested; 1150 are left beside the validation part"


# --- scaling -------------------------------------------------------------------------------------------------


def test_unit_divides_by_the_largest_possible_value() -> None:
    loaded = load(DigitsData(preprocessing="unit"), Path(), 1, (8, 8, 1))
    assert loaded.x_train.max() == 1.0
    assert loaded.scaling.divide_by == 16.0


def test_centered_subtracts_the_mean_of_the_training_part() -> None:
    loaded = load(DigitsData(), Path(), 1, (8, 8, 1))
    assert loaded.x_train.mean(dtype=np.float64) == pytest.approx(0, abs=1e-6)
    assert loaded.x_test.mean(dtype=np.float64) != pytest.approx(0, abs=1e-6)


def test_none_keeps_the_stored_numbers() -> None:
    loaded = load(DigitsData(preprocessing="none"), Path(), 1, (8, 8, 1))
    assert set(np.unique(loaded.x_train)) == set(range(17))


def test_colour_images_are_centred_per_channel(tmp_path: Path) -> None:
    colours = np.zeros((40, 8, 8, 3), np.uint8) + np.array([0, 51, 255], np.uint8)
    data = write(tmp_path, x_train=colours, x_test=colours[:10])
    loaded = load(data, tmp_path, 1, (8, 8, 3))
    assert loaded.scaling.subtract == (0.0, 51.0, 255.0)


def test_features_are_centred_each_on_its_own(tmp_path: Path) -> None:
    features = np.tile(np.array([1.0, -4.0], np.float32), (40, 1))
    data = write(tmp_path, x_train=features, x_test=features[:10])
    loaded = load(data.model_copy(update={"preprocessing": "centered"}), tmp_path, 1, (2,))
    assert loaded.scaling.subtract == (1.0, -4.0)


def test_floats_are_divided_by_the_largest_training_value(tmp_path: Path) -> None:
    images = np.full((40, 8, 8), -0.25)
    data = write(tmp_path, x_train=images, x_test=images[:10])
    unit = data.model_copy(update={"preprocessing": "unit"})
    assert load(unit, tmp_path, 1, (8, 8, 1)).scaling.divide_by == 0.25


def test_the_scaling_says_what_was_done_to_the_stored_numbers(tmp_path: Path) -> None:
    stored = arrays()
    loaded = load(write(tmp_path, **stored), tmp_path, 1, (8, 8, 1))
    assert np.array_equal(loaded.x_test, scaled(stored["x_test"], loaded.scaling)[..., None])


# --- splits --------------------------------------------------------------------------------------------------


@given(available=st.integers(2, 10**6), fraction=st.floats(1e-6, 1 - 1e-6))
def test_no_part_is_empty_and_nothing_is_lost(available: int, fraction: float) -> None:
    split = sizes(available, fraction, None)
    assert split.train >= 1
    assert split.validation >= 1
    assert split.train + split.validation == available


@given(available=st.integers(2, 10**6), fraction=st.floats(1e-6, 1 - 1e-6))
def test_a_share_is_the_nearest_number_unless_a_part_were_empty(available: int, fraction: float) -> None:
    count = share(available, fraction)
    assert abs(count - available * fraction) <= 0.5 or count in (1, available - 1)


@given(available=st.integers(2, 1000), requested=st.integers(1, 2000))
def test_training_samples_are_exactly_as_many_as_asked_for(available: int, requested: int) -> None:
    most = sizes(available, 0.2, None).train
    if requested > most:
        with pytest.raises(SplitFault, match=f"{most} are left"):
            sizes(available, 0.2, requested)
    else:
        assert sizes(available, 0.2, requested).train == requested


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.integers(0, 2**31 - 2))
def test_every_beginning_of_an_order_by_class_has_each_class_at_its_share(
    labels: list[int], seed: int
) -> None:
    classes = np.array(labels)
    places = order(len(classes), seed, 0, classes)
    assert sorted(places) == list(range(len(classes)))
    for length in range(len(classes) + 1):
        for number in set(labels):
            seen = np.count_nonzero(classes[places[:length]] == number)
            assert abs(seen - length * np.mean(classes == number)) <= len(set(labels)) / 2


@given(count=st.integers(1, 500), seed=st.integers(0, 2**31 - 2))
def test_an_order_names_every_example_once(count: int, seed: int) -> None:
    assert sorted(order(count, seed, 0)) == list(range(count))
