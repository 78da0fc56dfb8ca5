"""Small networks for the target hls4ml: every class, option, name and quantizer that a rule of it is about. Plain."""

from __future__ import annotations

from typing import Final

from tests.truth.tools.net import Net, Step, branches, chain

_SERIES: Final = (6, 3)
_IMAGE: Final = (6, 6, 2)
_ROW: Final = (5,)


def _dense(units: int = 3, **config: object) -> Step:
    return Step("Dense", {"units": units, **config})


def _conv(rank: int, **config: object) -> Step:
    return Step(f"Conv{rank}D", {"filters": 4, "kernel_size": 2, **config})


def _layer(class_name: str, **config: object) -> Step:
    return Step(class_name, config)


def _functions() -> list[Net]:
    names = (
        "relu",
        "sigmoid",
        "tanh",
        "elu",
        "selu",
        "softplus",
        "softsign",
        "hard_sigmoid",
        "linear",
    )
    names += ("gelu", "silu", "exponential", "leaky_relu", "mish")
    inside = [chain(f"Dense {name}", _ROW, _dense(activation=name)) for name in ("relu", "sigmoid", "gelu")]
    softmax = _layer("Activation", activation="softmax")
    inside += [
        chain("Dense softmax, Dense", _ROW, _dense(activation="softmax"), _dense()),
        chain("Activation softmax, Dense", _ROW, _dense(), softmax, _dense()),
    ]
    return inside + [
        chain(f"Activation {name}", _ROW, _dense(), _layer("Activation", activation=name)) for name in names
    ]


def _function_layers() -> list[Net]:
    nets = {
        "ReLU": _layer("ReLU"),
        "ReLU max_value": _layer("ReLU", max_value=1.0),
        "ReLU negative_slope": _layer("ReLU", negative_slope=0.25),
        "ReLU threshold": _layer("ReLU", threshold=0.5),
        "LeakyReLU": _layer("LeakyReLU", negative_slope=0.25),
        "ELU": _layer("ELU"),
        "PReLU": _layer("PReLU"),
    }
    return [
        *(chain(name, _ROW, _dense(), step) for name, step in nets.items()),
        chain("PReLU shared_axes", _IMAGE, _layer("PReLU", shared_axes=[1, 2])),
        chain("PReLU of a series", _SERIES, _layer("PReLU")),
        chain("Softmax, Dense", _ROW, _dense(), _layer("Softmax"), _dense()),
        chain("Softmax along the series", _SERIES, _layer("Softmax", axis=1)),
    ]


def _sums() -> list[Net]:
    return [
        chain("Dense", _ROW, _dense()),
        chain("Dense without bias", _ROW, _dense(use_bias=False)),
        chain("Dense of a series", _SERIES, _dense()),
        chain("Dense of an image", _IMAGE, _dense()),
        *(
            chain(f"Conv{rank}D {name}", shape, _conv(rank, **config))
            for rank, shape in ((1, _SERIES), (2, _IMAGE))
            for name, config in (
                ("valid", {}),
                ("same", {"padding": "same"}),
                ("strides", {"strides": 2}),
                ("strides same", {"strides": 2, "padding": "same", "kernel_size": 3}),
                ("dilated", {"dilation_rate": 2}),
                ("of one", {"kernel_size": 1}),
            )
        ),
        chain("Conv1D causal", _SERIES, _conv(1, padding="causal")),
        chain("Conv1D groups", (6, 4), _conv(1, groups=2)),
        chain("Conv2D groups", _IMAGE, _conv(2, groups=2)),
        chain("Conv3D", (4, 4, 4, 1), _conv(3)),
        chain("Conv1DTranspose", _SERIES, _layer("Conv1DTranspose", filters=2, kernel_size=2)),
        chain("Conv2DTranspose", _IMAGE, _layer("Conv2DTranspose", filters=2, kernel_size=2)),
        *(
            chain(
                f"{kind}Conv{rank}D{name}",
                shape,
                _layer(f"{kind}Conv{rank}D", kernel_size=2, **width, **config),
            )
            for rank, shape in ((1, _SERIES), (2, _IMAGE))
            for kind, width in (("Depthwise", {}), ("Separable", {"filters": 3}))
            for name, config in (
                ("", {}),
                (" multiplier 2", {"depth_multiplier": 2}),
                (" strides", {"strides": 2}),
            )
        ),
    ]


