"""The cost that a search weighs against the metric, and how it is counted. Plain Pydantic; nothing loads Keras."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from search.spec.base import Frozen
from search.spec.types import Source

Memory = Literal["sram", "dram", "fixed"]

#: [reference, trial], as AutoQKeras writes two-element lists.
MemoryPair = tuple[Memory, Memory]


#: What tensors of a trial that are not quantized count as.
Unquantized = Literal["fp32", "fp16", "reference"]


#: Trained weights that share a width.
Granularity = Literal["weight", "channel", "tensor"]


class _GoalOptions(Frozen):
    """How the score trades the metric for the cost (AutoQKeras' forgiving factor)."""

    delta_p: float = Field(
        8.0,
        ge=0,
        le=100,
        description="percent of the metric that a trial may lose each time its cost is divided by `rate`",
    )
    delta_n: float = Field(
        8.0,
        ge=0,
        le=100,
        description="percent of the metric that a trial must gain each time its cost is multiplied by `rate`",
    )
    rate: float = Field(2.0, gt=1, le=1e6, description="ratio of costs that `delta_p` and `delta_n` refer to")
    stress: float = Field(
        1.0,
        gt=0,
        le=1e6,
        description="factor on the reference cost; below 1 the score asks for cheaper networks",
    )
    unquantized: Unquantized = Field(
        "fp32",
        description="type of what stays float in a trial: parameters, activations and sums, in energy, bits and counts."
        " reference: as in the reference, which is AutoQKeras' way and makes float layers as cheap as 8-bit ones",
    )


class _EffectiveOptions(_GoalOptions):
    """What trained weights may count as."""

    effective: Granularity | None = Field(
        None,
        description="count the bits that trained weights use, from the first to the last one set in each code, shared"
        " by all weights of a tensor or of an output channel, or by none; known once a trial is trained. null: count"
        " the bits of the types",
    )


class EnergyGoal(_EffectiveOptions):
    """Energy of one inference in picojoules, by a model after Horowitz. Pairs are [reference, trial]."""

    kind: Literal["energy"] = "energy"
    profile: str = Field(
        "horowitz",
        max_length=100,
        description="energy profile: horowitz (45 nm), 7nm, or horowitz-qkeras, which reproduces QKeras' energies",
    )
    parameters_on_memory: MemoryPair = Field(("sram", "sram"), description="memory that holds the parameters")
    activations_on_memory: MemoryPair = Field(
        ("sram", "sram"), description="memory that holds the activations"
    )
    min_sram_size: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = Field(
        (0, 0), description="size in bits of the smallest on-chip memory; smaller ones are priced as this one"
    )
    rd_wr_on_io: tuple[bool, bool] = Field(
        (False, False), description="true: the inputs and outputs of the network are in DRAM"
    )
    source_quantizers: Source | None = Field(
        None,
        description="type of the inputs in trials: fp32, fp16, int8, int16, int32 or a quantizer;"
        " null: 8-bit fixed point that holds the range of the data",
    )
    reference_internal: Literal["fp16", "fp32", "int8"] = Field(
        "int8",
        description="type of parameters and activations in the reference",
    )
    reference_accumulator: Literal["int16", "int32", "fp16", "fp32"] = Field(
        "int32", description="type of sums in the reference"
    )
    zero_skipping: bool = Field(
        False,
        description="of effective energies: the hardware computes no products with weights that are 0, and adds none",
    )
    trained_model: bool = Field(
        False,
        description="of AutoQKeras; a search refuses true, because it prices trials before they are trained: see"
        " `settings.inference` of a cost request",
    )


BitsPart = Literal["parameters", "activations"]

BITS_ACCOUNTING: Final = "qtools: count as AutoQKeras does, which ignores layers that it does not support"


class BitsGoal(_EffectiveOptions):
    """Size of the model in bits: parameters and activations."""

    kind: Literal["bits"] = "bits"
    input_bits: int = Field(8, ge=1, le=64, description="bits of an element of the input")
    output_bits: int = Field(8, ge=1, le=64, description="bits of an element of a softmax or sigmoid output")
    ref_bits: int = Field(
        8,
        ge=1,
        le=64,
        description="bits of an element in the reference; of trials see `unquantized`",
    )
    config: dict[str, tuple[BitsPart, ...]] = Field(
        {"default": ("parameters", "activations")},
        description="parts that count, by layer class; `default` applies to all other classes",
    )
    accounting: Literal["corrected", "qtools"] = Field("corrected", description=BITS_ACCOUNTING)


class CountGoal(_EffectiveOptions):
    """A cost without an energy profile: bytes, MACs, bit operations (BOPs, EBOPs), or peak activation bits."""

    kind: Literal["bytes", "macs", "bops", "ebops", "peak_activation_bits"]

    @model_validator(mode="after")
    def _has_effective_costs(self) -> CountGoal:
        if self.effective is not None and self.kind != "ebops":
            raise ValueError(
                f"{self.kind} does not depend on trained weights: effective is for ebops, bits, energy"
            )
        return self


Goal = Annotated[EnergyGoal | BitsGoal | CountGoal, Field(discriminator="kind")]


#: Why measured trials cannot be ranked by effective costs of another goal.
NOT_REPRICED: Final = (
    "trials are priced again by their types: leave this out; the costs of their trained weights are in each trial's"
    " report under effective"
)


def refused(goal: Goal) -> dict[str, str]:
    """Fields of a goal that no search can obey -> why, and what to do. Jobs of earlier versions may state them."""
    if not isinstance(goal, EnergyGoal) or not goal.trained_model:
        return {}
    reason = (
        "a search prices trials before they are trained: leave this out, and price a trained model with"
        " `fewbits cost quantizers.json --inference`"
    )
    return {"trained_model": reason}
