"""`IntegerNetwork` -> `Program`: every exponent, shift, bound and table worked out before there is an input."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from quantization.integer import operations
from quantization.integer.activations import Bent, NotInIntegers, Rounded, encode_floats, identity
from quantization.integer.lower_steps import thresholds_of
from quantization.integer.lower_windows import places, pool_places, sum_bounds
from quantization.integer.network import IntegerLayer, IntegerNetwork
from quantization.integer.operations import Affine, Alone, Average, Largest, Product, Scale, Shift, Sloped
from quantization.integer.program import Program, ProgramTensor, Step
from quantization.integer.recurrence import BothWays, Loop, Recurrence
from quantization.integer.tensor import IntegerTensor, shift_left

#: Codes and sums of a program fit a signed integer of 64 bits.
_LARGEST: Final = (1 << 62) - 1
#: The largest finite float32: what an input may be.
_HUGE: Final = float(np.finfo(np.float32).max)


def lower(network: IntegerNetwork, input_shape: Sequence[int]) -> Program:
    """The program of a network for inputs of this shape (without the batch).

    Raises `NotInIntegers`, naming the layer, where a sum may need more than 62 bits.
    """
    ends = [
        encode_floats(network.input_quantizer, [value], network.input_name) for value in (-_HUGE, 0.0, _HUGE)
    ]
    codes = [int(end.codes[0]) for end in ends]
    source = ProgramTensor(
        network.input_name, tuple(input_shape), ends[0].exponent.reshape(()), min(codes), max(codes)
    )
    lowering = _Lowering(source)
    for layer in network.layers:
        lowering.layer(layer)
    result = lowering.uniform(lowering.tensors[network.output_name], network.output_name)
    return Program(source, tuple(lowering.steps), result.name, network.inexact_layers)


class _Lowering:
    """Collects the steps of layers. `tensors`: layer -> its output."""

    def __init__(self, source: ProgramTensor) -> None:
        self.steps: list[Step] = []
        self.tensors = {source.name: source}
        self._names = {source.name}

    def layer(self, layer: IntegerLayer) -> None:
        """Lower the operations of a layer."""
        inputs = [self.tensors[name] for name in layer.inputs]
        for operation in layer.operations:
            inputs = [self._operation(operation, inputs, layer.name)]
        self.tensors[layer.name] = inputs[0]

    # ---- single steps --------------------------------------------------------------------------------------------

    def add(
        self,
        op: str,
        layer: str,
        inputs: Sequence[ProgramTensor],
        shape: Sequence[int],
        exponent: Any,
        bounds: tuple[int, int],
        *,
        numbers: dict[str, Any] | None = None,
        arrays: dict[str, Any] | None = None,
        peak: int = 0,
    ) -> ProgramTensor:
        """Append a step; its output."""
        low, high = map(int, bounds)
        peak = max(peak, -low, high)
        if peak > _LARGEST:
            raise NotInIntegers(
                layer, f"its sums may need {peak.bit_length()} bits, a program has 62: quantize its inputs"
            )
        output = ProgramTensor(
            self._name(layer), tuple(map(int, shape)), np.asarray(exponent, np.int64), low, high
        )
        stored = {name: np.asarray(array, np.int64) for name, array in (arrays or {}).items()}
        self.steps.append(
            Step(op, layer, tuple(tensor.name for tensor in inputs), output, numbers or {}, stored, peak)
        )
        return output

    def _name(self, layer: str) -> str:
        """The layer's, and a number behind it where it has several steps."""
        count = 0
        name = layer
        while name in self._names:
            count += 1
            name = f"{layer}:{count}"
        self._names.add(name)
        return name

    def at(self, x: ProgramTensor, exponent: Any, layer: str) -> ProgramTensor:
        """The same values with smaller exponents."""
        left = x.exponent - np.asarray(exponent, np.int64)
        if not left.any():
            return x
        most = 1 << int(left.max())
        bounds = min(x.low * most, x.low), max(x.high * most, x.high)
        return self.add("shift", layer, [x], x.shape, exponent, bounds, arrays={"left": left})

    def uniform(self, x: ProgramTensor, layer: str) -> ProgramTensor:
        """The same values with one exponent for all channels."""
        if not x.exponent.ndim:
            return x
        return self.at(x, np.full((), x.exponent.min()), layer)

    # ---- operations of layers ------------------------------------------------------------------------------------

    def _operation(self, operation: Any, inputs: list[ProgramTensor], layer: str) -> ProgramTensor:
        if isinstance(operation, functools.partial):
            return self._moved(operation.func, operation.keywords, inputs, layer)
        if isinstance(operation, Alone):
            return self._function(operation.function, inputs[0], layer)
        rule = _RULES.get(type(operation)) or _MERGES.get(operation)
        if rule is None:
            raise NotInIntegers(layer, "has no step in an integer program")
        lowered: ProgramTensor = rule(self, operation, inputs, layer)
        return lowered

    def _function(self, function: Any, x: ProgramTensor, layer: str) -> ProgramTensor:
        if function is identity:
            return x
        if isinstance(function, Bent):
            return self._bent(function, x, layer)
        if isinstance(function, Rounded):
            return self._rounded(function, x, layer)
        thresholds, levels, exponent = thresholds_of(function, x, layer)
        bounds = int(levels.min()), int(levels.max())
        arrays = {"thresholds": thresholds, "levels": levels}
        return self.add("steps", layer, [x], x.shape, exponent, bounds, arrays=arrays)

    def _rounded(self, function: Rounded, x: ProgramTensor, layer: str) -> ProgramTensor:
        distance = x.exponent - function.exponent
        left, right = np.clip(distance, 0, None), np.clip(-distance, 0, 62)
        scale, exponent = 1, np.asarray(function.exponent)
        if function.scale is not None:
            scale, exponent = int(function.scale.codes), exponent + function.scale.exponent
        is_there = not distance.any() and function.low <= x.low and x.high <= function.high
        if is_there and scale == 1 and np.array_equal(exponent, x.exponent):
            return x  # on this grid already, as the input behind its quantizer
        most = 1 << int(left.max())
        low, high = sorted((function.low * scale, function.high * scale))
        return self.add(
            "round",
            layer,
            [x],
            x.shape,
            exponent,
            (low, high),
            numbers={"low": function.low, "high": function.high, "scale": scale},
            arrays={"left": left, "right": right},
            peak=max(-x.low, x.high) * most,
        )

    def _bent(self, function: Bent, x: ProgramTensor, layer: str) -> ProgramTensor:
        x = self.uniform(x, layer)
        x = self.at(x, np.minimum(x.exponent, function.finest), layer)
        border = int(function.border.at(x.exponent).codes)
        arrays: dict[str, Any] = {"border": border}
        high = max(x.high, 0)
        if function.most is not None:
            arrays["top"] = function.most.at(x.exponent).codes
            high = min(high, int(arrays["top"]))
        slope, exponent, up, down = 0, x.exponent, 0, 0
        if function.slope:
            slope = int(function.steepness.codes)
            below = x.exponent + function.steepness.exponent
            exponent = np.minimum(x.exponent, below)
            up, down = int(x.exponent - exponent), int(below - exponent)
        deep = (max(border - x.low, 0) * slope) << down
        bounds = min(0, deep), max(high << up, deep, 0)
        numbers = {"slope": slope, "shift_above": up, "shift_below": down}
        return self.add("bent", layer, [x], x.shape, exponent, bounds, numbers=numbers, arrays=arrays)

    def _moved(
        self, function: Any, keywords: dict[str, Any], inputs: list[ProgramTensor], layer: str
    ) -> ProgramTensor:
        """Codes moved, none computed."""
        if function is operations.concatenated:
            return self._concatenated(keywords["axis"], inputs, layer)
        x = inputs[0]
        op, numbers = _MOVES[function](keywords)
        if function in (operations.reshaped, operations.permuted):
            x = self.uniform(x, layer)
        sample = function(
            [IntegerTensor(np.zeros((1, *x.shape), np.int64), np.zeros((), np.int64))], **keywords
        )
        shape = sample.codes.shape[1:]
        if op == "reshape":
            numbers = {"shape": list(shape)}
        bounds = (min(x.low, 0), max(x.high, 0)) if op == "pad" else (x.low, x.high)
        return self.add(op, layer, [x], shape, x.exponent, bounds, numbers=numbers)

    def _concatenated(self, axis: int, inputs: list[ProgramTensor], layer: str) -> ProgramTensor:
        exponent = min(int(x.exponent.min()) for x in inputs)
        on_grid = [self.at(x, exponent, layer) for x in inputs]
        place = axis % (len(inputs[0].shape) + 1)
        shape = list(inputs[0].shape)
        shape[place - 1] = sum(x.shape[place - 1] for x in inputs)
        bounds = min(x.low for x in on_grid), max(x.high for x in on_grid)
        return self.add("concatenate", layer, on_grid, shape, exponent, bounds, numbers={"axis": place})


