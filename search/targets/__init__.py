"""Hardware and compilers a search can be for: which quantizers, widths and orders of layers they take. Plain.

Their rules are those of the exports (`quantization.export.legality`): what a target accepts can leave by its format.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from quantization.export.legality.akida import AKIDA
from quantization.export.legality.hls4ml import HLS4ML
from quantization.export.legality.xylo import XYLO
from search.targets.base import Target

_TARGETS: Final = (
    Target("generic", "No hardware in particular: every layer and quantizer is legal."),
    Target(
        "akida",
        "BrainChip Akida 1: weights of 2, 4 or 8 bits, activations of 1, 2 or 4, one chain of blocks.",
        AKIDA,
    ),
    Target(
        "xylo",
        "SynSense Xylo Audio 2: populations of spiking neurons, 8-bit weights, up to 31 events a step.",
        XYLO,
    ),
    Target(
        "hls4ml", "Networks compiled to FPGAs by hls4ml: what its Keras and QKeras converters read.", HLS4ML
    ),
)

#: Name of a target -> what it takes.
TARGETS: Final[Mapping[str, Target]] = MappingProxyType({target.name: target for target in _TARGETS})
