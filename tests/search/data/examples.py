"""Small data files, and what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.data import DataInfo, InputInfo, Preprocessing, describe
from search.errors import InvalidSpec
from search.networks import architecture as models
from search.spec.job import Data, NpzData, ZooModel

DIGITS_NETWORK = models.network(ZooModel(name="digits_cnn"))
JET_NETWORK = models.network(ZooModel(name="jet_mlp"))
FILE = "set.npz"
IMAGES = Preprocessing("centered", "the examples are images")


def input_of(preprocessing: Preprocessing) -> tuple[InputInfo]:
    """The input of the digits' network, as it is described."""
    return (InputInfo("inputs", (8, 8, 1), preprocessing),)


def arrays(**changes: Any) -> dict[str, Any]:
    """A small valid data set of 8x8 images, and what a test changes in it."""
    rng = np.random.default_rng(0)
    valid: dict[str, Any] = {
        "x_train": rng.integers(0, 256, (40, 8, 8), dtype=np.uint8),
        "y_train": np.arange(40) % 10,
        "x_test": rng.integers(0, 256, (10, 8, 8), dtype=np.uint8),
        "y_test": np.arange(10),
    }
    return {name: array for name, array in (valid | changes).items() if array is not None}


def write(folder: Path, **changes: Any) -> NpzData:
    np.savez_compressed(folder / FILE, **arrays(**changes))
    return NpzData(file=FILE)


def described(data: Data, folder: Path) -> DataInfo:
    return describe(data, folder, DIGITS_NETWORK)


def fault(data: Data, folder: Path, pointer: str = "/data/file") -> str:
    """What is said about a data set that is refused."""
    with pytest.raises(InvalidSpec) as caught:
        described(data, folder)
    [problem] = caught.value.problems
    assert problem.pointer == pointer
    return problem.message
