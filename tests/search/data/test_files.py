"""Data from files: what is read, and that hostile files are refused."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.data import DataInfo, load
from search.data.files import MAX_ARRAY_BYTES, DataFault, read_headers
from search.errors import InvalidSpec
from search.spec.job import MnistData, NpzData
from tests.search.data.examples import FILE, IMAGES, arrays, described, fault, input_of, write

# --- files ---------------------------------------------------------------------------------------------------


def test_a_file_of_the_four_arrays_is_described(tmp_path: Path) -> None:
    assert described(write(tmp_path), tmp_path) == DataInfo(input_of(IMAGES), 32, 8, 10, 10)


def test_labels_may_stand_in_a_column(tmp_path: Path) -> None:
    data = write(tmp_path, y_train=(np.arange(40) % 10)[:, None])
    assert load(data, tmp_path, 1, (8, 8, 1)).y_train.shape == (32,)


def test_mnist_is_looked_for_under_its_own_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", **arrays())
    assert described(MnistData(), tmp_path).train == 32


def test_a_missing_mnist_says_where_it_comes_from(tmp_path: Path) -> None:
    assert "keras.datasets.mnist" in fault(MnistData(), tmp_path, "/data/kind")


def test_other_arrays_in_the_file_are_ignored(tmp_path: Path) -> None:
    assert described(write(tmp_path, notes=np.array(["a"])), tmp_path).train == 32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "lacks y_test; it holds x_test, x_train, y_train"),
        ({"x_train": np.zeros((39, 8, 8))}, "x_train holds 39 examples and y_train 40 labels"),
        ({"y_train": np.zeros(40)}, "y_train holds float64; labels must be class numbers, that is integers"),
        ({"y_train": np.full(40, -1)}, "y_train holds the label -1; class numbers count from 0"),
        ({"y_test": np.full(10, 10)}, "labels run to 10, but the model has 10 classes"),
        (
            {"y_train": np.full(40, 2**40)},
            "y_train holds the label 1099511627776, which is not a class number",
        ),
        ({"y_train": np.zeros((40, 10), int)}, "row 0 (counted from 0) is not one-hot"),
        ({"x_train": np.full((40, 8, 8), None)}, "x_train holds Python objects (dtype object)"),
        (
            {"x_train": np.zeros((40, 8, 8), complex)},
            "x_train holds complex numbers; only integers and floating",
        ),
        ({"x_train": np.zeros((40, 8, 8), [("a", "f4")])}, "only integers and floating-point numbers"),
        ({"x_train": np.float32(1)}, "x_train is a single number"),
        ({"x_train": np.zeros(40)}, "x_train has the shape (40,); each example needs at least one axis"),
        ({"x_train": np.zeros((40, 9, 8))}, "of x_train have the shape (9, 8), of x_test (8, 8)"),
        ({"x_test": np.zeros((0, 8, 8)), "y_test": np.zeros(0, int)}, "x_test holds no examples"),
        (
            {"x_train": np.zeros((1, 8, 8)), "y_train": np.zeros(1, int)},
            "1 training examples cannot be split",
        ),
    ],
)
def test_wrong_arrays_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert message in fault(write(tmp_path, **changes), tmp_path)


def test_images_of_another_size_do_not_fit(tmp_path: Path) -> None:
    data = write(tmp_path, x_train=np.zeros((40, 28, 28)), x_test=np.zeros((10, 28, 28)))
    assert fault(data, tmp_path) == "examples have the shape (28, 28); the model takes (8, 8, 1)"


def test_numbers_that_are_not_finite_are_refused_when_they_are_read(tmp_path: Path) -> None:
    images = np.zeros((40, 8, 8))
    images[3, 0, 0] = np.nan
    with pytest.raises(InvalidSpec, match="x_train holds numbers that are not finite"):
        load(write(tmp_path, x_train=images), tmp_path, 1, (8, 8, 1))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "'set.npz' is not a file in the server's data folder" in fault(NpzData(file=FILE), tmp_path)


@pytest.mark.parametrize("text", [b"", b"hello", b"PK\x03\x04" + bytes(100)])
def test_a_file_that_is_no_zip_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / FILE).write_bytes(text)
    assert fault(NpzData(file=FILE), tmp_path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: float) -> None:
    data = write(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: int(len(whole) * keep)])
    assert "damaged, cut short" in fault(data, tmp_path)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    assert "is not a file" in fault(NpzData(file=FILE), tmp_path)


@pytest.mark.parametrize("file", ["../set.npz", "/etc/hostname", "a/../../set.npz"])
def test_a_path_out_of_the_data_folder_is_refused(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write(tmp_path)
    assert "leads out of the server's data folder" in fault(NpzData(file=file), folder)


def test_a_link_out_of_the_data_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write(tmp_path)
    (folder / FILE).symlink_to(tmp_path / FILE)
    assert "leads out of the server's data folder" in fault(NpzData(file=FILE), folder)


def test_a_link_within_the_data_folder_is_followed(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "link.npz").symlink_to(tmp_path / FILE)
    assert described(NpzData(file="link.npz"), tmp_path).train == 32


@pytest.mark.parametrize("file", ["a\0b", "x" * 400])
def test_an_impossible_path_is_refused(tmp_path: Path, file: str) -> None:
    assert fault(NpzData(file=file), tmp_path)


def test_a_message_never_tells_where_the_data_folder_lies(tmp_path: Path) -> None:
    assert str(tmp_path) not in fault(NpzData(file=FILE), tmp_path)


# --- hostile files -------------------------------------------------------------------------------------------


def npy(shape: tuple[int, ...], data: bytes = b"", descr: str = "|u1") -> bytes:
    """An array file whose header declares this shape, whatever follows."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue() + data


