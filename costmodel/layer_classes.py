"""The table of layers: one row for each class of Keras layer, with all that the product knows of it. Plain.

A new class of layers takes one row of `LAYER_CLASSES`, a rule for the shape of its output (`costmodel.shapes`,
`costmodel.windows`) and a function that counts its work (`costmodel.lowering`); a class whose arithmetic is new also
takes a `Family` and a rule that prices it (`costmodel.operators`). If the class can be quantized, its quantized twin
goes into `quantization.layers.QUANTIZED_LAYERS`: a test demands that the slots of the twin are those of the row.

Shapes, prices, widths, slots, what may be uploaded and built, which channels a narrower network keeps and which batch
normalizations can be folded are all read from here. Elsewhere a class stands only next to code that is written for it:
how a warm start slices its weights (`search.training.warm_start`; without a rule it starts from new ones), how it runs
in integers (`quantization.integer.layers`), and what takes it (`quantization.export.legality`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, TypeAlias

from costmodel import lowering, shapes, windows
from costmodel.layer import Config, Layer, Shape
from costmodel.lowering import Lowering
from costmodel.windows import ShapeRule

LoweringRule: TypeAlias = Callable[[Layer, Config], Lowering]

INPUT: Final = "InputLayer"
#: The slot of a layer's output, or of its function.
OUTPUT_SLOT: Final = "activation"
#: Slots that hold a function; all others hold a tensor.
FUNCTION_SLOTS: Final = frozenset({OUTPUT_SLOT, "recurrent_activation"})


@dataclass(frozen=True, slots=True)
class LayerSlot:
    """A tensor or function of a layer that a quantizer can be given for.

    `field`: the part of a search space its candidates come from, None where a search leaves it alone. `needs`: the
    flag of the configuration without which it does not exist. `without`: a flag with which it does not. `in_loop`: it
    acts inside a loop over time, where no random number can be drawn. `channels`: the axes of the tensor along which
    its outputs lie, so that a scale for each channel is one for each of their elements; a vector has one scale
    whatever they are.
    """

    name: str
    field: str | None = None
    needs: str | None = None
    without: str | None = None
    in_loop: bool = False
    channels: tuple[int, ...] = (-1,)

    def exists(self, config: Mapping[str, Any]) -> bool:
        """Whether a layer of this configuration has it."""
        needed = self.needs is None or config.get(self.needs, True)
        return bool(needed) and not (self.without and config.get(self.without, False))


class ChannelRule(StrEnum):
    """What the channels (last axis) of a layer's output are."""

    OWN = "own"  #: made by the layer, whatever it reads
    SAME = "same"  #: those of its input
    MULTIPLIED = "multiplied"  #: each of its input's, `depth_multiplier` times
    MERGED = "merged"  #: those of all its inputs, which must agree
    JOINED = "joined"  #: those of its inputs one after the other, if it joins the last axis
    FLATTENED = "flattened"  #: those of every position, one position after the other
    UNKNOWN = "unknown"  #: in no fixed relation to its inputs'


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerClass:
    """What is known of one class of layers.

    `shape`: the shape of its output. `lower`: its work; None where it does nothing at inference. `slots`: what can be
    quantized, in the order of a search. `priced`: further tensors whose type a price takes; the output
    ("activation") is one of every class. `width`: the field of the configuration that holds its width.
    `tunable`: a search may change that width. `searched`: a search quantizes the class where its limits cover it.
    `linear`: sums products with a kernel. `folded`: the class that is this one with a batch normalization folded in
    (`costmodel.foldable`). `inner`: classes of the layer it runs. `keras`: one of Keras'
    own classes, which may be uploaded and built; the others are defined here.
    """

    shape: ShapeRule
    lower: LoweringRule | None = None
    channels: ChannelRule = ChannelRule.SAME
    slots: tuple[LayerSlot, ...] = ()
    priced: tuple[str, ...] = ()
    width: str | None = None
    tunable: bool = False
    searched: bool = False
    linear: bool = False
    folded: str | None = None
    inner: tuple[str, ...] = ()
    unpriced: Mapping[str, str] = field(default_factory=dict, hash=False)
    keras: bool = True

    def output_shape(self, layer: Layer) -> Shape:
        """The shape of a layer of this class. Raises `InvalidNetwork`, for a field that is `unpriced` too."""
        for name, remedy in self.unpriced.items():
            if layer.config.get(name):
                raise layer.reader.error(name, f"is not supported; {remedy}")
        return self.shape(layer.reader, layer.input_shapes)


