"""An ONNX graph while it is written: nodes, constants, and the order of axes of every tensor.

Keras puts channels last, ONNX convolutions read them first. A `Tensor` knows how it lies, and is transposed only where
a node needs it the other way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Floats = npt.NDArray[np.float32]
Shape = tuple[int | None, ...]

#: Name of the first axis of inputs and outputs.
BATCH: Final = "batch"
#: Operators whose outputs are numbers of their first input, or 0.
_SAME_NUMBERS: Final = frozenset({"GlobalMaxPool", "MaxPool", "Relu", "Reshape", "Transpose"})


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph. `shape` is Keras': batch first, channels last, whatever the order in the graph."""

    name: str
    shape: Shape
    channels_first: bool = False

    @property
    def rank(self) -> int:
        """Axes, the batch counted."""
        return len(self.shape)

    @property
    def channel_axis(self) -> int:
        """Where the channels are in the graph."""
        return 1 if self.channels_first else self.rank - 1

    def axis(self, axis: int) -> int:
        """Where an axis of Keras' is in the graph."""
        place = axis % self.rank
        if not self.channels_first or place == 0:
            return place
        return 1 if place == self.rank - 1 else place + 1


@dataclass(frozen=True)
class Codes:
    """What is known of a tensor's numbers: whole multiples of `step`, from `low` to `high` times."""

    step: float
    low: int
    high: int


