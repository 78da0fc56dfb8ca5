"""Which layers are quantized, and how far, as a job states it. Plain pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, field_validator, model_validator

from quantization.specs.parse import Quantizer, QuantizerSpec
from search.spec.base import Frozen
from search.spec.patterns import checked_pattern

MAX_NAME: Final = 200  #: characters of a job's or a layer's name

#: A number caps the nominal bits of the candidates; a list picks candidates by name.
Limit = Annotated[int, Field(ge=1, le=64)] | tuple[Quantizer, ...]

DEFAULT_LIMIT: Final = 8


#: Fields that take the limit of another one unless they have their own.
FOLLOWS: Final = {
    "depthwise_kernel": "kernel",
    "pointwise_kernel": "kernel",
    "recurrent_kernel": "kernel",
    "embeddings": "kernel",
    "recurrent_activation": "activation",
    "state": "activation",
    "linear": "activation",
}

#: Fields whose candidates are others than those of the field they follow: they follow numbers only.
_NUMBERS_ONLY: Final = frozenset({"recurrent_activation", "state", "linear"})

#: The third entry of AutoQKeras' lists of four.
_THIRD: Final = ("pointwise_kernel", "recurrent_kernel")


class LayerLimits(Frozen):
    """What the slots of a layer may choose; a slot left out takes `limits.default`.

    AutoQKeras' lists are read too: `[kernel, bias, activation]`, and `[kernel, bias, recurrent or pointwise kernel,
    activation]`; shorter ones are filled from `limits.default`. Kernels of other kinds follow `kernel`, other
    activations follow a number under `activation`, unless they are named.
    """

    kernel: Limit | None = None
    bias: Limit | None = None
    activation: Limit | None = None
    linear: Limit | None = None
    recurrent_activation: Limit | None = None
    depthwise_kernel: Limit | None = None
    pointwise_kernel: Limit | None = None
    recurrent_kernel: Limit | None = None
    embeddings: Limit | None = None
    state: Limit | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        if isinstance(value, Mapping | LayerLimits) or value is None:
            return value
        return _named(value)

    def of(self, field: str) -> Limit | None:
        """The limit of a field: its own, or the one it follows; None if neither is given."""
        own: Limit | None = getattr(self, field)
        if own is not None or field not in FOLLOWS:
            return own
        followed = self.of(FOLLOWS[field])
        return followed if isinstance(followed, int) or field not in _NUMBERS_ONLY else None


def limits_from_list(values: list[Any]) -> dict[str, Any]:
    """AutoQKeras' positions as names; its last entry is for activations wherever it stands."""
    if len(values) > 4:
        raise ValueError(
            "a list of limits has at most four entries: kernel, bias, recurrent or pointwise, activation"
        )
    limits: dict[str, Any] = dict(zip(("kernel", "bias"), values, strict=False))
    if len(values) == 4:
        limits |= dict.fromkeys(_THIRD, values[2])
    if len(values) in (1, 3, 4):
        limits["activation"] = values[-1]
    if len(values) == 1:
        limits["linear"] = values[0]
    return limits


class PatternLimits(LayerLimits):
    """Limits of the layers whose whole name matches `pattern`; they share one choice per slot."""

    pattern: str = Field(min_length=1, max_length=MAX_NAME)

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        return checked_pattern(value)


def _pattern_list(value: Any) -> Any:
    """AutoQKeras' mapping (pattern -> limits) as a list that keeps its order."""
    if not isinstance(value, Mapping):
        return value
    return [{"pattern": pattern, **_named(entry)} for pattern, entry in value.items()]


def _named(entry: Any) -> Mapping[str, Any]:
    """Limits in any of their forms, as names; ValueError for what is none."""
    if isinstance(entry, int) and not isinstance(entry, bool):
        entry = [entry, entry, entry]
    if isinstance(entry, list | tuple):
        return limits_from_list(list(entry))
    if isinstance(entry, Mapping):
        return entry
    raise ValueError("limits are a number, a list or an object")


class Limits(Frozen):
    """Which layers are quantized, and how far: by class, and by pattern of the name (the first match wins)."""

    by_class: dict[str, LayerLimits] = Field(default_factory=dict, max_length=100)
    by_name: Annotated[tuple[PatternLimits, ...], BeforeValidator(_pattern_list)] = Field((), max_length=500)
    default: LayerLimits = Field(default_factory=LayerLimits)

    @field_validator("by_name")
    @classmethod
    def _patterns_differ(cls, value: tuple[PatternLimits, ...]) -> tuple[PatternLimits, ...]:
        patterns = [entry.pattern for entry in value]
        repeated = sorted({pattern for pattern in patterns if patterns.count(pattern) > 1})
        if repeated:
            raise ValueError(f"listed more than once: {', '.join(repeated)}")
        return value

    @property
    def is_empty(self) -> bool:
        """Whether no layer is named."""
        return not self.by_class and not self.by_name


def quantizers_of(limit: Limit | None) -> tuple[QuantizerSpec, ...]:
    """The quantizers a limit names; empty for numbers and None."""
    return limit if isinstance(limit, tuple) else ()