def _without_weights() -> list[Net]:
    poolings = [
        chain(f"{kind}Pooling{rank}D{name}", shape, _layer(f"{kind}Pooling{rank}D", **config))
        for rank, shape in ((1, (7, 3)), (2, (7, 7, 2)))
        for kind in ("Max", "Average")
        for name, config in (
            ("", {"pool_size": 2}),
            (" same", {"pool_size": 2, "padding": "same"}),
            (" strides", {"pool_size": 3, "strides": 1}),
        )
    ]
    everywhere = [
        chain(f"Global{kind}Pooling{rank}D{name}", shape, _layer(f"Global{kind}Pooling{rank}D", **config))
        for rank, shape in ((1, _SERIES), (2, _IMAGE))
        for kind in ("Max", "Average")
        for name, config in (("", {}), (" keepdims", {"keepdims": True}))
    ]
    return [
        *poolings,
        *everywhere,
        chain("Flatten", _IMAGE, _layer("Flatten"), _dense()),
        chain("Reshape, Dense", _IMAGE, _layer("Reshape", target_shape=[12, 6]), _dense()),
        chain("Permute 2", _SERIES, _layer("Permute", dims=[2, 1])),
        chain("Permute 3", _IMAGE, _layer("Permute", dims=[3, 1, 2])),
        chain("RepeatVector", _ROW, _layer("RepeatVector", n=3)),
        chain("ZeroPadding1D", _SERIES, _layer("ZeroPadding1D", padding=[1, 2])),
        chain("ZeroPadding2D", _IMAGE, _layer("ZeroPadding2D", padding=[[1, 0], [2, 1]])),
        chain("Cropping1D", _SERIES, _layer("Cropping1D", cropping=[1, 2])),
        chain("Cropping2D", _IMAGE, _layer("Cropping2D", cropping=[[1, 0], [2, 1]])),
        chain("UpSampling1D", _SERIES, _layer("UpSampling1D", size=2)),
        chain("UpSampling2D", _IMAGE, _layer("UpSampling2D", size=[2, 2])),
        chain("UpSampling2D bilinear", _IMAGE, _layer("UpSampling2D", size=[2, 2], interpolation="bilinear")),
        *(
            chain(f"{name} between", _ROW, _dense(), _layer(name, **config), _dense())
            for name, config in (
                ("Dropout", {"rate": 0.5}),
                ("GaussianNoise", {"stddev": 0.5}),
                ("GaussianDropout", {"rate": 0.5}),
                ("ActivityRegularization", {}),
            )
        ),
        chain("SpatialDropout1D between", _SERIES, _dense(), _layer("SpatialDropout1D", rate=0.5), _dense()),
    ]


def _normalizations() -> list[Net]:
    return [
        chain("BatchNormalization of a row", _ROW, _dense(), _layer("BatchNormalization", axis=-1)),
        chain("BatchNormalization first", _ROW, _layer("BatchNormalization", axis=-1), _dense()),
        chain("BatchNormalization of a series", _SERIES, _conv(1), _layer("BatchNormalization", axis=-1)),
        chain("BatchNormalization of an image", _IMAGE, _conv(2), _layer("BatchNormalization", axis=-1)),
        chain("BatchNormalization axis=1", _IMAGE, _conv(2), _layer("BatchNormalization", axis=1)),
        chain(
            "BatchNormalization bare",
            _ROW,
            _dense(),
            _layer("BatchNormalization", axis=-1, scale=False, center=False),
        ),
        chain(
            "BatchNormalization after relu",
            _IMAGE,
            _conv(2, activation="relu"),
            _layer("BatchNormalization", axis=-1),
        ),
        chain("LayerNormalization of a series", _SERIES, _layer("LayerNormalization", axis=-1)),
        chain("LayerNormalization of a row", _ROW, _layer("LayerNormalization", axis=-1)),
    ]