_KERNEL: Final = LayerSlot("kernel", "kernel")
_BIAS: Final = LayerSlot("bias", "bias", needs="use_bias")
_ACTIVATION: Final = LayerSlot("activation", "activation")
_SUMS: Final = (_KERNEL, _BIAS, _ACTIVATION)
#: The kernel of a transposed convolution: ..., outputs, inputs.
_SUMS_BACK: Final = (LayerSlot("kernel", "kernel", channels=(-2,)), *_SUMS[1:])
_DEPTHWISE: Final = (LayerSlot("kernel", "depthwise_kernel", channels=(-2, -1)), _BIAS, _ACTIVATION)
_SEPARABLE: Final = (*_DEPTHWISE, LayerSlot("pointwise_kernel", "pointwise_kernel"))
_OUTPUT: Final = (_ACTIVATION,)
_RESULT: Final = LayerSlot("activation", "output")  #: of a layer without a function
_AVERAGE: Final = (LayerSlot("average"), _RESULT)
_SCALE: Final = (LayerSlot("gamma", needs="scale"), LayerSlot("beta", needs="center", without="rms_scaling"))
_BATCH_NORM: Final = (
    LayerSlot("gamma", needs="scale"),
    LayerSlot("variance"),
    LayerSlot("inverse", "normalization"),  # gamma / sqrt(variance + epsilon) as one number, in place of both
    LayerSlot("mean", "normalization"),
    LayerSlot("beta", "normalization", needs="center"),
    LayerSlot("activation", "linear"),
)
_RECURRENT: Final = (
    _KERNEL,
    LayerSlot("recurrent_kernel", "recurrent_kernel"),
    _BIAS,
    LayerSlot("activation", "activation", in_loop=True),
    LayerSlot("state", "state", in_loop=True),
)
_GATED: Final = (*_RECURRENT, LayerSlot("recurrent_activation", "recurrent_activation", in_loop=True))
#: Two rows, added to the input's and to the state's products: one scale, as a vector has.
_GRU: Final = tuple(replace(slot, channels=()) if slot.name == "bias" else slot for slot in _GATED)
_HEADS: Final = ("query", "key", "value")  # kernel: inputs, heads, width of a head; bias: heads, width
_ATTENTION: Final = (
    *(LayerSlot(f"{name}_kernel", "kernel", channels=(-2, -1)) for name in _HEADS),
    LayerSlot("output_kernel", "kernel"),
    *(LayerSlot(f"{name}_bias", "bias", needs="use_bias", channels=()) for name in _HEADS),
    LayerSlot("output_bias", "bias", needs="use_bias"),
    LayerSlot("kernel"),  # of all projections that are not named themselves
    LayerSlot("bias", needs="use_bias"),
    LayerSlot("activation"),
)
_RANKS: Final = (1, 2, 3)
_NO_ADAPTERS: Final = {
    "lora_rank": "merge the adapter into the weights and build the layer without lora_rank"
}
_NO_GATE: Final = {
    "use_gate": "set it to false, or multiply by a Dense layer with a sigmoid behind the attention"
}


def _moved(shape: ShapeRule, channels: ChannelRule = ChannelRule.SAME) -> LayerClass:
    return LayerClass(shape=shape, lower=lowering.rearranged, channels=channels)


