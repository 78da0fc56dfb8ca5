"""The two ways in which an ONNX graph says that a number has few bits: QONNX' nodes, and ONNX' own integer types."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from quantization.export.writers.onnx_graph.graph import Codes, Floats, OnnxGraph, bits_of, is_whole_range

_QONNX: Final = "qonnx.custom_op.general"
#: Widest code of a QONNX weight: beyond, `code * scale / scale` need not round to the code in float32.
_WIDEST: Final = 22


class QonnxGraph(OnnxGraph):
    """Float tensors with `Quant` and `BipolarQuant` nodes, which FINN, hls4ml and Brevitas' tools read."""

    OPSET = 13
    DOMAINS = {_QONNX: 1}  # noqa: RUF012

    def __init__(self, *, cuts: str = "quant") -> None:
        """`cuts`: "trunc" writes `Trunc` where all that is done to a sum of codes is to cut its last bits."""
        super().__init__()
        self._cuts = cuts == "trunc"

    def weight(self, label: str, codes: npt.NDArray[np.int64], scale: Floats, bits: int, signed: bool) -> str:
        low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
        values = codes.astype(np.float32) * scale
        if max(high, -low).bit_length() > _WIDEST:
            return self.constant(label, values)
        scales = np.where(scale > 0, scale, np.float32(1.0)).astype(np.float32)
        constant, name = self.constant(label, values), self.constant(f"{label}/scale", scales)
        if bits == 1 and signed:
            return self.add("BipolarQuant", label, [constant, name], _QONNX)
        needed, negative, narrow = bits_of(low, high)
        width = max(bits, needed + (signed and not negative))
        is_narrow = signed and (narrow or low > -(2 ** (width - 1)))
        return self._quant(label, constant, name, width, signed, is_narrow)

    def grid(self, label: str, x: str, step: float, low: int, high: int) -> str:
        bits, signed, narrow = bits_of(low, high)
        known = Codes(step, low, high)
        shift = _cut_bits(self.codes(x), known) if self._cuts else None
        if shift is not None:
            return self.note(self._truncated(label, x, step, shift), known)
        if not is_whole_range(low, high):
            x = self.clipped(label, x, low * step, high * step)
        return self.note(self._quant(label, x, self.constant(label, step), bits, signed, narrow), known)

    def sign(self, label: str, x: str, scale: float) -> str:
        return self.add("BipolarQuant", label, [x, self.constant(label, scale)], _QONNX)

    def _truncated(self, label: str, x: str, step: float, shift: int) -> str:
        """A sum of codes with `shift` bits less. Version 1 of the node has one scale: that of the result."""
        codes = self.codes(x)
        assert codes is not None
        width, _, _ = bits_of(codes.low, codes.high)
        sums = self.scaled(label, x, 2.0**shift)
        parts = (step, 0.0, float(width), float(width - shift))
        inputs = [sums, *(self.constant(label, part) for part in parts)]
        return self.add("Trunc", label, inputs, _QONNX, rounding_mode="ROUND")

    def _quant(self, label: str, x: str, scale: str, bits: int, signed: bool, narrow: bool) -> str:
        zero, width = self.constant(label, 0.0), self.constant(label, float(bits))
        return self.add(
            "Quant",
            label,
            [x, scale, zero, width],
            _QONNX,
            signed=int(signed),
            narrow=int(narrow),
            rounding_mode="ROUND",
        )


def _cut_bits(known: Codes | None, wanted: Codes) -> int | None:
    """How many of the last bits go, where nothing else is done to numbers that are codes; None: that is not so."""
    if known is None or any(math.frexp(codes.step)[0] != 0.5 for codes in (known, wanted)):
        return None
    shift = math.frexp(wanted.step / known.step)[1] - 1
    width, _, _ = bits_of(known.low, known.high)
    ends = (round(known.low / 2**shift), round(known.high / 2**shift)) if shift > 0 else ()
    within = all(wanted.low <= end <= wanted.high for end in ends)
    return shift if 0 < shift < width <= _WIDEST and within else None


class QdqGraph(OnnxGraph):
    """Standard ONNX: weights as integers of 4 to 32 bits, activations as those of 8 or 16 between two nodes."""

    OPSET = 21

    #: Bits, sign -> element type; numpy lacks those of 4.
    _TYPES: Final = {
        (4, True): TensorProto.INT4,
        (8, True): TensorProto.INT8,
        (8, False): TensorProto.UINT8,
        (16, True): TensorProto.INT16,
        (16, False): TensorProto.UINT16,
        (32, True): TensorProto.INT32,
    }

    def weight(self, label: str, codes: npt.NDArray[np.int64], scale: Floats, bits: int, signed: bool) -> str:
        low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
        needed, negative, _ = bits_of(low, high)
        element = self._element(needed + (not negative), signed=True)
        if element is None:
            return self.constant(label, codes.astype(np.float32) * scale)
        integers = self.packed(f"{label}/codes", codes, element)
        axes = [axis for axis in range(scale.ndim) if scale.shape[axis] > 1]
        # of a matrix with a scale a channel onnxruntime makes one that rounds what it multiplies to 8 bits
        if len(axes) > 1 or (axes and codes.ndim == 2):
            unit = self.add("DequantizeLinear", label, [integers, self.constant(label, 1.0)])
            return self.add("Mul", label, [unit, self.constant(f"{label}/scale", scale)])
        name = self.constant(f"{label}/scale", scale.reshape(-1) if axes else scale.reshape(()))
        along: dict[str, Any] = {"axis": axes[0]} if axes else {}
        return self.add("DequantizeLinear", label, [integers, name], **along)

    def grid(self, label: str, x: str, step: float, low: int, high: int) -> str:
        bits, signed, narrow = bits_of(low, high)
        if bits > 16:
            return self._rounded(label, x, step, low, high)
        if narrow or not is_whole_range(low, high) or bits not in (8, 16):
            x = self.clipped(label, x, low * step, high * step)
        # onnxruntime moves poolings and bounds between the two nodes, which it cannot for types of 4 bits
        element = self._element(max(bits, 8), signed)
        scale = self.constant(label, step)
        zero = self._zero(int(element or 0))
        codes = self.add("QuantizeLinear", label, [x, scale, zero])
        return self.add("DequantizeLinear", label, [codes, scale, zero])

    def _rounded(self, label: str, x: str, step: float, low: int, high: int) -> str:
        """More than 16 bits have no type that `QuantizeLinear` makes."""
        codes = self.add("Round", label, [self.add("Div", label, [x, self.constant(label, step)])])
        return self.scaled(label, self.clipped(label, codes, float(low), float(high)), step)

    def _zero(self, element: int) -> str:
        name = f"{TensorProto.DataType.Name(element)}_0"
        if name not in self._constants:
            self.packed(name, np.zeros((), np.int64), element)
        return name

    def _element(self, bits: int, signed: bool) -> int | None:
        """The smallest element type of so many bits; None: there is none."""
        fits = (kind for (width, sign), kind in self._TYPES.items() if sign == signed and width >= bits)
        return next(fits, None)
