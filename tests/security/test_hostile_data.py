"""Data files that are more than arrays: each is refused with a reason, and leaves nothing behind."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy

from tests.security.models import keras_file
from tests.security.uploading import Target, target
from tests.security.zips import Entry, zipped

Make = Callable[[Path], bytes]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(tmp_path_factory.mktemp("hostile")) as service:
        yield service


class Bomb:
    """Pickled, it runs a command when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def arrays(**changes: Any) -> dict[str, Any]:
    """Good data, changed."""
    random = np.random.default_rng(0)
    return {
        "x_train": random.normal(size=(40, 16)).astype("float32"),
        "y_train": np.arange(40) % 5,
        "x_test": random.normal(size=(10, 16)).astype("float32"),
        "y_test": np.arange(10) % 5,
    } | changes


def member(array: Any) -> bytes:
    """An array as numpy writes it; bytes stay as they are."""
    if isinstance(array, bytes):
        return array
    memory = io.BytesIO()
    npy.write_array(memory, np.asarray(array), allow_pickle=True)
    return memory.getvalue()


def entries(**changes: Any) -> list[Entry]:
    return [Entry(f"{name}.npy".encode(), member(array)) for name, array in arrays(**changes).items()]


def npz(**changes: Any) -> bytes:
    return zipped(entries(**changes))


def by_numpy(**changes: Any) -> bytes:
    memory = io.BytesIO()
    np.savez_compressed(memory, **arrays(**changes))
    return memory.getvalue()


def header(text: str, data: bytes = bytes(64), version: bytes = b"\x01\x00") -> bytes:
    """An array whose header is this text."""
    raw = text.encode("latin1") + b"\n"
    length = len(raw).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + length + raw + data


def described(shape: str, kind: str = "'<f4'") -> bytes:
    return header(f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}")


def objects(canary: Path) -> bytes:
    return npz(x_train=np.array([Bomb(canary)] * 40, object))


def with_nan(value: float, kind: str = "float32") -> bytes:
    x = arrays()["x_train"].astype(kind)
    x[7, 3] = value
    return npz(x_train=x)


def bomb(_: Path) -> bytes:
    """Zeros that pack a thousandfold."""
    body = entries(x_train=np.zeros((40, 200_000), "float32"))
    return zipped([Entry(entry.name, entry.data, deflate=True) for entry in body])


def code(canary: Path) -> bytes:
    """A header that is an expression, for readers that evaluate it."""
    text = f"__import__('os').system('touch {canary}')"
    return npz(x_train=header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {text}}}"))


