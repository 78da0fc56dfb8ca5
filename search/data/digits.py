"""scikit-learn's digits, read from the file in its package.

The test part of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998: 1,797 images of 8x8 numbers from 0 to 16.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.data.files import DataFault
from search.data.packaged import sklearn_table

COUNT: Final = 1797
SHAPE: Final = (8, 8)
CLASSES: Final = 10
LARGEST: Final = 16.0

_FILE: Final = Path("datasets", "data", "digits.csv.gz")  #: inside sklearn; one image and its label per line


def read_digits() -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Images (1797, 8, 8) and labels. Raises `DataFault` where scikit-learn is not installed."""
    table = sklearn_table(_FILE, "digits", delimiter=",", dtype=np.uint8)
    if table.shape != (COUNT, 65):
        raise DataFault("the digits of the installed scikit-learn are not the expected ones")
    return table[:, :-1].reshape(-1, *SHAPE), table[:, -1].astype(np.int32)
