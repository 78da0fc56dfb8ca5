"""The candidate quantizers of each kind of tensor, as a job states them. Plain Pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from quantization.specs.functions import FUNCTIONS, PROBABILITIES
from quantization.specs.parse import Quantizer, parse_quantizer
from search.spec.base import Frozen


class Candidate(Frozen):
    """A quantizer that a tensor may get. A bare string is a quantizer with its actual bits."""

    quantizer: Quantizer = Field(description="the quantizer, as text or as an object")
    bits: int = Field(
        ge=1,
        le=64,
        description="nominal bits, which a numeric limit compares with; left out: the quantizer's actual bits",
    )

    @model_validator(mode="before")
    @classmethod
    def _bits_from_quantizer(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"quantizer": value}
        if isinstance(value, Mapping) and "bits" not in value and isinstance(value.get("quantizer"), str):
            quantizer = parse_quantizer(value["quantizer"])
            return {"quantizer": quantizer, "bits": quantizer.bits}
        return value


def _candidates(value: Any) -> Any:
    """AutoQKeras' mapping (quantizer -> bits) and plain lists of quantizers, as candidates."""
    if isinstance(value, Mapping):
        return [{"quantizer": text, "bits": bits} for text, bits in value.items()]
    return value


Candidates = Annotated[tuple[Candidate, ...], BeforeValidator(_candidates), Field(max_length=200)]


#: Fields that take the candidates of another field unless they are given.
FOLLOWS: Final = {
    "depthwise_kernel": "kernel",
    "pointwise_kernel": "kernel",
    "recurrent_kernel": "kernel",
    "embeddings": "kernel",
    "alpha": "bias",
}


class QuantizationSpace(Frozen):
    """The candidates of each kind of tensor. Defaults are those of the AutoQKeras notebook."""

    kernel: Candidates = Field(
        default_factory=lambda: _space(NOTEBOOK_SPACE["kernel"]), description="weights"
    )
    bias: Candidates = Field(default_factory=lambda: _space(NOTEBOOK_SPACE["bias"]), description="biases")
    activation: Candidates = Field(
        default_factory=lambda: _space(NOTEBOOK_SPACE["activation"]),
        description="outputs of an activation function",
    )
    linear: Candidates = Field(
        default_factory=lambda: _space(NOTEBOOK_SPACE["linear"]),
        description="outputs of Activation layers with a linear function",
    )
    recurrent_activation: Candidates = Field(
        default_factory=lambda: _space(GATES), description="gates of LSTM and GRU"
    )
    depthwise_kernel: Candidates | None = Field(
        None, description="kernels of depthwise and separable convolutions; null: as `kernel`"
    )
    pointwise_kernel: Candidates | None = Field(
        None, description="pointwise kernels of separable convolutions; null: as `kernel`"
    )
    recurrent_kernel: Candidates | None = Field(
        None, description="recurrent kernels of LSTM, GRU and SimpleRNN; null: as `kernel`"
    )
    embeddings: Candidates | None = Field(None, description="embeddings; null: as `kernel`")
    normalization: Candidates = Field(
        default_factory=lambda: _space(NORMALIZATION),
        description="scale (gamma / deviation), mean and shift of normalizations that are not folded",
    )
    alpha: Candidates | None = Field(None, description="slopes of PReLU; null: as `bias`")
    output: Candidates = Field(
        default_factory=lambda: _space(OUTPUTS),
        description="outputs of layers without a function: linear sums that a layer with weights or a merge reads, and"
        " the merges, poolings and upsamplings that limits name; empty: none is quantized",
    )
    input: Candidates = Field(
        (),
        description="the network's input; empty: it has one quantizer in all trials, that of `inputs`",
    )
    state: Candidates = Field((), description="states of recurrent layers; empty: states are not quantized")
    functions: dict[str, Candidates] = Field(
        default_factory=dict,
        max_length=50,
        description="candidates by activation function, such as `tanh`: they precede `activation`, `linear` and"
        " `recurrent_activation`, and may replace the function",
    )
    selection: Literal["by_function", "autoqkeras"] = Field(
        "by_function",
        description="by_function: a layer gets the candidates of `activation` that compute its function, or else"
        " defaults for that function; autoqkeras: it gets all of them, whatever its function",
    )

    @field_validator("*")
    @classmethod
    def _no_repeats(cls, value: Any) -> Any:
        lists = value.values() if isinstance(value, dict) else [value]
        for candidates in [entry for entry in lists if isinstance(entry, tuple)]:
            names = [candidate.quantizer.label for candidate in candidates]
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"listed more than once: {', '.join(repeated)}")
        return value

    @field_validator("functions")
    @classmethod
    def _functions_exist(cls, value: dict[str, tuple[Candidate, ...]]) -> dict[str, tuple[Candidate, ...]]:
        possible = sorted(FUNCTIONS.keys() - PROBABILITIES)
        for name in value:
            if name not in possible:
                raise ValueError(
                    f"{name!r} is not a function that can be quantized; those are {', '.join(possible)}"
                )
            if not value[name]:
                raise ValueError(f"{name}: list at least one quantizer")
        return value

    def candidates_of(self, field: str) -> tuple[Candidate, ...]:
        """The candidates of a field, or of the field that it follows."""
        candidates: tuple[Candidate, ...] | None = getattr(self, field)
        return self.candidates_of(FOLLOWS[field]) if candidates is None else candidates


