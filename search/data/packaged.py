"""Tables in scikit-learn's package, read without importing it, which would cost a second and 60 MB."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.files import DataFault


@cache
def sklearn_table(
    file: Path, what: str, *, delimiter: str | None = None, dtype: Any = np.float64
) -> NDArray[Any]:
    """The numbers of a gzipped text file; read once per process, and read-only.

    Raises `DataFault` where scikit-learn is not installed.
    """
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise DataFault(
            f"the {what} come with scikit-learn, which is not installed here: install fewbits[worker]"
        )
    path = Path(package.submodule_search_locations[0]) / file
    try:
        with gzip.open(path, "rt") as stream:
            table: NDArray[Any] = np.loadtxt(stream, delimiter=delimiter, dtype=dtype)
    except (OSError, ValueError, EOFError) as error:
        raise DataFault(f"scikit-learn's {what} cannot be read; reinstall scikit-learn") from error
    table.setflags(write=False)
    return table
