"""Which tensors of a layer a type can be given for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from costmodel.lowering import Family, plan
from costmodel.network import INPUT, TRAINING_ONLY, Layer

#: Beside its parameters and its output; what names a tensor attention or a loop works on inside.
_INSIDE: Final[Mapping[Family, tuple[str, ...]]] = {
    Family.POOL_AVERAGE: ("average",),
    Family.RECURRENT: ("state",),
    Family.ATTENTION: ("kernel", "bias", "query", "key", "value", "scores", "context"),
    Family.EMBEDDING: ("kernel",),
}
#: Quantized while training, without a price of their own: functions inside a loop, and 1/deviation, known in advance.
_UNPRICED: Final[Mapping[Family, tuple[str, ...]]] = {
    Family.RECURRENT: ("recurrent_activation",),
    Family.BATCH_NORM: ("inverse",),
}


def slots_of(layer: Layer) -> tuple[str, ...]:
    """Names of the tensors whose type the price of the layer takes; none where it costs nothing at inference."""
    if layer.class_name == INPUT or layer.class_name in TRAINING_ONLY:
        return ()
    work = plan(layer)
    parameters = (parameter.slot for parameter in work.parameters)
    return (*parameters, *_INSIDE.get(work.family, ()), *_UNPRICED.get(work.family, ()), "activation")
