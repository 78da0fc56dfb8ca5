"""Quantized multi-head attention: four quantized projections, and optionally softmax by shifts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import keras
from keras import ops

from quantization.integer.shiftmax import shiftmax
from quantization.layers.base import PACKAGE, QuantizedLayer, replaced
from quantization.quantizers import BaseQuantizer

_PROJECTIONS: Final = ("query", "key", "value", "output")
#: Score of masked positions: its power of two is 0.
_HIDDEN: Final = -1e4


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedMultiHeadAttention(QuantizedLayer, keras.layers.MultiHeadAttention):
    """`MultiHeadAttention` with quantized projections and output.

    Slots: `<projection>_kernel` and `<projection>_bias` of query, key, value and output; `kernel` and `bias` are for
    the projections that are not named themselves; `activation` quantizes the output. `shiftmax=True`: softmax by
    shifts.
    """

    SLOTS: ClassVar[Mapping[str, str]] = {
        **{f"{name}_kernel": f"_{name}_dense._kernel" for name in _PROJECTIONS},
        **{f"{name}_bias": f"_{name}_dense.bias" for name in _PROJECTIONS},
        "kernel": "",
        "bias": "",
        "activation": "",
    }
    FIELDS: ClassVar[tuple[str, ...]] = ("quantizers", "shiftmax")

    def __init__(self, *args: Any, shiftmax: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shiftmax = shiftmax

    def build(  # type: ignore[override]
        self, query_shape: Any, value_shape: Any, key_shape: Any = None
    ) -> None:
        """Build the projections, then the variables of their quantizers."""
        keras.layers.MultiHeadAttention.build(self, query_shape, value_shape, key_shape)
        self._build_quantizers()

    def quantizer(self, slot: str) -> BaseQuantizer[Any] | None:
        """That of the slot, or the one all projections share."""
        quantizer = super().quantizer(slot)
        if quantizer is not None or "_" not in slot:
            return quantizer
        shared = super().quantizer(slot.rpartition("_")[2])
        return None if shared is None else shared.along(self.channel_axes(slot))

    def call(  # type: ignore[override]
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """Attention by quantized projections; arguments as Keras'."""
        changes: list[tuple[Any, str, Any]] = [(self, "_softmax", self._shiftmax)] if self.shiftmax else []
        with self.quantized(training), replaced(changes):
            result = keras.layers.MultiHeadAttention.call(
                self,
                query,
                value,
                key=key,
                query_mask=query_mask,
                value_mask=value_mask,
                key_mask=key_mask,
                attention_mask=attention_mask,
                return_attention_scores=return_attention_scores,
                training=training,
                use_causal_mask=use_causal_mask,
            )
        if return_attention_scores:
            return self.quantize_slot("activation", result[0], training), result[1]
        return self.quantize_slot("activation", result, training)

    def _compute_attention(
        self,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """As Keras', but with `shiftmax` by way of the scores: Keras' fused kernel has a softmax inside."""
        scores = return_attention_scores or self.shiftmax
        return super()._compute_attention(
            query, key, value, attention_mask, training, scores, use_causal_mask
        )

    def _shiftmax(self, scores: Any, mask: Any = None) -> Any:
        if mask is not None:
            scores = ops.where(ops.cast(mask, "bool"), scores, ops.cast(_HIDDEN, scores.dtype))
        return shiftmax(scores, -1)

    def get_config(self) -> dict[str, Any]:
        """Keras' configuration, and whether the softmax is one of shifts."""
        return super().get_config() | {"shiftmax": self.shiftmax}
