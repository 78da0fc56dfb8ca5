"""Single layers, quantized to 4 bits and priced."""

from __future__ import annotations

from typing import Any

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import PricedLayer, price
from costmodel.settings import EnergySettings
from tests.costmodel.build import ready

KERNEL = DataType(NumberFormat.FIXED, 4, 0)
INPUT = DataType(NumberFormat.FIXED, 4, 2, signed=False)
WEIGHTS = {"kernel": KERNEL, "bias": KERNEL, "pointwise_kernel": KERNEL, "recurrent_kernel": KERNEL}


def settings(profile: str = "horowitz") -> EnergySettings:
    return EnergySettings(profile=profile, source=INPUT, internal="int8", accumulator="int32")


def priced(class_name: str, *shapes: tuple[int, ...], slots: Any = None, **config: Any) -> PricedLayer:
    """One layer, quantized to 4 bits."""
    types = {"x": WEIGHTS if slots is None else slots}
    return price(ready(class_name, *shapes, **config), types, settings()).layer("x")


def counts(priced_layer: PricedLayer) -> dict[str, int]:
    return {operation.label: operation.count for operation in priced_layer.work.operations}


def weights(priced_layer: PricedLayer) -> dict[str, int]:
    return {parameter.slot: parameter.elements for parameter, _ in priced_layer.work.parameters}