def _product(self: _Lowering, operation: Product, inputs: list[ProgramTensor], layer: str) -> ProgramTensor:
    x = self.uniform(inputs[0], layer)
    windows = getattr(operation.patches, "__self__", None)
    shape, numbers = places(windows, x)
    kernel = operation.weights
    filters = int(np.prod(kernel.shape[1:]))
    exponent = np.broadcast_to(x.exponent + operation.exponent, (filters,))
    bias, shift = np.zeros(filters, np.int64), np.zeros(filters, np.int64)
    if operation.bias is not None:
        finest = np.minimum(exponent, operation.bias.exponent)
        bias = np.broadcast_to(operation.bias.at(finest).codes, (filters,))
        shift, exponent = exponent - finest, finest
    flat = kernel.reshape(kernel.shape[0], filters) if operation.depthwise else kernel
    low, high, peak = sum_bounds(flat, (x.low, x.high), shift, bias, padded=windows is not None)
    if np.all(exponent == exponent[0]):
        exponent = exponent[0]
    return self.add(
        "depthwise" if operation.depthwise else "product",
        layer,
        [x],
        (*shape, filters),
        exponent,
        (low, high),
        numbers=numbers,
        arrays={"kernel": kernel, "shift": shift, "bias": bias},
        peak=peak,
    )


