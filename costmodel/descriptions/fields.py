"""The fields of Keras' layers, and what the value of each may be.

Which classes may stand in a network is said by the table of layers (`costmodel.layer_classes`); here stands what the
configuration of each holds. The names are those of Keras' constructors and of what its layers save: a test holds them
equal. A field ending in "!" must be given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from costmodel.descriptions.functions import function
from costmodel.descriptions.kinds import (
    Kind,
    Walk,
    count,
    either,
    flag,
    input_type,
    number,
    only,
    optional,
    plain,
    policy,
    some,
    word,
)
from costmodel.descriptions.objects import constraint, initializer, regularizer
from costmodel.descriptions.place import Place
from costmodel.layer_classes import LAYER_CLASSES
from costmodel.windows import spatial_rank


def _tensors(*names: str) -> str:
    return " ".join(
        f"{name}_{what}" for name in names for what in ("initializer", "regularizer", "constraint")
    )


_SUMS: Final = f"activation activity_regularizer use_bias {_tensors('bias')}"
_KERNEL: Final = f"{_tensors('kernel')} {_SUMS}"
_WINDOW: Final = "kernel_size! strides padding data_format dilation_rate"
_LORA: Final = "lora_rank lora_alpha"
_CONV: Final = f"filters! {_WINDOW} groups {_KERNEL} {_LORA}"
_TRANSPOSED: Final = f"filters! {_WINDOW} output_padding {_KERNEL}"
_DEPTHWISE: Final = f"{_WINDOW} depth_multiplier {_tensors('depthwise')} {_SUMS}"
_SEPARABLE: Final = f"filters! {_DEPTHWISE} {_tensors('pointwise')}"
_MAX_POOLING: Final = "pool_size strides padding data_format"
_SCALE: Final = f"axis epsilon center scale {_tensors('beta', 'gamma')}"
_LOOP: Final = (
    "dropout recurrent_dropout seed return_sequences return_state go_backwards stateful unroll"
    " zero_output_for_mask"
)
_RECURRENT: Final = f"units! {_KERNEL} {_tensors('recurrent')} {_LOOP}"
_GATED: Final = f"{_RECURRENT} recurrent_activation use_cudnn"
_MERGES: Final = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")
_NOISY: Final = "rate! seed"
_BOXES: Final = "bounding_box_format"
_FILLED: Final = "fill_mode fill_value interpolation seed data_format"
_BATCH_NORM: Final = (
    f"{_SCALE} momentum moving_mean_initializer moving_variance_initializer"
    " renorm renorm_clipping renorm_momentum synchronized"
)

_NORMALIZATION: Final = "BatchNormalization"  #: at the end of the names of our own folded layers

#: Fields of every layer.
COMMON: Final = "name trainable dtype"
#: Class of a layer of Keras -> its fields besides those of every layer.
KERAS_FIELDS: Final[Mapping[str, str]] = {
    "InputLayer": "batch_shape shape batch_size sparse ragged input_tensor optional",
    "Dense": f"units! {_KERNEL} {_LORA} quantization_config",
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _CONV),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _TRANSPOSED),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _DEPTHWISE),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _SEPARABLE),
    **{f"MaxPooling{rank}D": _MAX_POOLING for rank in (1, 2, 3)},
    **{f"AveragePooling{rank}D": _MAX_POOLING.replace("size", "size!") for rank in (1, 2, 3)},
    **{
        f"Global{kind}Pooling{rank}D": "data_format keepdims"
        for kind in ("Max", "Average")
        for rank in (1, 2, 3)
    },
    **{
        f"Adaptive{kind}Pooling{rank}D": "output_size! data_format"
        for kind in ("Max", "Average")
        for rank in (1, 2, 3)
    },
    "BatchNormalization": _BATCH_NORM,
    "LayerNormalization": f"{_SCALE} rms_scaling",
    "GroupNormalization": f"{_SCALE} groups",
    "RMSNormalization": "axis epsilon",
    "UnitNormalization": "axis",
    "SimpleRNN": _RECURRENT,
    "LSTM": f"{_GATED} unit_forget_bias",
    "GRU": f"{_GATED} reset_after",
    "Bidirectional": "layer! backward_layer merge_mode weights",
    "Embedding": f"input_dim! output_dim! {_tensors('embeddings')} activity_regularizer mask_zero weights {_LORA}"
    " quantization_config",
    "MultiHeadAttention": f"num_heads! key_dim! value_dim dropout use_bias output_shape attention_axes sliding_window"
    f" flash_attention use_gate seed activity_regularizer {_tensors('kernel', 'bias')}",
    "Activation": "activation!",
    "PReLU": f"shared_axes {_tensors('alpha')}",
    "ReLU": "max_value negative_slope threshold",
    "LeakyReLU": "negative_slope",
    "ELU": "alpha",
    "Softmax": "axis",
    "Flatten": "data_format",
    "Reshape": "target_shape!",
    "Permute": "dims!",
    "RepeatVector": "n!",
    "Rescaling": "scale! offset",
    "Identity": "",
    "Masking": "mask_value",
    "ZeroPadding1D": "padding data_format",
    "ZeroPadding2D": "padding data_format",
    "ZeroPadding3D": "padding data_format",
    "Cropping1D": "cropping",
    "Cropping2D": "cropping data_format",
    "Cropping3D": "cropping data_format",
    "UpSampling1D": "size",
    "UpSampling2D": "size data_format interpolation",
    "UpSampling3D": "size data_format",
    **dict.fromkeys(_MERGES, ""),
    "Concatenate": "axis",
    "Dot": "axes! normalize",
    "Dropout": f"{_NOISY} noise_shape",
    "SpatialDropout1D": _NOISY,
    "SpatialDropout2D": f"{_NOISY} data_format",
    "SpatialDropout3D": f"{_NOISY} data_format",
    "AlphaDropout": f"{_NOISY} noise_shape",
    "GaussianDropout": _NOISY,
    "GaussianNoise": "stddev! seed",
    "ActivityRegularization": "l1 l2",
    "Normalization": "axis mean variance invert",
    "CenterCrop": f"height! width! data_format factor {_BOXES}",
    "Resizing": f"height! width! interpolation crop_to_aspect_ratio pad_to_aspect_ratio fill_mode fill_value antialias"
    f" data_format factor {_BOXES}",
    "RandomFlip": f"mode seed data_format factor {_BOXES}",
    "RandomRotation": f"factor! {_FILLED} {_BOXES}",
    "RandomZoom": f"height_factor! width_factor factor {_FILLED} {_BOXES}",
    "RandomTranslation": f"height_factor! width_factor! factor {_FILLED} {_BOXES}",
    "RandomShear": f"x_factor y_factor factor {_FILLED} {_BOXES}",
    "RandomGrayscale": f"factor data_format seed {_BOXES}",
    **dict.fromkeys(
        ("RandomBrightness", "RandomContrast", "RandomSaturation", "RandomHue"),
        f"factor! value_range seed data_format {_BOXES}",
    ),
}

_COUNTS: Final = either(count(), some(count(), 1, 3))
_MARGINS: Final = either(count(0), some(either(count(0), some(count(0), 2, 2)), 1, 3))
_AXES: Final = either(count(-8, 8), some(count(-8, 8)))
_CHOSEN_AXES: Final = optional(_AXES)
_PADDING: Final = word("valid", "same")
_LENGTHS: Final = some(optional(count()), 1, 8)
_SHARE: Final = number(0, 1)
#: A number, or the least and the largest that is drawn.
_FACTOR: Final = optional(either(number(), some(number(), 2, 2)))
_NUMBERS: Final = either(number(), some(number(), 1, 4096))


def _layout(value: Any, place: Place, walk: Walk) -> str:
    """Channels on the last axis, which is also what null means."""
    only(None, "channels_last", why="only channels_last is supported: build the model with it")(
        value, place, walk
    )
    return "channels_last"


#: Field -> what its value may be; the name stands for the same in every class.
KINDS: Final[Mapping[str, Kind]] = {
    "trainable": flag,
    "dtype": policy,
    **dict.fromkeys(
        (
            "units",
            "filters",
            "groups",
            "depth_multiplier",
            "input_dim",
            "output_dim",
            "num_heads",
            "key_dim",
            "n",
        ),
        count(),
    ),
    "value_dim": optional(count()),
    **dict.fromkeys(("kernel_size", "dilation_rate", "size", "output_size"), _COUNTS),
    "pool_size": _COUNTS,
    "strides": optional(_COUNTS),
    "padding": _PADDING,
    "output_padding": optional(either(count(0), some(count(0), 1, 3))),
    "cropping": _MARGINS,
    "data_format": _layout,
    **dict.fromkeys(("axis",), _AXES),
    **dict.fromkeys(("shared_axes", "attention_axes"), _CHOSEN_AXES),
    "axes": either(count(-8, 8), some(either(count(-8, 8), some(count(-8, 8), 1, 4)), 2, 2)),
    "dims": some(count()),
    "target_shape": some(count(-1), 0, 8),
    "batch_shape": _LENGTHS,
    "noise_shape": optional(_LENGTHS),
    "output_shape": optional(either(count(), some(count()))),
    "interpolation": word("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"),
    "merge_mode": optional(word("concat", "sum", "mul", "ave")),
    **dict.fromkeys(
        (
            *("use_bias", "center", "scale", "keepdims", "rms_scaling", "return_sequences", "go_backwards"),
            *("unroll", "zero_output_for_mask", "unit_forget_bias", "reset_after", "normalize", "renorm"),
        ),
        flag,
    ),
    **dict.fromkeys(("rate", "dropout", "recurrent_dropout", "momentum", "renorm_momentum"), _SHARE),
    **dict.fromkeys(("stddev", "l1", "l2", "epsilon", "negative_slope", "threshold"), number(0)),
    **dict.fromkeys(("factor", "height_factor", "width_factor", "x_factor", "y_factor"), _FACTOR),
    **dict.fromkeys(("height", "width"), count()),
    **dict.fromkeys(("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias", "invert"), flag),
    **dict.fromkeys(("mean", "variance"), optional(_NUMBERS)),
    "value_range": some(number(), 2, 2),
    "mode": word("horizontal", "vertical", "horizontal_and_vertical"),
    "fill_mode": word("constant", "nearest", "wrap", "reflect"),
    "fill_value": number(),
    "bounding_box_format": only(None, why="boxes are not supported: set it to None"),
    "alpha": number(),
    "mask_value": number(),
    "max_value": optional(number(0)),
    "seed": optional(count(0, 2**63 - 1)),
    "renorm_clipping": optional(plain),
    "activation": function,
    "recurrent_activation": function,
    "activity_regularizer": regularizer(),
    "use_cudnn": only("auto", False, why="set it to 'auto': what cuDNN can run, it runs"),
    # --- what a search leaves at its default
    "stateful": only(
        None, False, why="a search needs layers that start every example anew: set stateful=False"
    ),
    "return_state": only(None, False, why="a layer must return one tensor: set return_state=False"),
    "weights": only(None, why="weights belong into the .keras file, not into the configuration"),
    **dict.fromkeys(
        ("lora_rank", "lora_alpha"),
        only(
            None,
            why="LoRA is not supported: merge it into the kernel first (model.save does) and set it to None",
        ),
    ),
    "quantization_config": only(
        None, why="was quantized by model.quantize(): send the float model as it was before"
    ),
    "flash_attention": only(None, False, why="flash attention is not supported: set it to None"),
    "sliding_window": only(None, why="sliding windows are not supported: set it to None"),
    "use_gate": only(None, False, why="gated attention is not supported: set it to False"),
    "synchronized": only(None, False, why="a trial runs on one device: set it to False"),
    "mask_zero": flag,
    "sparse": only(None, False, why="sparse inputs are not supported"),
    "ragged": only(None, False, why="ragged inputs are not supported"),
    "optional": only(None, False, why="optional inputs are not supported"),
    **dict.fromkeys(
        ("input_tensor", "shape", "batch_size"), only(None, why="state batch_shape, as Keras writes it")
    ),
}
#: (class, field) -> what its value may be, where the name stands for something else.
_EXCEPTIONS: Final[Mapping[tuple[str, str], Kind]] = {
    ("InputLayer", "dtype"): input_type,
    ("Conv1D", "padding"): word("valid", "same", "causal"),
    **{(f"ZeroPadding{rank}D", "padding"): _MARGINS for rank in (1, 2, 3)},
    ("BatchNormalization", "axis"): count(-8, 8),
    ("Rescaling", "scale"): _NUMBERS,
    ("Rescaling", "offset"): _NUMBERS,
    ("Normalization", "axis"): optional(either(count(-8, 8), some(count(-8, 8), 0))),
    ("GroupNormalization", "axis"): count(-8, 8),
    ("GroupNormalization", "groups"): count(-1),
}


def field_names(class_name: str) -> dict[str, bool]:
    """The fields of a class in the table of layers besides those of every layer: name -> must be given."""
    is_folded = not LAYER_CLASSES[class_name].keras
    text = KERAS_FIELDS.get(class_name.removesuffix(_NORMALIZATION) if is_folded else class_name, "")
    names = f"{text} {_BATCH_NORM}".split() if is_folded else text.split()
    return {name.rstrip("!"): name.endswith("!") for name in names}


def kind_of(class_name: str, field: str) -> Kind | None:
    """What a field of a class may be; None if it is not known."""
    tensor, _, what = field.rpartition("_")
    if what in _OBJECTS and tensor in _RANKS:
        return _OBJECTS[what](_rank(class_name, tensor))
    return _EXCEPTIONS.get((class_name, field)) or KINDS.get(field)


#: Objects that each tensor of a layer may have.
_OBJECTS: Final[Mapping[str, Callable[[int], Kind]]] = {
    "initializer": initializer,
    "regularizer": regularizer,
    "constraint": constraint,
}
#: Tensor -> its axes; None: those of the layer's kernel.
_RANKS: Final[Mapping[str, int | None]] = {
    **dict.fromkeys(("bias", "beta", "gamma", "alpha", "moving_mean", "moving_variance"), 1),
    **dict.fromkeys(("recurrent", "embeddings"), 2),
    **dict.fromkeys(("kernel", "depthwise", "pointwise"), None),
}


def _rank(class_name: str, tensor: str) -> int:
    """Axes of a tensor of a layer; of the largest, where there are several."""
    rank = _RANKS[tensor]
    if rank is not None:
        return rank
    if class_name == "MultiHeadAttention":
        return 3
    return spatial_rank(class_name) + 2