def _merges() -> list[Net]:
    classes = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    return [
        *(branches(name, _ROW, [_dense(), _dense()], _layer(name)) for name in classes),
        *(
            branches(f"{name} of three", _ROW, [_dense()] * 3, _layer(name))
            for name in ("Add", "Multiply", "Concatenate")
        ),
        branches("Add of images", _IMAGE, [_conv(2), _conv(2)], _layer("Add")),
        branches("Concatenate of images", _IMAGE, [_conv(2), _conv(2)], _layer("Concatenate", axis=-1)),
        branches(
            "Concatenate of rows of images", _IMAGE, [_conv(2), _conv(2)], _layer("Concatenate", axis=1)
        ),
        branches("Concatenate of series", _SERIES, [_conv(1), _conv(1)], _layer("Concatenate", axis=1)),
        branches("Dot of rows", _ROW, [_dense(), _dense()], _layer("Dot", axes=1)),
        branches("Dot of series", _SERIES, [_conv(1), _conv(1)], _layer("Dot", axes=1)),
        branches(
            "Add of an image and its mean",
            _IMAGE,
            [_conv(2), _conv(2, kernel_size=5), _conv(2, kernel_size=6)],
            _layer("Multiply"),
            take=(1, 2),
        ),
    ]


def _sequences() -> list[Net]:
    recurrent = [
        chain(f"{name}{text}", _SERIES, _layer(name, units=3, **config))
        for name in ("LSTM", "GRU", "SimpleRNN")
        for text, config in (
            ("", {}),
            (" returning sequences", {"return_sequences": True}),
            (" without bias", {"use_bias": False}),
        )
    ]
    return [
        *recurrent,
        chain("GRU reset before", _SERIES, _layer("GRU", units=3, reset_after=False)),
        chain("LSTM relu", _SERIES, _layer("LSTM", units=3, activation="relu")),
        chain("LSTM backwards", _SERIES, _layer("LSTM", units=3, go_backwards=True)),
        chain("Bidirectional LSTM", _SERIES, _layer("Bidirectional", layer="LSTM", units=3)),
        chain("Embedding", (4,), _layer("Embedding", input_dim=9, output_dim=2), _layer("Flatten"), _dense()),
    ]


def _names() -> list[Net]:
    texts = (
        "input",
        "a-b",
        "a b",
        "a.b",
        "1st",
        "int",
        "class",
        "weight",
        "main",
        "é",
        "Layer_1",
        "data",
        "layer2_out",
        "output",
        "softmax",
        "dense",
        "flatten",
    )
    return [
        *(chain(f"layer called {text!r}", _ROW, _dense(name=text), _dense()) for text in texts),
        chain("input called 'input'", _ROW, _dense(), start="input"),
        chain("input called 'inputs'", _ROW, _dense(), start="inputs"),
        chain("input called 'inputs_float'", _ROW, _dense(name="inputs"), _dense(), start="inputs_float"),
        chain("input called 'in-put'", _ROW, _dense(), start="in-put"),
        chain("function called 'relu'", _ROW, _dense(), _layer("Activation", name="relu", activation="relu")),
    ]


def _kernels() -> list[Net]:
    texts = (
        *("quantized_bits(6,0,1)", "quantized_bits(4,1,alpha=1.0)", "quantized_bits(4,0,1,alpha='auto_po2')"),
        *(
            "quantized_bits(4,0,1,alpha='auto')",
            "quantized_bits(4,0,1,alpha=0.25)",
            "quantized_bits(4,0,1,alpha=0.3)",
        ),
        *(
            "binary(alpha=1.0)",
            "ternary(alpha=1.0)",
            "stochastic_binary(alpha=1.0)",
            "stochastic_ternary(alpha=1.0)",
        ),
        *("quantized_po2(4)", "quantized_linear(4,0)", "quantized_relu(4,1)", "binary(alpha='auto_po2')"),
        *("quantized_tanh(4)", "quantized_ulaw(4)", "bernoulli(alpha=1.0)", "ternary(alpha='auto_po2')"),
    )
    return [chain(f"kernel in {text}", _ROW, _dense(quantizers={"kernel": text})) for text in texts]


