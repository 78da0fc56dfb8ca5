"""The rule that prices each family of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from costmodel.channel_widths import check_channel_widths
from costmodel.elementwise import activation, merge, pool_average, pool_max, shape_only
from costmodel.errors import InvalidTypes
from costmodel.kernels import dot, embedding, multiply_accumulate, separable
from costmodel.lowering import Family
from costmodel.normalization import batch_norm, layer_norm
from costmodel.rescaling import rescale
from costmodel.sequences import attention, recurrent
from costmodel.typed_layer import LayerWork, TypedLayer

FAMILIES: Final[Mapping[Family, Callable[[TypedLayer], LayerWork]]] = {
    Family.MAC: multiply_accumulate,
    Family.SEPARABLE: separable,
    Family.POOL_MAX: pool_max,
    Family.POOL_AVERAGE: pool_average,
    Family.BATCH_NORM: batch_norm,
    Family.LAYER_NORM: layer_norm,
    Family.RECURRENT: recurrent,
    Family.ATTENTION: attention,
    Family.EMBEDDING: embedding,
    Family.ACTIVATION: activation,
    Family.SHAPE: shape_only,
    Family.MERGE: merge,
    Family.DOT: dot,
    Family.RESCALE: rescale,
}


def typed_work(typed: TypedLayer) -> LayerWork:
    """The typed work of one layer. Raises `InvalidTypes` if its types cannot be combined."""
    check_channel_widths(typed.layer, typed.slots)
    try:
        return FAMILIES[typed.lowering.family](typed)
    except (ValueError, OverflowError) as error:
        if isinstance(error, InvalidTypes):
            raise
        raise InvalidTypes(typed.layer.name, str(error)) from error
