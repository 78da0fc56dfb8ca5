"""A spiking network of the Xylo family as a value: float arrays before quantization, integers after. numpy only.

Inputs reach the first `Nien` hidden neurons, the last `Noen` of them reach the readout (Rockpool's input and output
expansion neurons). Sizes: Nin inputs, Nhid hidden neurons, Nout readouts, S synapses (1 or 2).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

#: Arrays with one entry for each hidden neuron, and for each readout.
HIDDEN: Final = ("threshold", "dash_mem", "dash_syn", "dash_syn_2", "bias")
READOUT: Final = ("threshold_out", "dash_mem_out", "dash_syn_out", "bias_out")
#: Arrays that are shifts: rounded, but not scaled.
DASHES: Final = ("dash_mem", "dash_mem_out", "dash_syn", "dash_syn_2", "dash_syn_out")


class SpecificationError(ValueError):
    """An array of a spiking network is missing, has the wrong rank or a shape that does not fit the others."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")


@dataclass(frozen=True, eq=False)
class _Network:
    """Arrays of a network; copied, read-only and checked against each other on construction.

    Shapes: weights_in (Nin, Nien[, S]), weights_rec (Nhid, Nhid[, S]), weights_out (Noen, Nout) with
    Nien, Noen <= Nhid; thresholds, dashes and biases one per neuron of their population. Raises `SpecificationError`.
    """

    weights_in: Array
    weights_rec: Array
    weights_out: Array
    threshold: Array
    threshold_out: Array
    dash_mem: Array
    dash_mem_out: Array
    dash_syn: Array
    dash_syn_out: Array
    dash_syn_2: Array | None = None
    bias: Array | None = None
    bias_out: Array | None = None

    dtype: ClassVar[type[np.generic]]

    def __post_init__(self) -> None:
        for name, value in self.arrays().items():
            object.__setattr__(self, name, _frozen(name, value, self.dtype))
        _check_weights(self.weights_in, self.weights_rec, self.weights_out)
        hidden, readouts = self.weights_rec.shape[1], self.weights_out.shape[1]
        for names, size in ((HIDDEN, hidden), (READOUT, readouts)):
            for name in names:
                value = getattr(self, name)
                if value is not None and value.shape != (size,):
                    raise SpecificationError(
                        name, f"needs shape ({size},), one per neuron, has {value.shape}"
                    )
        if self.synapses == 2 and self.dash_syn_2 is None:
            raise SpecificationError("dash_syn_2", "is needed with two synapses")

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.ArrayLike]) -> Self:
        """The network these named arrays describe; unknown and missing names are errors."""
        names = [field.name for field in dataclasses.fields(cls)]
        for name in arrays:
            if name not in names:
                raise SpecificationError(str(name), f"is unknown; a network has {', '.join(names)}")
        for field in dataclasses.fields(cls):
            if field.default is dataclasses.MISSING and field.name not in arrays:
                raise SpecificationError(field.name, "is missing")
        return cls(**{name: np.asarray(value) for name, value in arrays.items()})

    def arrays(self) -> dict[str, Array]:
        """Every array there is, by name."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def synapses(self) -> int:
        """Synapses of a hidden neuron, 1 or 2."""
        return self.weights_rec.shape[2] if self.weights_rec.ndim == 3 else 1


@dataclass(frozen=True, eq=False)
class XyloSpecification(_Network):
    """A trained spiking network in floats, as Rockpool's mapper hands it over."""

    dtype = np.float64


@dataclass(frozen=True, eq=False)
class XyloParameters(_Network):
    """The same network in integers; weights of inputs and recurrence are (rows, columns, synapses)."""

    dtype = np.int64

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("weights_in", "weights_rec"):
            object.__setattr__(self, name, with_synapses(getattr(self, name)))


def with_synapses(weights: Array) -> Array:
    """Weights with an axis for the synapses, also where there is only one."""
    return weights if weights.ndim == 3 else weights[..., np.newaxis]


def _frozen(name: str, value: npt.ArrayLike, dtype: type[np.generic]) -> Array:
    """A read-only copy of the array in this type."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise SpecificationError(name, "must hold finite numbers")
    copy = np.array(array, dtype=dtype)
    if dtype is np.int64 and not np.array_equal(copy, array):
        raise SpecificationError(name, "must hold whole numbers")
    copy.flags.writeable = False
    return copy


def _check_weights(weights_in: Array, weights_rec: Array, weights_out: Array) -> None:
    for name, weights in (("weights_in", weights_in), ("weights_rec", weights_rec)):
        if weights.ndim not in (2, 3):
            raise SpecificationError(name, f"must have 2 or 3 axes, has {weights.ndim}")
        if weights.ndim == 3 and weights.shape[2] not in (1, 2):
            raise SpecificationError(name, f"has {weights.shape[2]} synapses; Xylo has 1 or 2")
    if weights_out.ndim != 2:
        raise SpecificationError("weights_out", f"must have 2 axes, has {weights_out.ndim}")
    if 0 in (*weights_in.shape, *weights_rec.shape, *weights_out.shape):
        raise SpecificationError("weights", "an array of weights is empty")
    hidden = weights_rec.shape[0]
    if weights_rec.shape[1] != hidden:
        raise SpecificationError("weights_rec", f"must be square, has shape {weights_rec.shape}")
    if with_synapses(weights_in).shape[2] != with_synapses(weights_rec).shape[2]:
        raise SpecificationError("weights_in", "has another number of synapses than weights_rec")
    if weights_in.shape[1] > hidden:
        raise SpecificationError("weights_in", f"feeds {weights_in.shape[1]} neurons, there are {hidden}")
    if weights_out.shape[0] > hidden:
        raise SpecificationError("weights_out", f"reads {weights_out.shape[0]} neurons, there are {hidden}")