def _activations() -> list[Net]:
    texts = (
        *(
            "quantized_relu(4,2)",
            "quantized_relu(4,2,negative_slope=0.25)",
            "quantized_relu(4,2,use_sigmoid=1)",
        ),
        *(
            "quantized_relu(6,3,relu_upper_bound=1.0,is_quantized_clip=0)",
            "quantized_bits(5,2)",
            "quantized_tanh(4)",
        ),
        *(
            "quantized_tanh(4,use_real_tanh=1)",
            "quantized_sigmoid(4)",
            "quantized_sigmoid(4,use_real_sigmoid=1)",
        ),
        *(
            "binary(alpha=1.0)",
            "binary()",
            "binary(use_01=1)",
            "ternary(alpha=1.0)",
            "ternary()",
            "ternary(threshold=0.75)",
        ),
        *(
            "quantized_relu_po2(4)",
            "quantized_po2(4)",
            "quantized_ulaw(4)",
            "quantized_linear(4,1)",
            "quantized_hswish(6,2)",
        ),
        *("bernoulli()", "stochastic_ternary(alpha=1.0)", "quantized_bits(4,1,alpha='auto')"),
    )
    return [
        chain(
            f"activation in {text}",
            _ROW,
            _dense(),
            _layer("Activation", activation="linear", quantizers={"activation": text}),
        )
        for text in texts
    ]


def _quantized_layers() -> list[Net]:
    bits = "quantized_bits(6,0,1,alpha=1.0)"
    both = {"kernel": bits, "bias": bits}
    separable = {**both, "pointwise_kernel": bits}
    recurrent = {**both, "recurrent_kernel": bits}
    return [
        chain("quantized Dense relu", _ROW, _dense(quantizers={**both, "activation": "quantized_relu(4,2)"})),
        chain("quantized Conv1D", _SERIES, _conv(1, quantizers=both)),
        chain("quantized Conv2D", _IMAGE, _conv(2, quantizers=both)),
        chain("quantized DepthwiseConv2D", _IMAGE, _layer("DepthwiseConv2D", kernel_size=2, quantizers=both)),
        chain(
            "quantized SeparableConv1D",
            _SERIES,
            _layer("SeparableConv1D", filters=3, kernel_size=2, quantizers=separable),
        ),
        chain(
            "quantized SeparableConv2D",
            _IMAGE,
            _layer("SeparableConv2D", filters=3, kernel_size=2, quantizers=separable),
        ),
        chain(
            "quantized DepthwiseConv1D", _SERIES, _layer("DepthwiseConv1D", kernel_size=2, quantizers=both)
        ),
        chain(
            "quantized Conv2DTranspose",
            _IMAGE,
            _layer("Conv2DTranspose", filters=2, kernel_size=2, quantizers=both),
        ),
        chain("quantized LSTM", _SERIES, _layer("LSTM", units=3, quantizers=recurrent)),
        chain("quantized GRU", _SERIES, _layer("GRU", units=3, quantizers=recurrent)),
        chain("quantized SimpleRNN", _SERIES, _layer("SimpleRNN", units=3, quantizers=recurrent)),
        chain(
            "Dense in po2, bias too",
            _ROW,
            _dense(quantizers={"kernel": "quantized_po2(4)", "bias": "quantized_po2(4)"}),
        ),
    ]


NETS: Final[dict[str, Net]] = {
    net.name: net
    for nets in (
        *(
            _sums(),
            _functions(),
            _function_layers(),
            _without_weights(),
            _normalizations(),
            _merges(),
            _sequences(),
        ),
        *(_names(), _kernels(), _activations(), _quantized_layers()),
    )
    for net in nets
}