def _average(self: _Lowering, operation: Average, inputs: list[ProgramTensor], layer: str) -> ProgramTensor:
    x = inputs[0]
    shape, numbers, count = pool_places(operation.windows, x)
    bounds = min(x.low * count, x.low), max(x.high * count, x.high)
    total = self.add("sum_pool", layer, [x], (*shape, x.shape[-1]), x.exponent, bounds, numbers=numbers)
    return _scaled(self, total, operation.factor, layer)


def _largest(self: _Lowering, operation: Largest, inputs: list[ProgramTensor], layer: str) -> ProgramTensor:
    x = inputs[0]
    shape, numbers, _ = pool_places(operation.windows, x)
    return self.add(
        "max_pool", layer, [x], (*shape, x.shape[-1]), x.exponent, (x.low, x.high), numbers=numbers
    )


def _scaled(self: _Lowering, x: ProgramTensor, factor: IntegerTensor, layer: str) -> ProgramTensor:
    """Times an integer, one or one for each channel; a power of two only moves the exponent."""
    exponent = x.exponent + factor.exponent
    if np.all(factor.codes == 1):
        return self.add("shift", layer, [x], x.shape, exponent, (x.low, x.high), arrays={"left": 0})
    return _linear(self, x, factor.codes, np.int64(0), np.int64(0), exponent, layer)


def _linear(
    self: _Lowering, x: ProgramTensor, factor: Any, shift: Any, offset: Any, exponent: Any, layer: str
) -> ProgramTensor:
    factors, shifts, offsets = np.broadcast_arrays(
        np.atleast_1d(factor), np.atleast_1d(shift), np.atleast_1d(offset)
    )
    ends = [
        (x_end * times << left) + more
        for times, left, more in zip(factors.tolist(), shifts.tolist(), offsets.tolist(), strict=True)
        for x_end in (x.low, x.high)
    ]
    arrays = {"factor": factor, "shift": shift, "offset": offset}
    peak = max(abs(end) for end in ends) + max(map(abs, offsets.tolist()))
    return self.add("affine", layer, [x], x.shape, exponent, (min(ends), max(ends)), arrays=arrays, peak=peak)


def _affine(self: _Lowering, operation: Affine, inputs: list[ProgramTensor], layer: str) -> ProgramTensor:
    x, factor = inputs[0], operation.factor
    exponent = x.exponent + factor.exponent
    offsets = np.rint(np.ldexp(np.asarray(operation.offset, np.float64), -exponent))
    if np.abs(offsets).max() > _LARGEST:
        raise NotInIntegers(layer, "its offsets are too large for the grid of its products")
    return _linear(self, x, factor.codes, np.int64(0), offsets.astype(np.int64), exponent, layer)


def _scale(self: _Lowering, operation: Scale, inputs: list[ProgramTensor], layer: str) -> ProgramTensor:
    return _scaled(self, inputs[0], operation.factor, layer)


def _offset(self: _Lowering, operation: Shift, inputs: list[ProgramTensor], layer: str) -> ProgramTensor:
    x, offset = inputs[0], operation.offset
    exponent = np.minimum(x.exponent, offset.exponent)
    moved = shift_left(offset.codes, offset.exponent - exponent)
    return _linear(self, x, np.int64(1), x.exponent - exponent, moved, exponent, layer)