def pack(folder: Path, members: list[tuple[str, bytes]]) -> NpzData:
    with zipfile.ZipFile(folder / FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(f"{name}.npy", content)
    return NpzData(file=FILE)


def members(**changes: bytes) -> list[tuple[str, bytes]]:
    valid = {
        "x_train": npy((2, 8, 8), bytes(128)),
        "y_train": npy((2,), bytes(2)),
        "x_test": npy((1, 8, 8), bytes(64)),
        "y_test": npy((1,), bytes(1)),
    }
    return list((valid | changes).items())


def test_the_smallest_file_is_accepted(tmp_path: Path) -> None:
    data = pack(tmp_path, members())
    assert described(data, tmp_path) == DataInfo(input_of(IMAGES), 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy((10**12, 64)), "examples; at most 10000000 are allowed"),
        (npy((2, 10**10)), f"at most {MAX_ARRAY_BYTES // 4} are allowed"),
        (npy((2, 64), bytes(127)), "which is not the size of its data"),
        (npy((2, 64), bytes(129)), "which is not the size of its data"),
        (npy((-2, -64), bytes(128)), "which is not the size of its data"),
        (b"no array at all", "x_train cannot be read"),
        (b"", "x_train cannot be read"),
        (b"\x93NUMPY\x03\x00" + bytes(200), "newer than numpy's 2.0"),
        (b"\x93NUMPY\x01\x00\x76\x00" + b"(" * 118, "x_train cannot be read"),
    ],
)
def test_a_header_that_lies_is_found_before_anything_is_allocated(
    tmp_path: Path, content: bytes, message: str
) -> None:
    assert message in fault(pack(tmp_path, members(x_train=content)), tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_an_array_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    twice = [*members(), ("x_train", npy((2, 8, 8), bytes(128)))]
    assert fault(pack(tmp_path, twice), tmp_path) == "holds x_train more than once"


def test_a_changed_byte_is_found_by_the_checksum(tmp_path: Path) -> None:
    np.savez(tmp_path / FILE, **arrays())
    content = bytearray((tmp_path / FILE).read_bytes())
    content[1000] ^= 0xFF
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InvalidSpec, match="x_train cannot be read: the file is damaged"):
        load(NpzData(file=FILE), tmp_path, 1, (8, 8, 1))


@pytest.fixture(scope="module")
def valid_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("valid")
    np.savez_compressed(folder / FILE, **arrays())
    return folder / FILE


@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_any_changed_byte_is_read_or_refused_but_never_an_error(
    valid_file: Path, place: int, value: int
) -> None:
    content = bytearray(valid_file.read_bytes())
    content[place % len(content)] = value
    damaged = valid_file.with_name("damaged.npz")
    damaged.write_bytes(content)
    refused_or(lambda: read_headers(damaged))


@pytest.mark.filterwarnings("ignore:Reading .* required additional header parsing:UserWarning")
@given(header=st.binary(max_size=118))
def test_any_header_is_read_or_refused_but_never_an_error(valid_file: Path, header: bytes) -> None:
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    folder = valid_file.parent
    with zipfile.ZipFile(folder / "header.npz", "w") as archive:
        for name, member in members(x_train=content):
            archive.writestr(f"{name}.npy", member)
    refused_or(lambda: read_headers(folder / "header.npz"))


def refused_or(read: Callable[[], Any]) -> None:
    with contextlib.suppress(DataFault):
        assert read()
