"""Spiking networks in integers: Xylo's specification, its post-training quantization and a simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from quantization.spiking.quantize import channel_quantize, global_quantize
from quantization.spiking.specification import XyloParameters

#: Name of the method -> how it makes integers of a specification.
METHODS: Final[Mapping[str, Callable[..., XyloParameters]]] = MappingProxyType(
    {"global": global_quantize, "channel": channel_quantize}
)
