"""A LiteRT model while it is written: tensors with their scales, operators, and the flatbuffer of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import flatbuffers
import numpy as np
import numpy.typing as npt
from tensorflow.lite.python import schema_py_generated as schema

#: Versions of operators with 8-bit numbers; those left out are 1.
_VERSIONS: Final = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    **dict.fromkeys(
        (
            "ADD",
            "SUB",
            "MUL",
            "MAX_POOL_2D",
            "AVERAGE_POOL_2D",
            "MEAN",
            "REDUCE_MAX",
            "MINIMUM",
            "MAXIMUM",
            "PAD",
        ),
        2,
    ),
    "CONCATENATION": 2,
    "QUANTIZE": 2,
}
LOWEST: Final = -128
HIGHEST: Final = 127


@dataclass(frozen=True)
class Grid:
    """8-bit codes: value = scale * (code - zero). `low`, `high`: the codes that may occur.

    `implied`: whether no others can, so that nothing needs to bound them.
    """

    scale: float
    zero: int
    low: int = LOWEST
    high: int = HIGHEST
    implied: bool = False


@dataclass(frozen=True)
class Value:
    """A tensor of 8-bit numbers. `shape`: the batch of one included."""

    index: int
    shape: tuple[int, ...]
    grid: Grid


class LiteModel:
    """Tensors and operators in order."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._buffers: list[Any] = [schema.BufferT()]
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[str, int] = {}

    def value(self, label: str, shape: Sequence[int], grid: Grid) -> Value:
        """A tensor that an operator makes, or an input."""
        index = self._tensor(label, shape, schema.TensorType.INT8, None, [grid.scale], [grid.zero], 0)
        return Value(index, tuple(shape), grid)

    def weights(
        self, label: str, codes: npt.NDArray[np.int64], scales: npt.NDArray[Any], axis: int, narrow: bool
    ) -> int:
        """Codes of 8 bits, or of 4 with `narrow`, with one scale or one for each element of an axis."""
        kind = schema.TensorType.INT4 if narrow else schema.TensorType.INT8
        data = _packed(codes) if narrow else codes.astype(np.int8).ravel().view(np.uint8)
        zeros = [0] * len(scales)
        return self._tensor(label, codes.shape, kind, data, scales, zeros, axis)

    def bias(self, label: str, codes: npt.NDArray[np.int64], scales: npt.NDArray[Any]) -> int:
        """32-bit codes, whose scales are those of input times weights."""
        data = codes.astype(np.int32).view(np.uint8)
        return self._tensor(label, codes.shape, schema.TensorType.INT32, data, scales, [0] * len(scales), 0)

    def integers(self, label: str, values: Any) -> int:
        """32-bit integers without a scale: shapes, axes."""
        array = np.asarray(values, np.int32)
        data = np.ascontiguousarray(array).view(np.uint8).ravel()
        return self._tensor(label, array.shape, schema.TensorType.INT32, data, None, None, 0)

    def constant(self, label: str, code: int, grid: Grid) -> int:
        """One 8-bit number."""
        data = np.array([code], np.int8).view(np.uint8)
        return self._tensor(label, (1,), schema.TensorType.INT8, data, [grid.scale], [grid.zero], 0)

    def add(self, name: str, inputs: Sequence[int], output: int, kind: str = "", **options: Any) -> None:
        """An operator; `kind`: the name of its options' table, such as "Conv2D"."""
        operator = schema.OperatorT()
        if name not in self._codes:
            self._codes[name] = len(self._codes)
        operator.opcodeIndex = self._codes[name]
        operator.inputs = np.asarray(inputs, np.int32)
        operator.outputs = np.asarray([output], np.int32)
        if kind:
            table = getattr(schema, f"{kind}OptionsT")()
            for key, value in options.items():
                setattr(table, key, value)
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind}Options")
            operator.builtinOptions = table
        self._operators.append(operator)

    def clamped(self, label: str, value: Value, grid: Grid) -> Value:
        """A value whose saturation at 8 bits is that of the grid."""
        for name, border, needed in (
            ("MINIMUM", grid.high, grid.high < HIGHEST),
            ("MAXIMUM", grid.low, grid.low > LOWEST),
        ):
            if needed and not grid.implied:
                result = self.value(f"{label}/{name.lower()}", value.shape, grid)
                bound = self.constant(f"{label}/{name.lower()}/bound", border, grid)
                self.add(name, [value.index, bound], result.index, "MaximumMinimum")
                value = result
        return replace(value, grid=grid)

    def bytes(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> bytes:
        """The flatbuffer."""
        graph = schema.SubGraphT()
        graph.name = self._name
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs = np.asarray([value.index for value in inputs], np.int32)
        graph.outputs = np.asarray([value.index for value in outputs], np.int32)
        model = schema.ModelT()
        model.version, model.description = 3, "written by fewbits"
        model.operatorCodes = [_code(name) for name in self._codes]
        model.subgraphs, model.buffers = [graph], self._buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def _tensor(
        self, label: str, shape: Sequence[int], kind: int, data: Any, scales: Any, zeros: Any, axis: int
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.type = label, kind
        tensor.shape = np.asarray(shape, np.int32)
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.asarray(data, np.uint8)
            tensor.buffer = len(self._buffers)
            self._buffers.append(buffer)
        if scales is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale = np.asarray(scales, np.float32)
            quantization.zeroPoint = np.asarray(zeros, np.int64)
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        self._tensors.append(tensor)
        return len(self._tensors) - 1


def _code(name: str) -> Any:
    code = schema.OperatorCodeT()
    number = getattr(schema.BuiltinOperator, name)
    code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
    code.version = _VERSIONS.get(name, 1)
    return code


def _packed(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Two codes of 4 bits a byte, the first one in the lower half."""
    flat = codes.ravel().astype(np.int8).view(np.uint8) & 0x0F
    padded = np.pad(flat, (0, len(flat) % 2))
    return np.asarray(padded[0::2] | (padded[1::2] << 4), np.uint8)