_DENSE: Final = LayerClass(
    shape=shapes.dense,
    lower=lowering.dense,
    channels=ChannelRule.OWN,
    slots=_SUMS,
    width="units",
    tunable=True,
    searched=True,
    linear=True,
    unpriced=_NO_ADAPTERS,
)
_CONV: Final = replace(_DENSE, lower=lowering.conv, width="filters")
_TRANSPOSED: Final = replace(_CONV, lower=lowering.transposed, slots=_SUMS_BACK)
_SEPARABLE_CONV: Final = replace(_CONV, lower=lowering.separable, slots=_SEPARABLE)
_DEPTHWISE_CONV: Final = LayerClass(
    shape=windows.depthwise(2),
    lower=lowering.depthwise,
    channels=ChannelRule.MULTIPLIED,
    slots=_DEPTHWISE,
    searched=True,
    linear=True,
)
_LSTM: Final = LayerClass(
    shape=shapes.recurrent,
    lower=lowering.recurrent,
    channels=ChannelRule.OWN,
    slots=_GATED,
    width="units",
    searched=True,
)
_FUNCTION: Final = LayerClass(shape=shapes.same, lower=lowering.activation)
_MERGE: Final = LayerClass(
    shape=shapes.merged(), lower=lowering.merge, channels=ChannelRule.MERGED, slots=(_RESULT,)
)
#: Classes that change images at random while training.
AUGMENTATIONS: Final = (
    *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomShear"),
    *("RandomBrightness", "RandomContrast", "RandomGrayscale", "RandomSaturation", "RandomHue"),
)
#: What comes behind the name of a class that a batch normalization is folded into.
_FOLDED_NAME: Final = "BatchNormalization"


def _foldable(rows: Mapping[str, LayerClass]) -> dict[str, LayerClass]:
    """These rows, and those of the classes that have a batch normalization folded in: they always have a bias."""
    whole = {name: replace(row, folded=name + _FOLDED_NAME) for name, row in rows.items()}
    for name, row in rows.items():
        assert row.lower is not None  # they sum products
        slots = tuple(replace(slot, needs=None) if slot == _BIAS else slot for slot in row.slots)
        whole[name + _FOLDED_NAME] = replace(row, lower=lowering.folded(row.lower), slots=slots, keras=False)
    return whole


