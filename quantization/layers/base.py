"""Base of the quantized layers: a Keras layer that computes with quantized values in place of its attributes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

import keras
import numpy as np
from keras import ops

from costmodel.channel_widths import channel_widths_fault
from costmodel.layer_classes import FUNCTION_SLOTS, channel_axes
from quantization.quantizers import BaseQuantizer, build_quantizer
from quantization.quantizers.base import as_integers, channels_of
from quantization.specs.parse import QuantizerSpec, as_spec
from quantization.specs.slots import runs_automatic

#: Name under which Keras registers the layers.
PACKAGE: Final = "fewbits"


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizerState(keras.layers.Layer):
    """Variables of a layer's quantizers: noise factors, trained thresholds, random states.

    A separate layer, because Dense and the convolutions save no other weights than kernel and bias.
    """

    def add(self, slot: str, quantizer: BaseQuantizer[Any]) -> None:
        """Create the variables of one quantizer."""
        quantizer.build(self, slot)
        if quantizer.seed_generator is not None:
            setattr(self, f"{slot}_seed", quantizer.seed_generator)
        self.built = True


def effective_spec(slot: str, spec: QuantizerSpec) -> QuantizerSpec:
    """A specification as it runs in a slot: a kernel without an alpha has automatic powers of two.

    As in QKeras' layers; alpha=1.0 means no scale.
    """
    if runs_automatic(slot, spec):
        threshold = {"threshold": None} if hasattr(spec, "threshold") else {}
        return as_spec(spec.model_dump() | {"alpha": "auto_po2"} | threshold)
    return spec


class QuantizedLayer:
    """Mixed into a Keras layer: owns its quantizers, and lets the layer's own `call` see quantized values.

    `quantizers` maps a slot ("kernel", "bias", "activation", ...) to a specification, an expression, a JSON object
    or None. While the layer is called, each attribute of `SLOTS` is replaced by its quantized value, so that no
    layer's arithmetic is written twice. Weights are quantized in float32, whatever the layer computes in.

    An activation quantizer that is an activation function itself (`quantized_relu`, `binary`, ...) takes the
    place of the layer's function; a plain grid (`quantized_bits`, ...) is applied to what that function gives.

    Raises `ValueError` for a slot the layer does not have.
    """

    #: Slot -> attribute that holds it; "cell.kernel" is the kernel of the attribute `cell`; "" if the layer
    #: quantizes it itself.
    SLOTS: ClassVar[Mapping[str, str]] = {}
    #: Fields of its configuration that the Keras layer it stands for does not have.
    FIELDS: ClassVar[tuple[str, ...]] = ("quantizers",)

    def __init__(self, *args: Any, quantizers: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._specs: dict[str, QuantizerSpec | None] = {
            slot: None if spec is None else self._read_spec(slot, spec)
            for slot, spec in (quantizers or {}).items()
        }
        self._check_slots()
        owners = {path.partition(".")[0] for path in self.SLOTS.values() if "." in path}
        for owner in [getattr(self, name) for name in owners if hasattr(self, name)]:
            # Its weights stay float32 under mixed precision: they are quantized before they are cast.
            owner.add_weight = functools.partial(owner.add_weight, autocast=False)
        # A tuple of pairs, because Keras would track a dictionary.
        self._slot_quantizers = tuple(
            (slot, build_quantizer(effective_spec(slot, spec), self.channel_axes(slot)))
            for slot, spec in self._specs.items()
            if spec is not None
        )
        self._cache: dict[str, tuple[Any, Any]] | None = None
        if any(quantizer.has_state for _, quantizer in self._slot_quantizers):
            self.quantizer_state = QuantizerState(name="quantizer_state")

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras', but the weight stays float32 under mixed precision until it is quantized."""
        kwargs.setdefault("autocast", False)
        return super().add_weight(*args, **kwargs)  # type: ignore[misc]

    def build(self, input_shape: Any) -> None:
        """Build the layer, then the variables of its quantizers."""
        super().build(input_shape)  # type: ignore[misc]
        self._build_quantizers()
        self._check_channels()

    def _check_channels(self) -> None:
        """ValueError for a weight with another number of channels than its quantizer lists."""
        for slot, quantizer in self._slot_quantizers:
            if self._is_weight(slot) and channels_of(quantizer.spec):
                quantizer.check_channels(self._attribute(slot))

    def _build_quantizers(self) -> None:
        for slot, quantizer in self._slot_quantizers:
            if quantizer.has_state:
                self.quantizer_state.add(slot, quantizer)

    # ---- description ----------------------------------------------------------------------------------------

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots this layer has, as it is configured."""
        # a recurrent layer asks its cell, an attention layer has it under a name of its own
        has_bias = getattr(self, "use_bias", getattr(self, "_use_bias", True))
        config = {**vars(self), "use_bias": has_bias}
        return tuple(slot for slot in self.SLOTS if self.configured(slot, config))

    @classmethod
    def plain_class(cls) -> str:
        """The class of the Keras layer that it stands for."""
        return cls.__name__.removeprefix("Quantized")

    def channel_axes(self, slot: str) -> tuple[int, ...]:
        """The axes of a slot's tensor along which its channels lie."""
        if slot in FUNCTION_SLOTS and getattr(self, "data_format", None) == "channels_first":
            return (1,)
        return channel_axes(self.plain_class(), slot)

    @property
    def effective_specs(self) -> dict[str, QuantizerSpec]:
        """Slot -> specification of the quantized slots as they run, changed by `effective_spec`."""
        return {slot: quantizer.spec for slot, quantizer in self._slot_quantizers}

    @property
    def specs(self) -> dict[str, QuantizerSpec | None]:
        """Slot -> specification of the slots that were named, None where not quantized."""
        return dict(self._specs)

    def quantizer(self, slot: str) -> BaseQuantizer[Any] | None:
        """The quantizer of a slot, or None."""
        return next((quantizer for name, quantizer in self._slot_quantizers if name == slot), None)

    def quantized_weights(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Slot -> (integer codes, scale) of every quantized weight: their product is what the layer computes with.

        Raises `ValueError` if the layer is not built.
        """
        if not getattr(self, "built", False):
            raise ValueError(f"{self._label}: build the layer (call it once) before its weights are read")
        quantizers = ((slot, self.quantizer(slot)) for slot in self.slots if self._is_weight(slot))
        return {slot: as_integers(*self._encoded(slot, q)) for slot, q in quantizers if q is not None}

    def weight_of(self, slot: str) -> Any:
        """The float32 value that is quantized in a slot."""
        return ops.convert_to_tensor(self._attribute(slot))

    @contextlib.contextmanager
    def caching_weights(self) -> Iterator[None]:
        """Within it, each weight is quantized once for all calls at inference and all integers; it must not change."""
        with replaced([(owner, "_cache", {}) for owner in self.slot_owners()]):
            yield

    def _encoded(self, slot: str, quantizer: BaseQuantizer[Any]) -> tuple[Any, Any]:
        """Codes and scale of a weight at inference."""
        if self._cache is None:
            return quantizer.encode(self.weight_of(slot), False)
        if slot not in self._cache:
            self._cache[slot] = quantizer.encode(self.weight_of(slot), False)
        return self._cache[slot]

    def _quantized_weight(self, slot: str, quantizer: BaseQuantizer[Any], training: bool) -> Any:
        if training or self._cache is None or not quantizer.is_noiseless:
            return quantizer(self.weight_of(slot), training)
        codes, scale = self._encoded(slot, quantizer)
        return codes * scale

    def slot_owners(self) -> tuple[Any, ...]:
        """The layers that hold the quantizers of its slots: itself, or those that it runs."""
        return (self,)

    def slot_function(self, slot: str) -> Callable[[Any], Any] | None:
        """The function that a slot quantizes, None where it quantizes a tensor as it is.

        Equal layers have equal functions, so that programs traced for one serve the other.
        """
        if slot not in FUNCTION_SLOTS or not self.SLOTS[slot]:
            return None
        function: Callable[[Any], Any] | None = self._attribute(slot)
        return function

    def set_weight(self, slot: str, value: Any) -> None:
        """Assign another value of the same shape to what is quantized in a slot."""
        self._attribute(slot).assign(value)

    def set_quantized(self, slot: str, value: Any) -> None:
        """Change the weights so that `weight_of(slot)` is this value, but for what float32 rounds."""
        self.set_weight(slot, value)

    # ---- computation --------------------------------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The layer's own computation, on quantized values."""
        with self.quantized(training):
            return self.plain_call(inputs)

    def plain_call(self, inputs: Any) -> Any:
        """What the Keras layer itself computes with the attributes it sees."""
        return super().call(inputs)  # type: ignore[misc]

    def quantized(self, training: bool | None) -> contextlib.AbstractContextManager[None]:
        """Within it, every attribute of a slot has its quantized value."""
        values = self._quantized_values(bool(training))
        return replaced([(self._owner(slot), self._attribute_name(slot), values[slot]) for slot in values])

    def _quantized_values(self, training: bool) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for slot in filter(self.SLOTS.get, self.slots):
            quantizer = self.quantizer(slot)
            if slot in FUNCTION_SLOTS:
                if quantizer is not None:
                    values[slot] = quantized_function(self._attribute(slot), quantizer, training)
            elif quantizer is not None or self._computes_narrow:
                value = (
                    self.weight_of(slot)
                    if quantizer is None
                    else self._quantized_weight(slot, quantizer, training)
                )
                values[slot] = ops.cast(value, self._computing)
        return values

    @property
    def _computing(self) -> str:
        return str(self.compute_dtype)  # type: ignore[attr-defined]

    @property
    def _computes_narrow(self) -> bool:
        return self._computing != str(self.variable_dtype)  # type: ignore[attr-defined]

    def quantize_slot(self, slot: str, x: Any, training: bool | None) -> Any:
        """x quantized by the slot's quantizer; x itself without one."""
        quantizer = self.quantizer(slot)
        return x if quantizer is None else quantizer(x, training)

    # ---- serialization ---------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The layer's own configuration, and its quantizers as JSON objects."""
        config: dict[str, Any] = dict(super().get_config())  # type: ignore[misc]
        config["quantizers"] = {
            slot: None if spec is None else spec.model_dump(mode="json") for slot, spec in self._specs.items()
        }
        return config

    # ---- details -------------------------------------------------------------------------------------------

    @property
    def _label(self) -> str:
        return f"layer {self.name!r} ({type(self).__name__})"  # type: ignore[attr-defined]

    def _is_weight(self, slot: str) -> bool:
        return bool(self.SLOTS[slot]) and slot not in FUNCTION_SLOTS

    def _owner(self, slot: str) -> Any:
        path = self.SLOTS[slot].rpartition(".")[0]
        return functools.reduce(getattr, path.split("."), self) if path else self

    def _attribute(self, slot: str) -> Any:
        return getattr(self._owner(slot), self._attribute_name(slot))

    def _attribute_name(self, slot: str) -> str:
        return self.SLOTS[slot].rpartition(".")[2]

    @classmethod
    def configured(cls, slot: str, config: Mapping[str, Any]) -> bool:
        """Whether a layer of this configuration has what the slot quantizes."""
        return bool(config.get("use_bias", True)) if slot.endswith("bias") else True

    def _read_spec(self, slot: str, value: Any) -> QuantizerSpec:
        """A quantizer; the rules of a layer that version 0.1 saved stand only where they change something."""
        spec = as_spec(value)
        if isinstance(value, Mapping) and getattr(spec, "last_axis", False) and "last_axis" not in value:
            changes = self.channel_axes(slot) != (-1,)
            return as_spec(spec.model_dump() | {"last_axis": changes})
        return spec

    def _check_slots(self) -> None:
        for slot, spec in self._specs.items():
            if slot not in self.SLOTS or (spec is not None and slot not in self.slots):
                allowed = ", ".join(self.slots) or "none"
                raise ValueError(f"{self._label} has no slot {slot!r}; its slots are: {allowed}")
            widths = len(getattr(spec, "channel_bits", ()))
            fault = channel_widths_fault(self.plain_class(), slot, widths, None)
            if fault is not None:
                raise ValueError(f"{self._label}: {fault}")


@contextlib.contextmanager
def replaced(changes: Iterable[tuple[Any, str, Any]]) -> Iterator[None]:
    """Within it, attributes (owner, name) have other values; past Keras' own bookkeeping of attributes."""
    before: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for owner, name, value in changes:
            attributes = vars(owner)
            before.append((attributes, name, attributes[name]))
            attributes[name] = value
        yield
    finally:
        for attributes, name, value in reversed(before):
            attributes[name] = value


def quantized_function(
    function: Callable[[Any], Any] | None, quantizer: BaseQuantizer[Any], training: bool
) -> Callable[[Any], Any]:
    """The function a layer applies when its activation slot is quantized."""
    if quantizer.is_activation or function is None or function is keras.activations.linear:
        return lambda x: quantizer(x, training)
    return lambda x: quantizer(function(x), training)
