"""Quantized recurrent layers: kernel, recurrent kernel, bias, state and activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import keras

from costmodel.layer_classes import FUNCTION_SLOTS
from quantization.layers.base import PACKAGE, QuantizedLayer, replaced
from quantization.quantizers import BaseQuantizer
from quantization.specs.parse import QuantizerSpec

_SIMPLE: Final = {
    "kernel": "cell.kernel",
    "recurrent_kernel": "cell.recurrent_kernel",
    "bias": "cell.bias",
    "activation": "cell.activation",
    "state": "",
}
_GATED: Final = {**_SIMPLE, "recurrent_activation": "cell.recurrent_activation"}
#: Slots that act inside the loop over time.
_INSIDE: Final = FUNCTION_SLOTS | {"state"}


class RecurrentLayer(QuantizedLayer):
    """Mixed into a recurrent Keras layer; weights are quantized once per call, not once per time step.

    `state` quantizes the states a step starts from. Quantizers inside the loop may not draw random numbers.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for slot, quantizer in self._slot_quantizers:
            if slot in _INSIDE and quantizer.is_random:
                raise ValueError(
                    f"{self._label}: {quantizer} draws random numbers, which {slot} does not allow"
                )
        if self._slot_quantizers and hasattr(self, "use_cudnn"):
            self.use_cudnn = False  # that kernel takes neither quantized activations nor states

    def call(  # type: ignore[override]
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """The recurrence on quantized values."""
        changes: list[tuple[Any, str, Any]] = []
        state = self.quantizer("state")
        if state is not None:
            cell = vars(self)["cell"]
            changes.append((self, "cell", _QuantizedStates(cell, state, training)))
        with self.quantized(training), replaced(changes):
            base: Any = super(QuantizedLayer, self)
            return base.call(sequences, initial_state=initial_state, mask=mask, training=training)


class _QuantizedStates:
    """A cell that quantizes its input states, and behaves as the cell otherwise."""

    def __init__(self, cell: Any, quantizer: BaseQuantizer[Any], training: bool) -> None:
        self._cell = cell
        self._quantizer = quantizer
        self._training = training

    def __call__(self, inputs: Any, states: Any, **kwargs: Any) -> Any:
        return self._cell(inputs, self._quantized(states), **kwargs)

    def _quantized(self, states: Any) -> Any:
        if isinstance(states, list | tuple):
            return [self._quantizer(state, self._training) for state in states]
        return self._quantizer(states, self._training)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cell, name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The cell's: Keras checks by the class whether a cell has dropout."""
        return type(self._cell)


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedSimpleRNN(RecurrentLayer, keras.layers.SimpleRNN):
    """`SimpleRNN`, quantized."""

    SLOTS: ClassVar[Mapping[str, str]] = _SIMPLE


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedLSTM(RecurrentLayer, keras.layers.LSTM):
    """`LSTM`, quantized."""

    SLOTS: ClassVar[Mapping[str, str]] = _GATED


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedGRU(RecurrentLayer, keras.layers.GRU):
    """`GRU`, quantized."""

    SLOTS: ClassVar[Mapping[str, str]] = _GATED


#: Recurrent Keras layer -> its quantized twin.
RECURRENT: Final[Mapping[str, type[Any]]] = {
    "SimpleRNN": QuantizedSimpleRNN,
    "LSTM": QuantizedLSTM,
    "GRU": QuantizedGRU,
}


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedBidirectional(QuantizedLayer, keras.layers.Bidirectional):
    """`Bidirectional` around a recurrent layer: its slots quantize both directions alike."""

    SLOTS: ClassVar[Mapping[str, str]] = dict.fromkeys(_GATED, "")

    def __init__(
        self,
        layer: Any,
        *args: Any,
        backward_layer: Any = None,
        quantizers: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        twins = [_quantized_twin(inner, quantizers) for inner in (layer, backward_layer)]
        keras.layers.Bidirectional.__init__(self, twins[0], *args, backward_layer=twins[1], **kwargs)
        self._specs = self.forward_layer.specs
        self._slot_quantizers = ()

    @classmethod
    def configured(cls, slot: str, config: Mapping[str, Any]) -> bool:
        """As the inner layer has it."""
        inner = config.get("layer") or {}
        twin = RECURRENT.get(str(inner.get("class_name", "")).removeprefix("Quantized"))
        return (
            twin is not None and slot in twin.SLOTS and bool(twin.configured(slot, inner.get("config", {})))
        )

    @property
    def slots(self) -> tuple[str, ...]:
        """Those of the inner layer."""
        return tuple(self.forward_layer.slots)

    @property
    def effective_specs(self) -> dict[str, QuantizerSpec]:
        """Those of the inner layer."""
        return dict(self.forward_layer.effective_specs)

    def quantizer(self, slot: str) -> BaseQuantizer[Any] | None:
        """The forward layer's."""
        quantizer: BaseQuantizer[Any] | None = self.forward_layer.quantizer(slot)
        return quantizer

    def slot_owners(self) -> tuple[Any, ...]:
        """The layers of both directions."""
        return self.forward_layer, self.backward_layer

    def slot_function(self, slot: str) -> Any:
        """The forward layer's."""
        return self.forward_layer.slot_function(slot)

    def call(  # type: ignore[override]
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None
    ) -> Any:
        """Both directions, each quantized by itself."""
        return keras.layers.Bidirectional.call(
            self, sequences, initial_state=initial_state, mask=mask, training=training
        )

    def quantized_weights(self) -> dict[str, Any]:
        """`forward_<slot>` and `backward_<slot>` -> (codes, scale)."""
        return {
            f"{direction}_{slot}": weights
            for direction, layer in (("forward", self.forward_layer), ("backward", self.backward_layer))
            for slot, weights in layer.quantized_weights().items()
        }

    def get_config(self) -> dict[str, Any]:
        """The wrapper's configuration around plain layers, and the quantizers once."""
        config = super().get_config()
        for key in ("layer", "backward_layer"):
            if config.get(key):
                config[key] = _plain(config[key])
        return config


def _quantized_twin(layer: Any, quantizers: Mapping[str, Any] | None) -> Any:
    """The layer, or one of the quantized class with its configuration."""
    if layer is None or isinstance(layer, QuantizedLayer):
        return layer
    twin = RECURRENT.get(type(layer).__name__)
    if twin is None:
        raise ValueError(f"Bidirectional around {type(layer).__name__}; allowed are: {', '.join(RECURRENT)}")
    return twin(**layer.get_config(), quantizers=quantizers)


def _plain(written: dict[str, Any]) -> dict[str, Any]:
    """A serialized inner layer as its Keras class."""
    config = {key: value for key, value in written["config"].items() if key != "quantizers"}
    name = written["class_name"].removeprefix("Quantized")
    return {"module": "keras.layers", "class_name": name, "config": config, "registered_name": None}