#: Class of layer -> its row.
LAYER_CLASSES: Final[Mapping[str, LayerClass]] = {
    INPUT: LayerClass(shape=shapes.source, channels=ChannelRule.OWN, slots=(LayerSlot(OUTPUT_SLOT),)),
    # --- a kernel multiplied in and summed up
    **_foldable(
        {
            "Dense": _DENSE,
            "Conv1D": replace(_CONV, shape=windows.conv(1)),
            "Conv2D": replace(_CONV, shape=windows.conv(2)),
            "Conv1DTranspose": replace(_TRANSPOSED, shape=windows.transposed(1)),
            "Conv2DTranspose": replace(_TRANSPOSED, shape=windows.transposed(2)),
            "DepthwiseConv1D": replace(_DEPTHWISE_CONV, shape=windows.depthwise(1)),
            "DepthwiseConv2D": replace(_DEPTHWISE_CONV, shape=windows.depthwise(2)),
            "SeparableConv1D": replace(_SEPARABLE_CONV, shape=windows.separable(1)),
            "SeparableConv2D": replace(_SEPARABLE_CONV, shape=windows.separable(2)),
        }
    ),
    "Conv3D": replace(_CONV, shape=windows.conv(3), tunable=False, searched=False),
    "Conv3DTranspose": replace(_TRANSPOSED, shape=windows.transposed(3), tunable=False, searched=False),
    # --- pooling
    **{
        f"MaxPooling{rank}D": LayerClass(
            shape=windows.pooling(rank), lower=lowering.pool_max, slots=(_RESULT,)
        )
        for rank in _RANKS
    },
    **{
        f"GlobalMaxPooling{rank}D": LayerClass(
            shape=windows.global_pooling(rank), lower=lowering.pool_max, slots=(_RESULT,)
        )
        for rank in _RANKS
    },
    **{
        f"AveragePooling{rank}D": LayerClass(
            shape=windows.pooling(rank), lower=lowering.pool_average, slots=_AVERAGE
        )
        for rank in _RANKS
    },
    **{
        f"GlobalAveragePooling{rank}D": LayerClass(
            shape=windows.global_pooling(rank), lower=lowering.pool_average, slots=_AVERAGE
        )
        for rank in _RANKS
    },
    # --- normalization
    "BatchNormalization": LayerClass(
        shape=shapes.same, lower=lowering.batch_norm, slots=_BATCH_NORM, searched=True
    ),
    "LayerNormalization": LayerClass(
        shape=shapes.along_axes, lower=lowering.layer_norm, slots=(*_SCALE, _RESULT)
    ),
    "GroupNormalization": LayerClass(
        shape=shapes.in_groups, lower=lowering.group_norm, slots=(*_SCALE, _RESULT)
    ),
    "RMSNormalization": LayerClass(
        shape=shapes.along_axes, lower=lowering.rms_norm, slots=(LayerSlot("gamma"), _RESULT)
    ),
    "UnitNormalization": LayerClass(shape=shapes.along_axes, lower=lowering.unit_norm, slots=(_RESULT,)),
    # --- constants multiplied in and added
    "Rescaling": LayerClass(shape=shapes.rescaled, lower=lowering.rescaled, slots=(_RESULT,)),
    "Normalization": LayerClass(shape=shapes.statistics_along, lower=lowering.rescaled),
    # --- sequences
    "SimpleRNN": replace(_LSTM, slots=_RECURRENT),
    "LSTM": _LSTM,
    "GRU": replace(_LSTM, slots=_GRU),
    "Bidirectional": replace(
        _LSTM, shape=shapes.bidirectional, lower=lowering.bidirectional, width=None, inner=shapes.RECURRENT
    ),
    "Embedding": LayerClass(
        shape=shapes.embedding,
        lower=lowering.embedding,
        channels=ChannelRule.OWN,
        slots=(LayerSlot("embeddings", "embeddings"),),
        priced=("kernel",),
        searched=True,
        unpriced=_NO_ADAPTERS,
    ),
    "MultiHeadAttention": LayerClass(
        shape=shapes.attention,
        lower=lowering.attention,
        channels=ChannelRule.OWN,
        slots=_ATTENTION,
        priced=("query", "key", "value", "scores", "context"),
        searched=True,
        unpriced=_NO_GATE,
    ),
    # --- a function of every number
    "Activation": replace(_FUNCTION, slots=_OUTPUT, searched=True),
    "PReLU": replace(_FUNCTION, slots=(LayerSlot("alpha", "alpha"), *_OUTPUT), searched=True),
    **dict.fromkeys(("ReLU", "LeakyReLU", "ELU"), replace(_FUNCTION, slots=_OUTPUT, searched=True)),
    "Softmax": replace(_FUNCTION, slots=_OUTPUT, shape=shapes.along_axes),
    "Shiftmax": replace(_FUNCTION, slots=_OUTPUT, keras=False),
    # --- numbers moved, none computed
    "Flatten": _moved(shapes.flatten, ChannelRule.FLATTENED),
    "Reshape": _moved(shapes.reshape, ChannelRule.UNKNOWN),
    "Permute": _moved(shapes.permute, ChannelRule.UNKNOWN),
    "RepeatVector": _moved(shapes.repeat, ChannelRule.UNKNOWN),
    **{f"ZeroPadding{rank}D": _moved(windows.padded(rank)) for rank in _RANKS},
    **{f"Cropping{rank}D": _moved(windows.cropped(rank)) for rank in _RANKS},
    "Slice": replace(_moved(shapes.sliced, ChannelRule.UNKNOWN), keras=False),
    "CenterCrop": _moved(windows.center_cropped),
    "Resizing": LayerClass(shape=windows.resized, lower=lowering.resized, slots=(_RESULT,)),
    "Masking": LayerClass(shape=shapes.same, lower=lowering.masked),
    **{f"UpSampling{rank}D": replace(_moved(windows.upsampled(rank)), slots=(_RESULT,)) for rank in _RANKS},
    # --- several inputs
    **dict.fromkeys(("Add", "Multiply", "Average", "Maximum", "Minimum"), _MERGE),
    "Subtract": replace(_MERGE, shape=shapes.merged(2, 2)),
    "Concatenate": replace(_MERGE, shape=shapes.concatenated, channels=ChannelRule.JOINED),
    "Dot": LayerClass(shape=shapes.dot, lower=lowering.dot, channels=ChannelRule.UNKNOWN, slots=(_RESULT,)),
    # --- nothing at inference
    **dict.fromkeys(
        (
            *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout"),
            *("GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity"),
        ),
        LayerClass(shape=shapes.same),
    ),
    **dict.fromkeys(AUGMENTATIONS, LayerClass(shape=windows.augmented)),
}

