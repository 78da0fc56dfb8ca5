"""Which parts of a layer's energy count towards the network's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from costmodel.elementwise import in_layer
from costmodel.layer import Layer
from costmodel.lowering import Family, Lowering

#: Parts that count, for the classes QTools does not count in its default way.
_QTOOLS_INCLUDED: Final[Mapping[str, tuple[str, ...]]] = {
    "Activation": ("outputs",),
    "BatchNormalization": ("parameters",),
    "Add": ("operations",),
    "Subtract": ("operations",),
    "MaxPooling2D": ("operations",),
}
_DEFAULT_INCLUDED: Final = ("inputs", "parameters", "operations")


def included_parts(layer: Layer, lowering: Lowering, qtools: bool, folds: bool) -> tuple[str, ...]:
    """The parts of a layer's energy that count towards the network's.

    The output of a layer is read once, by the layer after it, so only the reading counts; an activation's output is
    written. The inputs of sums of tensors and of maximum pooling are read on the way. A batch normalization that folds
    into the layer before it leaves only its parameters; any other is computed.
    """
    name, family = layer.class_name, lowering.family
    if qtools:
        name = "Activation" if family is Family.ACTIVATION else name
        return _QTOOLS_INCLUDED.get(name, _DEFAULT_INCLUDED)
    if family is Family.ACTIVATION:
        return ("parameters", "outputs", "operations")
    if family is Family.BATCH_NORM:
        return ("parameters",) if folds else ("parameters", "operations")
    if name in ("Add", "Subtract") or name.startswith("MaxPooling"):
        return ("operations",)
    if family in (Family.MAC, Family.SEPARABLE) and in_layer(layer):
        return (*_DEFAULT_INCLUDED, "outputs")
    return _DEFAULT_INCLUDED
