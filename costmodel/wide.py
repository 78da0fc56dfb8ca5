"""Layers whose outputs have grown too wide for integer hardware: what a search should quantize first."""

from __future__ import annotations

from typing import Final

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import EnergyReport, PricedLayer

#: Accumulators of small processors and accelerators; what is wider than that is stored and read at a price.
ACCUMULATOR_BITS: Final = 32


def wide_outputs(report: EnergyReport) -> dict[str, str]:
    """Layer -> the type of its output in words, where it is computed from integers and wider than 32 bits.

    Beyond 64 bits a number is floating point: no integer unit computes it. Raises nothing.
    """
    return {layer.name: _width(layer.output_type) for layer in report.layers if _is_wide(layer)}


def _is_wide(layer: PricedLayer) -> bool:
    output = layer.output_type
    if output.format is NumberFormat.FIXED:
        return output.bits > ACCUMULATOR_BITS
    total = layer.work.types.get("accumulator")
    if total is not None and total.format is not NumberFormat.FLOAT:
        return False  # its function computes floats, not its width
    read = (*layer.input_types, *(data_type for _, data_type in layer.work.parameters))
    integers = all(data_type.format is not NumberFormat.FLOAT for data_type in read)
    return layer.quantized and output.format is NumberFormat.FLOAT and integers


def _width(output: DataType) -> str:
    return "floating point" if output.format is NumberFormat.FLOAT else f"{output.bits} bits"
