"""scikit-learn's diabetes data, read from the files in its package.

B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least Angle Regression", Annals of Statistics 32, 2004: ten numbers
of 442 patients (age, sex, body mass index, blood pressure, six blood values) and the progression after a year, 25 to
346.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from search.data.files import DataFault
from search.data.packaged import sklearn_table

COUNT: Final = 442
FEATURES: Final = 10
#: The smallest and the largest of all numbers, by how the features are read.
RANGES: Final[Mapping[str, tuple[float, float]]] = {"raw": (1.0, 301.0), "scikit-learn": (-0.14, 0.2)}

_DATA: Final = Path("datasets", "data", "diabetes_data_raw.csv.gz")
_TARGETS: Final = Path("datasets", "data", "diabetes_target.csv.gz")


def read_diabetes(
    features: Literal["raw", "scikit-learn"] = "raw",
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Features (442, 10) and targets (442,). `scikit-learn`: each feature centred and of unit length over all rows.

    Raises `DataFault` where scikit-learn is not installed.
    """
    table = sklearn_table(_DATA, "diabetes data").astype(np.float64)
    targets = sklearn_table(_TARGETS, "diabetes data").reshape(-1)
    if table.shape != (COUNT, FEATURES) or targets.shape != (COUNT,):
        raise DataFault("the diabetes data of the installed scikit-learn are not the expected ones")
    if features == "scikit-learn":
        table -= table.mean(axis=0)
        table /= np.sqrt((table**2).sum(axis=0))
    return table, targets.astype(np.float32)
