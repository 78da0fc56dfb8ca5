"""What quantization does to each tensor of a model: histogram of its values, levels of its quantizer, noise."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import keras
import numpy as np
from keras import ops

from quantization.models.calibration import sqnr_db
from quantization.models.convert import quantized_layers
from quantization.quantizers.base import BaseQuantizer

#: Bins of a histogram, and levels that are listed one by one.
BINS: Final = 64
MOST_LEVELS: Final = 256
#: Most values of an activation that are counted; of more, evenly spaced ones are.
_SAMPLE: Final = 100_000

Array = np.ndarray[Any, Any]


@dataclass
class _Recorded:
    """The values of an activation before and after its quantizer, call by call."""

    layer: str
    slot: str
    function: Callable[[Any], Any] | None
    exact: list[Array] = field(default_factory=list)
    quantized: list[Array] = field(default_factory=list)


def tensor_report(model: keras.Model, x: Any) -> list[dict[str, Any]]:
    """Each quantized weight and activation of a model, in the order of the model, as JSON values.

    `x`: a sample of the model's input, some hundred rows. `edges_low` and `edges_high` bound the histogram `counts` of
    the values before quantization (`BINS` equal bins). `levels`: the values that occur after it, None if there are more
    than `MOST_LEVELS`. `sqnr_db`: see `sqnr_db`; None without any noise. `clipped`: share of the values beyond the
    smallest and the largest level by more than half a step.
    """
    tensors: list[dict[str, Any]] = []
    weights = {layer.name: layer.quantized_weights() for layer in quantized_layers(model)}
    with _recording(model, weights) as activations:
        model(x, training=False)
    for layer in quantized_layers(model):
        for slot, (codes, scale) in weights[layer.name].items():
            exact = np.asarray(ops.convert_to_numpy(layer.weight_of(slot)))
            quantizer = layer.quantizer(slot)
            tensors.append(_tensor(layer.name, slot, "weights", quantizer, exact, codes * scale))
        for record in activations.values():
            if record.layer == layer.name and record.exact:
                exact, quantized = (np.concatenate(parts) for parts in (record.exact, record.quantized))
                quantizer = layer.quantizer(record.slot)
                tensors.append(_tensor(layer.name, record.slot, "activations", quantizer, exact, quantized))
    return tensors


def _tensor(
    layer: str, slot: str, kind: str, quantizer: BaseQuantizer[Any], exact: Array, quantized: Array
) -> dict[str, Any]:
    exact, quantized = exact.ravel().astype(np.float64), quantized.ravel().astype(np.float64)
    low, high = float(exact.min()), float(exact.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(exact, BINS, (low, high))
    levels = np.unique(quantized)
    noise = sqnr_db(exact, quantized)
    step = float(np.diff(levels).min()) if len(levels) > 1 else 0.0
    beyond = (exact < levels[0] - step / 2) | (exact > levels[-1] + step / 2)
    return {
        "layer": layer,
        "slot": slot,
        "kind": kind,
        "quantizer": str(quantizer.spec),
        "bits": quantizer.bits,
        "size": int(exact.size),
        "edges_low": low,
        "edges_high": high,
        "counts": counts.tolist(),
        "levels": levels.tolist() if len(levels) <= MOST_LEVELS else None,
        "sqnr_db": noise if np.isfinite(noise) else None,
        "clipped": float(beyond.mean()),
        "zeros": float((quantized == 0.0).mean()),
    }


@contextlib.contextmanager
def _recording(
    model: keras.Model, weights: Mapping[str, Collection[str]]
) -> Iterator[Mapping[int, _Recorded]]:
    """Within it, the values that quantizers of activations are called with are noted, by the quantizer's `id`."""
    slots = {
        id(quantizer): _Recorded(layer.name, slot, layer.slot_function(slot))
        for layer in quantized_layers(model)
        for slot in layer.slots
        if slot not in weights[layer.name] and (quantizer := layer.quantizer(slot)) is not None
    }
    quantize = BaseQuantizer.__call__

    @functools.wraps(quantize)
    def noted(self: BaseQuantizer[Any], values: Any, training: bool | None = False) -> Any:
        quantized = quantize(self, values, training)
        record = slots.get(id(self))
        if record is not None and not training:
            # a quantizer that is an activation function itself is compared with that function
            function = record.function if self.is_activation else None
            exact = values if function is None else function(ops.convert_to_tensor(values))
            record.exact.append(_sampled(exact))
            record.quantized.append(_sampled(quantized))
        return quantized

    BaseQuantizer.__call__ = noted  # type: ignore[assignment,method-assign]
    try:
        yield slots
    finally:
        BaseQuantizer.__call__ = quantize  # type: ignore[method-assign]


def _sampled(values: Any) -> Array:
    flat = np.asarray(ops.convert_to_numpy(values)).ravel()
    return flat[:: -(-flat.size // _SAMPLE)] if flat.size > _SAMPLE else flat
