"""Small distributions that are built from this repository beside `fewbits` itself: `python -m tools.distributions`.

A folder here for each: `__init__.py` has its `Distribution`, `package.py` is what users import, `README.md` is shown
by a package index. A distribution has one package of its own name; the modules of the repository that it needs lie in
it, so that it can be installed beside `fewbits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tools.distributions.assemble import Distribution
from tools.distributions.client import CLIENT
from tools.distributions.layers import LAYERS

#: Name -> distribution.
DISTRIBUTIONS: Final[Mapping[str, Distribution]] = MappingProxyType(
    {entry.name: entry for entry in (CLIENT, LAYERS)}
)