#: Classes that only act while training.
TRAINING_ONLY: Final = frozenset(name for name, row in LAYER_CLASSES.items() if row.lower is None) - {INPUT}
#: Keras' own classes: those that may be uploaded, and built.
KERAS_LAYERS: Final = frozenset(name for name, row in LAYER_CLASSES.items() if row.keras)
#: Classes without slots that are defined here, by the names that Keras registers them under: operators become them.
DEFINED_LAYERS: Final[Mapping[str, str]] = {"fewbits>Slice": "Slice"}
#: Classes that a job may name in its limits.
SEARCHED_LAYERS: Final = tuple(
    sorted(name for name, row in LAYER_CLASSES.items() if row.searched and row.keras)
)
#: Classes that are a function of every number.
FUNCTION_LAYERS: Final = frozenset(
    name for name, row in LAYER_CLASSES.items() if row.keras and row.lower is lowering.activation
)
#: Classes without a function whose output may be quantized: merges, poolings, normalizations of single examples.
OUTPUT_LAYERS: Final = frozenset(name for name, row in LAYER_CLASSES.items() if _RESULT in row.slots)


def lower(layer: Layer) -> Lowering | None:
    """The work of one layer; None where it does nothing at inference. Raises `InvalidNetwork`."""
    rule = LAYER_CLASSES[layer.class_name].lower
    return None if rule is None else rule(layer, layer.reader)


def width_field(class_name: str) -> str | None:
    """The field of the configuration that holds the width of a layer of this class; None where it has none."""
    row = LAYER_CLASSES.get(class_name)
    return None if row is None else row.width


def unwrapped(class_name: str, config: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Class and configuration of the layer that holds the tensors: the inner one of a Bidirectional."""
    if LAYER_CLASSES[class_name].inner:
        return config["layer"]["class_name"], config["layer"]["config"]
    return class_name, config


def slots_of(class_name: str, config: Mapping[str, Any]) -> tuple[LayerSlot, ...]:
    """What can be quantized of a layer of this class and configuration."""
    class_name, config = unwrapped(class_name, config)
    return tuple(slot for slot in LAYER_CLASSES[class_name].slots if slot.exists(config))


def channel_axes(class_name: str, slot: str) -> tuple[int, ...]:
    """The axes of a slot's tensor along which its channels lie: one scale for each of their elements."""
    row = LAYER_CLASSES.get(class_name)
    slots = () if row is None else row.slots
    return next((entry.channels for entry in slots if entry.name == slot), (-1,))


def priced_slots(layer: Layer) -> tuple[str, ...]:
    """Names of the tensors whose type the price of a layer takes; none where it only acts in training."""
    row = LAYER_CLASSES[layer.class_name]
    if layer.class_name in TRAINING_ONLY:
        return ()
    names = [slot.name for slot in slots_of(layer.class_name, layer.config)]
    return tuple(dict.fromkeys((*names, *row.priced, OUTPUT_SLOT)))