CORPUS: dict[str, tuple[Make, str]] = {
    "pickle": (lambda canary: pickle.dumps(Bomb(canary)), "pickle"),
    "text": (lambda _: b"1,2,3\n" * 30, "which column has the targets"),
    "one array": (lambda _: member(arrays()["x_train"]), "not an .npz"),
    "model": (lambda _: keras_file(), "metadata.json"),
    "objects": (objects, "objects"),
    "objects where nothing is read": (lambda canary: npz(extra=np.array([Bomb(canary)], object)), "objects"),
    "records": (lambda _: npz(x_train=np.zeros(40, [("a", "f4")])), "only integers and floating-point"),
    "text in an array": (lambda _: npz(y_train=np.array(["a"] * 40)), "only integers and floating-point"),
    "dates": (lambda _: npz(x_train=np.zeros((40, 16), "M8[s]")), "only integers and floating-point"),
    "complex numbers": (
        lambda _: npz(x_train=np.zeros((40, 16), "complex64")),
        "only integers and floating-point",
    ),
    "code in a header": (code, "header"),
    "a header that never ends": (lambda _: npz(x_train=header("{" * 60_000)), "header"),
    "a header of brackets": (lambda _: npz(x_train=header("(" * 5000 + ")" * 5000)), "header"),
    "no header": (lambda _: npz(x_train=b"\x93NUMPY"), "header"),
    "another format": (lambda _: npz(x_train=b"GIF89a" + bytes(100)), "header"),
    "a new format": (lambda _: npz(x_train=header("{}", version=b"\x03\x00")), "newer"),
    "a huge shape": (lambda _: npz(x_train=described("(40, 1000000000000)")), "declares"),
    "a shape that overflows": (lambda _: npz(x_train=described("(40, 4294967296, 4294967296)")), "declares"),
    "a shape below zero": (lambda _: npz(x_train=described("(-40, -16)")), "declares"),
    "a shape of text": (lambda _: npz(x_train=described("('40', 16)")), "header"),
    "many examples": (lambda _: npz(x_train=described("(100000000, 1)", "'|u1'")), "examples"),
    "more than it declares": (lambda _: npz(x_train=described("(40, 2)")), "declares"),
    "a type of a thousand numbers": (
        lambda _: npz(x_train=described("(40,)", "('<f4', (1000,))")),
        "x_train",
    ),
    "one number": (lambda _: npz(x_train=np.float32(1)), "single number"),
    "no examples": (lambda _: npz(x_train=np.zeros((0, 16)), y_train=np.zeros(0, int)), "one row"),
    "fewer labels than examples": (lambda _: npz(y_train=np.zeros(39, int)), "one row"),
    "NaN": (lambda _: with_nan(np.nan), "x_train holds nan (number 115"),
    "infinity": (lambda _: with_nan(-np.inf), "x_train holds -inf"),
    "too large for a model": (lambda _: with_nan(1e300, "float64"), "x_train holds 1e+300"),
    "NaN in what is not read": (lambda _: npz(extra=np.array([np.nan])), "extra holds nan"),
    "no training part": (lambda _: zipped(entries()[2:]), "lacks x_train"),
    "an array twice": (lambda _: zipped([*entries(), entries()[0]]), "more than once"),
    "an array that leads up": (
        lambda _: zipped([*entries(), Entry(b"../x.npy", member([1]))]),
        "outside the archive",
    ),
    "a name that is none": (
        lambda _: zipped([*entries(), Entry(b"a b.npy", member([1]))]),
        "is that of its array",
    ),
    "something else": (
        lambda _: zipped([*entries(), Entry(b"run.sh", b"#!/bin/sh")]),
        "is that of its array",
    ),
    "many arrays": (lambda _: npz(**{f"a{index}": np.zeros(1) for index in range(70)}), "64"),
    "symbolic link": (
        lambda _: zipped([*entries()[1:], Entry(b"x_train.npy", b"/etc/passwd", mode=0o120777)]),
        "link",
    ),
    "encrypted": (
        lambda _: zipped([*entries()[1:], Entry(b"x_train.npy", member([1]), flags=1)]),
        "encrypted",
    ),
    "wrong checksum": (
        lambda _: zipped([*entries()[1:], Entry(b"x_train.npy", entries()[0].data, crc=7)]),
        "CRC",
    ),
    "bomb": (bomb, "times its size"),
    "zip in a zip": (lambda _: zipped([Entry(b"x_train.npy", npz())]), "not an array"),
    "appended": (lambda _: npz() + b"MZ", "appended"),
    "cut short": (lambda _: npz()[:-40], "truncated"),
    "cut shorter": (lambda _: by_numpy()[:900], "truncated"),
}


@pytest.mark.parametrize("write", [npz, by_numpy])
def test_the_file_the_others_are_made_from_is_taken(service: Target, write: Callable[[], bytes]) -> None:
    answer = service.send("datasets", write())
    assert answer.status_code == 200, answer.text
    shapes = {array["name"]: tuple(array["shape"]) for array in answer.json()["arrays"]}
    assert shapes == {"x_train": (40, 16), "y_train": (40,), "x_test": (10, 16), "y_test": (10,)}
    assert service.http.delete(f"/v1/datasets/{answer.json()['id']}").status_code == 204
    for path in service.blobs.rglob("*"):
        if path.is_file():
            path.unlink()  # the sweep's work
    service.assert_untouched("datasets")


@pytest.mark.parametrize("name", CORPUS)
def test_data_that_are_more_than_arrays_are_refused(service: Target, name: str) -> None:
    make, word = CORPUS[name]
    service.assert_refused("datasets", make(service.canary), word)
