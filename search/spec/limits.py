"""Which layers a job quantizes, and the candidates that it allows them. Plain Pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, field_validator, model_validator

from quantization.specs.parse import Quantizer, QuantizerSpec
from search.spec.base import Frozen
from search.spec.patterns import checked_pattern

MAX_NAME: Final = 200  #: characters of a job's or a layer's name

#: A number: the largest nominal bits of a candidate. A list: the candidates themselves.
Limit = Annotated[int, Field(ge=1, le=64)] | tuple[Quantizer, ...]

DEFAULT_LIMIT: Final = 8

#: The key of `by_class` for layers whose own class has no entry.
ANY_CLASS: Final = "*"

#: Fields that take the limit of another field unless one is given for them.
FOLLOWS: Final = {
    "depthwise_kernel": "kernel",
    "pointwise_kernel": "kernel",
    "recurrent_kernel": "kernel",
    "embeddings": "kernel",
    "alpha": "bias",
    "output": "activation",
    "recurrent_activation": "activation",
    "state": "activation",
    "linear": "activation",
    "normalization": "kernel",
}

#: Fields whose candidates differ from those of the field they follow: they follow its number, not its list.
_NUMBERS_ONLY: Final = frozenset({"recurrent_activation", "state", "linear", "normalization", "output"})

#: The third entry of AutoQKeras' lists of four.
_THIRD: Final = ("pointwise_kernel", "recurrent_kernel")


class LayerLimits(Frozen):
    """The limit of each slot of a layer. A number is the largest number of bits, a list names the candidates.

    A slot left out takes `limits.default`. The lists of AutoQKeras are accepted too: `[kernel, bias, activation]` and
    `[kernel, bias, recurrent or pointwise kernel, activation]`; shorter ones are completed from `limits.default`.
    """

    kernel: Limit | None = Field(None, description="weights")
    bias: Limit | None = Field(None, description="biases")
    activation: Limit | None = Field(None, description="outputs of an activation function")
    linear: Limit | None = Field(
        None,
        description="outputs of Activation layers with a linear function; null: a number under `activation`",
    )
    recurrent_activation: Limit | None = Field(
        None, description="gates of LSTM and GRU; null: a number under `activation`"
    )
    depthwise_kernel: Limit | None = Field(
        None, description="kernels of depthwise and separable convolutions; null: as `kernel`"
    )
    pointwise_kernel: Limit | None = Field(
        None, description="pointwise kernels of separable convolutions; null: as `kernel`"
    )
    recurrent_kernel: Limit | None = Field(
        None, description="recurrent kernels of LSTM, GRU and SimpleRNN; null: as `kernel`"
    )
    embeddings: Limit | None = Field(None, description="embeddings; null: as `kernel`")
    alpha: Limit | None = Field(None, description="slopes of PReLU; null: as `bias`")
    output: Limit | None = Field(
        None,
        description="outputs of merges, poolings and linear layers: naming it quantizes them; null: a number under"
        " `activation`, which applies where outputs are quantized anyway",
    )
    state: Limit | None = Field(
        None, description="states of recurrent layers; null: a number under `activation`"
    )

    normalization: Limit | None = Field(
        None,
        description="scale, mean and shift of normalizations that are not folded; null: a number under `kernel`",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        if isinstance(value, Mapping | LayerLimits) or value is None:
            return value
        return _named(value)

    @property
    def says_anything(self) -> bool:
        """Whether any limit is given."""
        return bool(self.fields())

    def fields(self) -> tuple[str, ...]:
        """The fields that have a limit."""
        return tuple(name for name in LayerLimits.model_fields if getattr(self, name) is not None)

    def source_of(self, field: str) -> str | None:
        """The field whose limit holds for a field: itself, or one that it follows; None: no limit does."""
        if getattr(self, field) is not None:
            return field
        return None if self.limit_of(field) is None else self.source_of(FOLLOWS[field])

    def limit_of(self, field: str) -> Limit | None:
        """The limit of a field, or of the field that it follows; None if neither is given."""
        limit: Limit | None = getattr(self, field)
        if limit is not None or field not in FOLLOWS:
            return limit
        followed = self.limit_of(FOLLOWS[field])
        return followed if isinstance(followed, int) or field not in _NUMBERS_ONLY else None


def limits_from_list(values: list[Any]) -> dict[str, Any]:
    """A list of AutoQKeras as limits by field. Its last entry is for activations, whatever its position.

    Raises ValueError for more than four entries.
    """
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
    """Limits of the layers whose names match a pattern. These layers share one choice per slot."""

    pattern: str = Field(
        min_length=1, max_length=MAX_NAME, description="regular expression that matches a whole layer name"
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        return checked_pattern(value)


def _pattern_list(value: Any) -> Any:
    """AutoQKeras' mapping (pattern -> limits) as a list in the same order."""
    if not isinstance(value, Mapping):
        return value
    return [{"pattern": pattern, **_named(entry)} for pattern, entry in value.items()]


def _named(entry: Any) -> Mapping[str, Any]:
    """Limits in any of their forms as limits by field. ValueError for anything else."""
    if isinstance(entry, int) and not isinstance(entry, bool):
        entry = [entry, entry, entry]
    if isinstance(entry, list | tuple):
        return limits_from_list(list(entry))
    if isinstance(entry, Mapping):
        return entry
    raise ValueError("limits must be a number, a list or an object")


class Limits(Frozen):
    """Which layers are quantized, and with which candidates. A number: all layers, with at most so many bits."""

    by_class: dict[str, LayerLimits] = Field(
        default_factory=dict,
        max_length=100,
        description="limits by layer class, such as `Dense`; `*`: all classes without an entry of their own",
    )
    by_name: Annotated[tuple[PatternLimits, ...], BeforeValidator(_pattern_list)] = Field(
        (),
        max_length=500,
        description="limits by layer name; they precede `by_class`, and the first pattern that matches wins",
    )
    default: LayerLimits = Field(
        default_factory=LayerLimits,
        description="limits of slots that the entry of a layer leaves out; it selects no layers",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return {"by_class": {ANY_CLASS: value}} if is_number else value

    @field_validator("by_name")
    @classmethod
    def _patterns_differ(cls, value: tuple[PatternLimits, ...]) -> tuple[PatternLimits, ...]:
        patterns = [entry.pattern for entry in value]
        repeated = sorted({pattern for pattern in patterns if patterns.count(pattern) > 1})
        if repeated:
            raise ValueError(f"listed more than once: {', '.join(repeated)}")
        return value

    def key_of_class(self, class_name: str) -> str | None:
        """The key of `by_class` that holds for a class; None: none does."""
        return next((key for key in (class_name, ANY_CLASS) if key in self.by_class), None)

    @property
    def is_empty(self) -> bool:
        """Whether no layer is named."""
        return not self.by_class and not self.by_name


def quantizers_of(limit: Limit | None) -> tuple[QuantizerSpec, ...]:
    """The quantizers that a limit lists; empty for a number and None."""
    return limit if isinstance(limit, tuple) else ()