def _sloped(self: _Lowering, operation: Sloped, inputs: list[ProgramTensor], layer: str) -> ProgramTensor:
    """A ReLU, what it cuts off, that times the slopes, and their sum."""
    x = self.uniform(inputs[0], layer)
    above = self._bent(Bent(), x, layer)
    below = self.add("subtract", layer, [x, above], x.shape, x.exponent, (min(x.low, 0), 0))
    steep = _scaled(self, below, operation.slopes, layer)
    total: ProgramTensor = _merge("add")(self, None, [above, steep], layer)
    return total


def _loop(self: _Lowering, operation: Loop, inputs: list[ProgramTensor], layer: str) -> ProgramTensor:
    """A recurrent layer, its time steps one after the other."""
    x = inputs[0]
    return operation.run(
        lambda part, tensors: self._operation(part, list(tensors), layer),
        x,
        int(x.shape[0]),
        int(x.shape[-1]),
    )


def _on_one_grid(self: _Lowering, inputs: list[ProgramTensor], layer: str) -> list[ProgramTensor]:
    """Tensors of one rank and one exponent."""
    rank = max(len(x.shape) for x in inputs)
    whole = []
    for x in inputs:
        if len(x.shape) < rank:
            x = self.uniform(x, layer) if len(x.shape) == 0 else x
            shape = (*(1,) * (rank - len(x.shape)), *x.shape)
            x = self.add(
                "reshape", layer, [x], shape, x.exponent, (x.low, x.high), numbers={"shape": list(shape)}
            )
        whole.append(x)
    exponent = min(int(x.exponent.min()) for x in whole)
    return [self.at(x, exponent, layer) for x in whole]


def _merge(op: str) -> Any:
    def rule(self: _Lowering, _: Any, inputs: list[ProgramTensor], layer: str) -> ProgramTensor:
        xs = _on_one_grid(self, inputs, layer)
        shape = np.broadcast_shapes(*(x.shape for x in xs))
        lows, highs = [x.low for x in xs], [x.high for x in xs]
        bounds = {
            "add": (sum(lows), sum(highs)),
            "subtract": (lows[0] - highs[-1], highs[0] - lows[-1]),
            "maximum": (max(lows), max(highs)),
            "minimum": (min(lows), min(highs)),
        }[op]
        peak = sum(max(-x.low, x.high) for x in xs)
        return self.add(op, layer, xs, shape, xs[0].exponent, bounds, peak=peak)

    return rule


def _multiply(self: _Lowering, _: Any, inputs: list[ProgramTensor], layer: str) -> ProgramTensor:
    product = inputs[0]
    for other in inputs[1:]:
        xs = [product, other]
        rank = max(len(x.shape) for x in xs)
        xs = [
            x if len(x.shape) == rank else _on_one_grid(self, [x, xs[1 - i]], layer)[0]
            for i, x in enumerate(xs)
        ]
        ends = [one * two for one in (xs[0].low, xs[0].high) for two in (xs[1].low, xs[1].high)]
        shape = np.broadcast_shapes(*(x.shape for x in xs))
        exponent = xs[0].exponent + xs[1].exponent
        product = self.add("multiply", layer, xs, shape, exponent, (min(ends), max(ends)))
    return product


_RULES: Final[dict[Any, Any]] = {
    Product: _product,
    Average: _average,
    Largest: _largest,
    Affine: _affine,
    Scale: _scale,
    Shift: _offset,
    Sloped: _sloped,
    Recurrence: _loop,
    BothWays: _loop,
}
_MERGES: Final[dict[Any, Any]] = {
    operations.unchanged: lambda self, _, inputs, layer: inputs[0],
    operations.added: _merge("add"),
    operations.subtracted: _merge("subtract"),
    operations.maximum: _merge("maximum"),
    operations.minimum: _merge("minimum"),
    operations.multiplied: _multiply,
}
_MOVES: Final[dict[Any, Any]] = {
    operations.reshaped: lambda keywords: ("reshape", {}),
    operations.padded: lambda keywords: ("pad", {"pads": [list(pad) for pad in keywords["pads"]]}),
    operations.permuted: lambda keywords: ("transpose", {"dims": list(keywords["dims"])}),
    operations.repeated: lambda keywords: ("repeat", {"times": list(keywords["times"])}),
    operations.tiled: lambda keywords: ("tile", {"times": keywords["times"]}),
    operations.cropped: lambda keywords: ("crop", {"cuts": [list(cut) for cut in keywords["cuts"]]}),
}
