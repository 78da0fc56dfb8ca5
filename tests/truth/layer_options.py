"""Every class of the table of layers with all its options, drawn at random: (input shapes, arguments of Keras)."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from costmodel.layer_classes import AUGMENTATIONS, KERAS_LAYERS

flag = st.booleans()
size = st.integers(1, 5)
length = st.integers(3, 8)
width = st.integers(1, 3)
Drawn = tuple[list[tuple[int, ...]], dict[str, Any]]


def options(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments, each drawn by itself."""
    return st.fixed_dictionaries(fields)


def of(
    shape: st.SearchStrategy[tuple[int, ...]], **fields: st.SearchStrategy[Any]
) -> st.SearchStrategy[Drawn]:
    """One input of a drawn shape, and arguments."""
    return st.tuples(shape.map(lambda drawn: [drawn]), options(**fields))


def places(rank: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Lengths of `rank` spatial axes and of the channels."""
    return st.tuples(*[length] * rank, size)


def per_axis(rank: int, number: st.SearchStrategy[int]) -> st.SearchStrategy[Any]:
    """One number for all axes, or one each."""
    return number | st.tuples(*[number] * rank)


@st.composite
def convolution(draw: Any, class_name: str, rank: int) -> Drawn:
    """Convolutions of every sort; Keras takes either strides or dilation."""
    depthwise = class_name.startswith("Depthwise")
    causal = ["causal"] if class_name == "Conv1D" else []
    config: dict[str, Any] = {
        "kernel_size": draw(per_axis(rank, width)),
        "padding": draw(st.sampled_from(["valid", "same", *causal])),
        "use_bias": draw(flag),
    }
    shape = draw(places(rank))
    if not depthwise:
        config["filters"] = draw(size)
    if class_name.startswith(("Depthwise", "Separable")):
        config["depth_multiplier"] = draw(width)
    elif "Transpose" not in class_name and draw(flag):
        config["groups"] = groups = draw(st.integers(2, 3))
        config["filters"] *= groups
        shape = (*shape[:-1], shape[-1] * groups)
    spread = draw(st.sampled_from(["strides", "dilation_rate", ""]))
    if spread and not (spread == "dilation_rate" and "Transpose" in class_name):
        same = draw(width)  # TensorFlow strides depthwise convolutions alike along both axes
        config[spread] = (
            same if class_name.startswith(("Depthwise", "Separable")) else draw(per_axis(rank, width))
        )
    return [shape], config


def pooling(rank: int) -> st.SearchStrategy[Drawn]:
    """Windows of any size."""
    return of(
        places(rank),
        pool_size=per_axis(rank, width),
        strides=st.none() | per_axis(rank, width),
        padding=st.sampled_from(["valid", "same"]),
    )


def margins(name: str, rank: int) -> st.SearchStrategy[Drawn]:
    """Numbers put in or left out on both sides of each axis."""
    small = st.integers(0, 1)
    pair = st.tuples(small, small)
    return of(places(rank), **{name: small | (pair if rank == 1 else st.tuples(*[pair] * rank))})


def merging(most: int = 4, least: int = 2) -> st.SearchStrategy[Drawn]:
    """Inputs that broadcast to one shape, of different ranks too."""

    def inputs(shape: tuple[int, ...]) -> st.SearchStrategy[list[tuple[int, ...]]]:
        one = st.tuples(st.integers(0, len(shape) - 1), st.tuples(*[flag] * len(shape))).map(
            lambda cut: tuple(1 if flat else n for n, flat in zip(shape, cut[1], strict=True))[cut[0] :]
        )
        return st.lists(one, min_size=least, max_size=most)

    shapes = st.lists(size, min_size=1, max_size=3).map(tuple).flatmap(inputs)
    return st.tuples(shapes, st.just({}))


RECURRENT_OPTIONS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "SimpleRNN": {},
    "LSTM": {"unit_forget_bias": flag},
    "GRU": {"reset_after": flag},
}


def recurrent_options(class_name: str, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments of a recurrent layer."""
    fields = {"units": size, "use_bias": flag, "go_backwards": flag, "return_sequences": flag}
    dropout = st.sampled_from([0.0, 0.5])
    return options(**{**fields, "dropout": dropout, **RECURRENT_OPTIONS[class_name], **more})


@st.composite
def bidirectional(draw: Any) -> Drawn:
    """One layer run both ways, or another one backwards."""
    sequences = draw(flag)
    merge_mode = draw(st.sampled_from(["concat", "sum", "mul", "ave"]))

    def inner(**fixed: Any) -> Any:
        class_name = draw(st.sampled_from(sorted(RECURRENT_OPTIONS)))
        config = draw(recurrent_options(class_name)) | {"return_sequences": sequences} | fixed
        return class_name, config

    config: dict[str, Any] = {"layer": inner(go_backwards=False), "merge_mode": merge_mode}
    if draw(flag):
        config["backward_layer"] = inner(go_backwards=True, units=config["layer"][1]["units"])
    return [draw(places(1))], config


@st.composite
def attention(draw: Any) -> Drawn:
    """Query, value and perhaps a key, with other features each."""
    positions = draw(length)
    shapes = [(draw(length), draw(size)), (positions, draw(size)), (positions, draw(size))]
    config = {
        "num_heads": draw(width),
        "key_dim": draw(size),
        "value_dim": draw(st.none() | size),
        "output_shape": draw(st.none() | size),
        "use_bias": draw(flag),
        "dropout": draw(st.sampled_from([0.0, 0.5])),
    }
    return shapes[: draw(st.integers(2, 3))], config


@st.composite
def normalized(draw: Any, several: bool, **fields: st.SearchStrategy[Any]) -> Drawn:
    """A normalization along one axis, or several."""
    shape = tuple(draw(st.lists(size, min_size=1, max_size=3)))
    rank = len(shape)
    one = st.integers(1, rank) | st.integers(-rank, -1)
    axis: Any = draw(one)
    if several and draw(flag):
        axis = draw(st.lists(st.integers(1, rank), min_size=1, unique=True))
    return [shape], {"axis": axis, **draw(options(**fields))}


@st.composite
def prelu(draw: Any) -> Drawn:
    """Slopes shared along axes, named as a list index: -1 is the last but one."""
    shape = tuple(draw(st.lists(size, min_size=1, max_size=3)))
    axes = st.lists(st.integers(1 - len(shape), len(shape)), max_size=3)
    return [shape], {"shared_axes": draw(st.none() | axes)}


@st.composite
def dot(draw: Any) -> Drawn:
    """Two matrices, or two vectors."""
    features = draw(size)
    if draw(flag):
        return [(features,), (features,)], {"axes": draw(st.sampled_from([1, -1])), "normalize": draw(flag)}
    axes = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    shapes = [[draw(size), draw(size)] for _ in axes]
    for shape, axis in zip(shapes, axes, strict=True):
        shape[axis - 1] = features
    return [tuple(shape) for shape in shapes], {"axes": axes, "normalize": draw(flag)}


@st.composite
def joined(draw: Any) -> Drawn:
    """Inputs that differ along one axis."""
    shape = list(draw(st.lists(size, min_size=1, max_size=3)))
    place = draw(st.integers(0, len(shape) - 1))
    shapes = [(*shape[:place], n, *shape[place + 1 :]) for n in draw(st.lists(size, min_size=2, max_size=4))]
    return shapes, {"axis": draw(st.sampled_from([place + 1, place - len(shape)]))}


some = st.lists(size, min_size=1, max_size=3).map(tuple)
_CONVOLUTIONS = tuple(name for name in KERAS_LAYERS if "Conv" in name)
_NOISE = ("Dropout", "GaussianDropout", "AlphaDropout")

#: Class -> its inputs and arguments.
OPTIONS: dict[str, st.SearchStrategy[Drawn]] = {
    "Dense": of(some, units=size, use_bias=flag),
    **{name: convolution(name, int(name.split("Conv")[1][0])) for name in _CONVOLUTIONS},
    **{f"{kind}Pooling{n}D": pooling(n) for kind in ("Max", "Average") for n in (1, 2, 3)},
    **{
        f"Global{kind}Pooling{n}D": of(places(n), keepdims=flag)
        for kind in ("Max", "Average")
        for n in (1, 2, 3)
    },
    "BatchNormalization": normalized(False, scale=flag, center=flag, renorm=flag),
    "LayerNormalization": normalized(True, scale=flag, center=flag, rms_scaling=flag),
    "GroupNormalization": st.tuples(width, width, places(1)).map(
        lambda drawn: ([(*drawn[2][:-1], drawn[0] * drawn[1])], {"groups": drawn[0]})
    ),
    "RMSNormalization": of(some),
    "UnitNormalization": of(some),
    "Rescaling": of(some, scale=st.sampled_from([0.5, -1.0, 0.3]), offset=st.sampled_from([0.0, 0.1])),
    "Normalization": of(some, mean=st.just(1.0), variance=st.just(4.0), invert=flag),
    "Masking": of(st.tuples(size, size), mask_value=st.just(0.0)),
    "CenterCrop": of(places(2), height=width, width=width),
    "Resizing": of(
        places(2), height=length, width=length, interpolation=st.sampled_from(["nearest", "bilinear"])
    ),
    **{name: of(places(2), factor=st.just(0.25)) for name in AUGMENTATIONS[5:]},
    **{name: of(places(2)) for name in ("RandomFlip", "RandomShear")},
    "RandomRotation": of(places(2), factor=st.just(0.25)),
    "RandomZoom": of(places(2), height_factor=st.just(0.25)),
    "RandomTranslation": of(places(2), height_factor=st.just(0.25), width_factor=st.just(0.25)),
    **{
        name: st.tuples(places(1).map(lambda shape: [shape]), recurrent_options(name))
        for name in RECURRENT_OPTIONS
    },
    "Bidirectional": bidirectional(),
    "Embedding": of(some, input_dim=size, output_dim=size, mask_zero=flag),
    "MultiHeadAttention": attention(),
    "Activation": of(some, activation=st.sampled_from(["linear", "relu", "softmax", "tanh", "gelu"])),
    "PReLU": prelu(),
    "ReLU": of(some, max_value=st.none() | st.just(6.0), negative_slope=st.sampled_from([0.0, 0.25])),
    "LeakyReLU": of(some, negative_slope=st.sampled_from([0.25, 0.3])),
    "ELU": of(some),
    "Softmax": of(some),
    "Flatten": of(some),
    "Reshape": some.flatmap(
        lambda shape: st.tuples(st.just([shape]), options(target_shape=st.permutations(shape)))
    ),
    "Permute": of(st.tuples(size, size, size), dims=st.permutations([1, 2, 3])),
    "RepeatVector": of(st.tuples(size), n=size),
    **{f"ZeroPadding{n}D": margins("padding", n) for n in (1, 2, 3)},
    **{f"Cropping{n}D": margins("cropping", n) for n in (1, 2, 3)},
    "UpSampling1D": of(places(1), size=width),
    "UpSampling2D": of(places(2), size=per_axis(2, width)),
    "UpSampling3D": of(places(3), size=per_axis(3, width)),
    **{name: merging() for name in ("Add", "Multiply", "Average", "Maximum", "Minimum")},
    "Subtract": merging(2),
    "Concatenate": joined(),
    "Dot": dot(),
    **{name: of(some, rate=st.just(0.5)) for name in _NOISE},
    **{f"SpatialDropout{n}D": of(places(n), rate=st.just(0.5)) for n in (1, 2, 3)},
    "Identity": of(some),
    "GaussianNoise": of(some, stddev=st.just(0.1)),
    "ActivityRegularization": of(some, l2=st.just(0.1)),
}
