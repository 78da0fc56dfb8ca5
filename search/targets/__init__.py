"""Hardware and compilers a search can be for: which quantizers, widths and orders of layers they take. Plain."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from search.targets.akida import AKIDA
from search.targets.base import Target
from search.targets.generic import GENERIC
from search.targets.hls4ml import HLS4ML
from search.targets.xylo import XYLO

#: Name of a target -> what it takes.
TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {"generic": GENERIC, "akida": AKIDA, "xylo": XYLO, "hls4ml": HLS4ML}
)