class OnnxGraph:
    """Nodes and constants in order; subclasses say how numbers of few bits are written."""

    #: Version of the standard operators.
    OPSET: int = 21
    #: Domain of further operators -> version.
    DOMAINS: dict[str, int] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._names: set[str] = set()
        self._transposed: dict[tuple[str, bool], Tensor] = {}
        self._codes: dict[str, Codes] = {}

    # ---- what is known of tensors -----------------------------------------------------------------------------------

    def codes(self, name: str) -> Codes | None:
        """What is known of a tensor's numbers; None: nothing."""
        return self._codes.get(name)

    def note(self, name: str, codes: Codes | None) -> str:
        """Remember what a tensor's numbers are; returns its name."""
        if codes is not None:
            self._codes[name] = codes
        return name

    # ---- how numbers of few bits are written ------------------------------------------------------------------------

    def weight(self, label: str, codes: npt.NDArray[np.int64], scale: Floats, bits: int, signed: bool) -> str:
        """A constant of `codes * scale`; the scale broadcasts. `bits`: at least so many are declared."""
        raise NotImplementedError

    def grid(self, label: str, x: str, step: float, low: int, high: int) -> str:
        """step * clip(round(x / step), low, high), rounding half to even."""
        raise NotImplementedError

    def sign(self, label: str, x: str, scale: float) -> str:
        """-scale below zero, +scale from zero on."""
        return self.chosen(label, x, -scale, scale)

    # ---- parts ------------------------------------------------------------------------------------------------------

    def name(self, label: str) -> str:
        """A name that is not taken yet."""
        number, name = 1, label
        while name in self._names:
            number += 1
            name = f"{label}_{number}"
        self._names.add(name)
        return name

    def add(
        self, op_type: str, label: str, inputs: Sequence[str], domain: str = "", **attributes: Any
    ) -> str:
        """A node with one output, whose name is returned."""
        output = self.name(f"{label}/{op_type}")
        self._nodes.append(
            helper.make_node(op_type, list(inputs), [output], name=output, domain=domain, **attributes)
        )
        known = self.codes(inputs[0]) if op_type in _SAME_NUMBERS else None
        if known is not None and op_type == "Relu":
            known = replace(known, low=max(known.low, 0), high=max(known.high, 0))
        return self.note(output, known)

    def constant(self, label: str, value: Any, dtype: Any = np.float32) -> str:
        """A constant tensor; equal scalars are shared."""
        array = np.asarray(value, dtype)
        if array.ndim == 0:
            label = f"{array.dtype.name}_{array.item()!r}"
            if label in self._constants:
                return label
        name = self.name(label)
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def packed(self, label: str, value: npt.NDArray[Any], element: int) -> str:
        """A constant of one of ONNX' element types that numpy lacks, such as INT4."""
        name = self.name(label)
        self._constants[name] = helper.make_tensor(name, element, value.shape, value.ravel().tolist())
        return name

    def chosen(self, label: str, x: str, below: float, above: float, border: float = 0.0) -> str:
        """`above` from the border on, else `below`."""
        reached = self.add("GreaterOrEqual", label, [x, self.constant(label, border)])
        return self.add("Where", label, [reached, self.constant(label, above), self.constant(label, below)])

    def scaled(self, label: str, x: str, factor: float) -> str:
        """x times a number."""
        return x if factor == 1.0 else self.add("Mul", label, [x, self.constant(label, factor)])

    def clipped(self, label: str, x: str, low: float | None, high: float | None) -> str:
        """x within bounds."""
        bounds = ["" if bound is None else self.constant(label, bound) for bound in (low, high)]
        return self.add("Clip", label, [x, *bounds])

    def stepped(self, label: str, x: str, thresholds: Floats, levels: Floats) -> str:
        """The level of every number: `levels[i]` from `thresholds[i - 1]` on."""
        axis = self.constant(label, [-1], np.int64)
        wide = self.add("Unsqueeze", label, [x, axis])
        reached = self.add("GreaterOrEqual", label, [wide, self.constant(f"{label}/thresholds", thresholds)])
        whole = self.add("Cast", label, [reached], to=TensorProto.INT64)
        index = self.add("ReduceSum", label, [whole, axis], keepdims=0)
        return self.add("Gather", label, [self.constant(f"{label}/levels", levels), index])

    # ---- order of axes ----------------------------------------------------------------------------------------------

    def laid(self, tensor: Tensor, channels_first: bool) -> Tensor:
        """The tensor with its channels first or last."""
        if tensor.channels_first == channels_first or tensor.rank < 3:
            return tensor
        key = (tensor.name, channels_first)
        if key not in self._transposed:
            rank = tensor.rank
            order = [0, rank - 1, *range(1, rank - 1)] if channels_first else [0, *range(2, rank), 1]
            name = self.add("Transpose", tensor.name, [tensor.name], perm=order)
            self._transposed[key] = replace(tensor, name=name, channels_first=channels_first)
        return self._transposed[key]

    def alike(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Tensors in one order of axes: channels first only where all of them lie so."""
        first = all(tensor.channels_first for tensor in tensors)
        return [self.laid(tensor, first) for tensor in tensors]

    # ---- the whole --------------------------------------------------------------------------------------------------

    def model(
        self, name: str, inputs: Sequence[Tensor], outputs: Sequence[tuple[str, Tensor]], batch: int | None
    ) -> onnx.ModelProto:
        """The graph as a model. `outputs`: name -> tensor. `batch`: examples at a time, None for any number."""
        first: int | str = BATCH if batch is None else batch
        results = []
        for label, tensor in outputs:
            output = self.laid(tensor, channels_first=False)
            self._nodes.append(helper.make_node("Identity", [output.name], [label], name=f"{label}/Identity"))
            results.append(_information(label, output.shape, first))
        graph = helper.make_graph(
            self._nodes,
            name,
            [_information(tensor.name, tensor.shape, first) for tensor in inputs],
            results,
            list(self._constants.values()),
        )
        domains = [helper.make_opsetid("", self.OPSET)]
        domains += [helper.make_opsetid(domain, version) for domain, version in self.DOMAINS.items()]
        model = helper.make_model(graph, opset_imports=domains, producer_name="fewbits")
        model.ir_version = helper.find_min_ir_version_for(domains[:1], ignore_unknown=True)
        onnx.checker.check_model(model)
        return model


def _information(name: str, shape: Shape, batch: int | str) -> onnx.ValueInfoProto:
    sizes = [batch, *(f"{name}_{axis}" if size is None else size for axis, size in enumerate(shape[1:], 1))]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)


def bits_of(low: int, high: int) -> tuple[int, bool, bool]:
    """Bits, sign and whether the lowest code is left out, of the smallest two's complement that holds a range."""
    if low >= 0:
        return max(high.bit_length(), 1), False, False
    bits = max(high.bit_length(), (-low - 1).bit_length()) + 1
    return bits, True, low == 1 - 2 ** (bits - 1)


def is_whole_range(low: int, high: int) -> bool:
    """Whether a range is all that its bits can tell apart, or that without the lowest code."""
    bits, signed, narrow = bits_of(low, high)
    if not signed:
        return low == 0 and high == 2**bits - 1
    half = 1 << bits - 1
    return high == half - 1 and low == int(narrow) - half