#: Unsigned fractions, since gates have values between 0 and 1. AutoQKeras has no default for them.
GATES: Final[dict[str, int]] = {
    "quantized_bits(4,0,0,keep_negative=False)": 4,
    "quantized_bits(8,0,0,keep_negative=False)": 8,
}

#: A power of two scales the grid to the numbers, whose range depends on what the normalization reads.
NORMALIZATION: Final[dict[str, int]] = {
    "quantized_bits(4,0,1,alpha='auto_po2')": 4,
    "quantized_bits(8,0,1,alpha='auto_po2')": 8,
}

#: Signed grids for sums, means and maxima of quantized numbers.
OUTPUTS: Final[dict[str, int]] = {
    "quantized_bits(4,2)": 4,
    "quantized_bits(6,2)": 6,
    "quantized_bits(8,2)": 8,
    "quantized_bits(8,4)": 8,
    "quantized_bits(16,8)": 16,
}

#: quantization_config of the AutoQKeras notebook (google/qkeras, notebook/AutoQKeras.ipynb).
NOTEBOOK_SPACE: Final[dict[str, dict[str, int]]] = {
    "kernel": {
        "binary": 1,
        "stochastic_binary": 1,
        "ternary": 2,
        "stochastic_ternary": 2,
        "quantized_bits(2,1,1,alpha=1.0)": 2,
        "quantized_bits(4,0,1,alpha=1.0)": 4,
        "quantized_bits(8,0,1,alpha=1.0)": 8,
        "quantized_po2(4,1)": 4,
    },
    "bias": {"quantized_bits(4,0,1)": 4, "quantized_bits(8,3,1)": 8, "quantized_po2(4,8)": 4},
    "activation": {
        "binary": 1,
        "ternary": 2,
        "quantized_relu_po2(4,4)": 4,
        "quantized_relu(3,1)": 3,
        "quantized_relu(4,2)": 4,
        "quantized_relu(8,2)": 8,
        "quantized_relu(8,4)": 8,
        "quantized_relu(16,8)": 16,
    },
    "linear": {
        "binary": 1,
        "ternary": 2,
        "quantized_bits(4,1)": 4,
        "quantized_bits(8,2)": 8,
        "quantized_bits(16,10)": 16,
    },
}

#: Target -> candidates that it takes, of the kinds of tensors of which the defaults above have others.
TARGET_SPACES: Final[Mapping[str, Mapping[str, Mapping[str, int]]]] = {
    "hls4ml": {
        "bias": {"quantized_bits(4,0,1)": 4, "quantized_bits(8,3,1)": 8},
        "activation": {
            "binary": 1,
            "quantized_relu(3,1)": 3,
            "quantized_relu(4,2)": 4,
            "quantized_relu(8,2)": 8,
            "quantized_relu(8,4)": 8,
            "quantized_relu(16,8)": 16,
        },
        "linear": {
            "binary": 1,
            "quantized_bits(4,1)": 4,
            "quantized_bits(8,2)": 8,
            "quantized_bits(16,10)": 16,
        },
    },
    "akida": {
        "kernel": {
            "trainable_std(bits=2)": 2,
            "trainable_std(bits=4)": 4,
            "max_per_axis(bits=4)": 4,
            "max_per_axis(bits=8)": 8,
        },
        "bias": {"quantized_bits(4,0,1)": 4, "quantized_bits(8,3,1)": 8},
        "activation": {"quantized_relu(2,1)": 2, "quantized_relu(4,2)": 4},
    },
    "xylo": {
        "kernel": {
            "quantized_bits(4,0,1,alpha=1.0)": 4,
            "quantized_bits(6,0,1,alpha=1.0)": 6,
            "quantized_bits(8,0,1,alpha=1.0)": 8,
        },
        "bias": {"quantized_bits(4,0,1)": 4, "quantized_bits(8,3,1)": 8},
        "activation": {"quantized_relu(3,1)": 3, "quantized_relu(4,2)": 4, "quantized_relu(5,2)": 5},
    },
}


def _space(texts: Mapping[str, int]) -> tuple[Candidate, ...]:
    return tuple(Candidate(quantizer=parse_quantizer(text), bits=bits) for text, bits in texts.items())
