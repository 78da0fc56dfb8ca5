"""Small networks for the target akida: every order, option, layer and quantizer that a rule of it is about. Plain."""

from __future__ import annotations

from typing import Any, Final

from tests.truth.tools.net import Net, Step, branches, chain

_IMAGE: Final = (8, 8, 1)
_KERNEL: Final = "max_per_axis(4)"
_GRID: Final = "quantized_relu(4,4)"


def _conv(filters: int = 4, size: int = 3, kernel: str = _KERNEL, **config: Any) -> Step:
    values = {"filters": filters, "kernel_size": size, "padding": "same", **config}
    return Step("Conv2D", values | {"quantizers": {"kernel": kernel}})


def _separable(**config: Any) -> Step:
    slots = {"kernel": "max(4)", "pointwise_kernel": _KERNEL}
    values = {"filters": 4, "kernel_size": 3, "padding": "same", "quantizers": slots, **config}
    return Step("SeparableConv2D", values)


def _dense(units: int = 3, kernel: str = _KERNEL, **config: Any) -> Step:
    return Step("Dense", {"units": units, "quantizers": {"kernel": kernel}, **config})


def _relu(grid: str = _GRID) -> Step:
    return Step("Activation", {"activation": "relu", "quantizers": {"activation": grid}})


def _pool(kind: str = "MaxPooling2D", **config: Any) -> Step:
    return Step(
        kind, {"pool_size": 2, "padding": "same", **config} if kind != "GlobalAveragePooling2D" else config
    )


_FLAT: Final = Step("Flatten")
_NORM: Final = Step("BatchNormalization", {"axis": -1})
_MEAN: Final = _pool("GlobalAveragePooling2D")
_HEAD: Final = (_FLAT, _dense())


def _orders() -> list[Net]:
    blocks = {
        "conv, relu": (_conv(), _relu()),
        "conv, norm, relu": (_conv(), _NORM, _relu()),
        "conv, pool, relu": (_conv(), _pool(), _relu()),
        "conv, norm, pool, relu": (_conv(), _NORM, _pool(), _relu()),
        "conv, pool, norm, relu": (_conv(), _pool(), _NORM, _relu()),
        "conv, relu, pool": (_conv(), _relu(), _pool()),
        "conv, relu, norm": (_conv(), _relu(), _NORM),
        "conv, pool, pool, relu": (_conv(), _pool(), _pool(), _relu()),
        "conv, norm, norm, relu": (_conv(), _NORM, _NORM, _relu()),
        "conv, pool, relu, pool": (_conv(), _pool(), _relu(), _pool()),
        "conv, relu, relu": (_conv(), _relu(), _relu()),
        "conv without activation": (_conv(), _conv(), _relu()),
        "pool first": (_pool(), _conv(), _relu()),
        "norm first": (_NORM, _conv(), _relu()),
        "conv, Dropout, relu": (_conv(), Step("Dropout", {"rate": 0.5}), _relu()),
        "conv, relu, separable, relu": (_conv(), _relu(), _separable(), _relu()),
        "separable first": (_separable(), _relu()),
        "two convolutions": (_conv(), _relu(), _conv(), _NORM, _pool(), _relu()),
    }
    return [chain(name, _IMAGE, *steps, *_HEAD) for name, steps in blocks.items()] + [
        chain("conv, mean, relu", _IMAGE, _conv(), _MEAN, _relu(), _dense()),
        chain("conv, mean, norm, relu", _IMAGE, _conv(), _MEAN, _NORM, _relu(), _dense()),
        chain("conv, relu, mean", _IMAGE, _conv(), _relu(), _MEAN, _dense()),
        chain("dense alone", (6,), _dense()),
        chain("dense, relu, dense", (6,), _dense(5), _relu(), _dense()),
        chain("dense of an image", (4, 4, 1), _dense(5), _relu(), *_HEAD),
        chain("conv at the end", _IMAGE, _conv(), _relu(), _conv()),
        branches("two branches", _IMAGE, [_conv(), _conv()], Step("Add")),
    ]


def _options() -> list[Net]:
    convolutions = {
        "conv valid": {"padding": "valid"},
        "conv strides 2": {"strides": 2},
        "conv 5x5": {"size": 5},
        "conv 1x1": {"size": 1},
        "conv 3x5": {"kernel_size": [3, 5]},
        "conv 2x2": {"size": 2},
        "conv 4x4": {"size": 4},
        "conv 2x2 valid": {"size": 2, "padding": "valid"},
        "conv 7x7": {"size": 7},
        "conv 9x9": {"size": 9},
        "conv strides 3": {"strides": 3},
        "conv strides 4": {"strides": 4},
        "conv dilated": {"dilation_rate": 2},
        "conv without bias": {"use_bias": False},
    }
    after = {
        "conv groups": _conv(groups=2),
        "separable multiplier 2": _separable(depth_multiplier=2),
        "separable strides 2": _separable(strides=2),
        "separable dilated": _separable(dilation_rate=2),
        "inner conv dilated": _conv(dilation_rate=2),
        "inner conv 1x1": _conv(size=1),
        "inner conv 2x2": _conv(size=2),
        "inner conv 4x4": _conv(size=4),
        "inner conv 3x5": _conv(kernel_size=[3, 5]),
        "inner conv 7x7": _conv(size=7),
        "inner conv 9x9": _conv(size=9),
        "inner conv valid": _conv(padding="valid"),
        "inner conv strides 2": _conv(strides=2),
        "inner conv strides 3": _conv(strides=3),
        "separable 2x2": _separable(kernel_size=2),
        "separable 5x5": _separable(kernel_size=5),
        "separable 9x9": _separable(kernel_size=9),
        "separable valid": _separable(padding="valid"),
        "separable 7x7": _separable(kernel_size=7),
    }
    poolings = {
        "pool of other padding": _pool(padding="valid"),
        "average pool": _pool("AveragePooling2D"),
        "pool strides 1": _pool(strides=1),
        "pool of 3": _pool(pool_size=3),
    }
    functions = {
        "ReLU layer": Step("ReLU"),
        "ReLU layer with a slope": Step("ReLU", {"negative_slope": 0.125}),
        "LeakyReLU": Step("LeakyReLU", {"negative_slope": 0.125}),
        "float relu": Step("Activation", {"activation": "relu"}),
        "tanh between": Step("Activation", {"activation": "tanh"}),
    }
    return [
        *(chain(name, _IMAGE, _conv(**config), _relu(), *_HEAD) for name, config in convolutions.items()),
        *(chain(name, _IMAGE, _conv(), _relu(), step, _relu(), *_HEAD) for name, step in after.items()),
        *(chain(name, _IMAGE, _conv(), step, _relu(), *_HEAD) for name, step in poolings.items()),
        *(chain(name, _IMAGE, _conv(), step, *_HEAD) for name, step in functions.items()),
        chain(
            "norm of another axis", _IMAGE, _conv(), Step("BatchNormalization", {"axis": 1}), _relu(), *_HEAD
        ),
        chain(
            "softmax at the end",
            _IMAGE,
            _conv(),
            _relu(),
            *_HEAD,
            Step("Activation", {"activation": "softmax"}),
        ),
        chain(
            "sigmoid at the end",
            _IMAGE,
            _conv(),
            _relu(),
            *_HEAD,
            Step("Activation", {"activation": "sigmoid"}),
        ),
        chain("relu at the end", _IMAGE, _conv(), _relu(), *_HEAD, _relu()),
        chain(
            "reshape",
            _IMAGE,
            _conv(),
            _relu(),
            Step("Reshape", {"target_shape": [4, 4, 16]}),
            _conv(),
            _relu(),
            *_HEAD,
        ),
        *(
            chain(name, _IMAGE, _conv(), _relu(), _conv(), pool, _relu(), _conv(), _relu(), *_HEAD)
            for name, pool in (
                ("inner pool of 3", _pool(pool_size=3)),
                ("inner pool strides 1", _pool(strides=1)),
            )
        ),
        chain(
            "inner pool before a separable",
            _IMAGE,
            _conv(),
            _relu(),
            _conv(),
            _pool(),
            _relu(),
            _separable(),
            _relu(),
            *_HEAD,
        ),
        chain("inner pool before dense", _IMAGE, _conv(), _relu(), _conv(), _pool(), _relu(), *_HEAD),
        chain(
            "separable pool before dense", _IMAGE, _conv(), _relu(), _separable(), _pool(), _relu(), *_HEAD
        ),
        chain("inner mean before dense", _IMAGE, _conv(), _relu(), _conv(), _MEAN, _relu(), _dense()),
        chain("conv of four channels, pool", (8, 8, 4), _conv(), _pool(), _relu(), *_HEAD),
        chain("conv of four channels 1x1", (8, 8, 4), _conv(size=1), _relu(), *_HEAD),
        chain("three channels", (8, 8, 3), _conv(), _relu(), *_HEAD),
        chain("two channels", (8, 8, 2), _conv(), _relu(), *_HEAD),
    ]


def _quantizers() -> list[Net]:
    kernels = (
        "max(2)",
        "max(3)",
        "max(8)",
        "max_per_axis(2)",
        "max_per_axis(8)",
        "std(4)",
        "std_per_axis(4)",
        "std(6)",
    )
    grids = ("1,1", "2,2", "3,3", "4,4", "5,5", "8,8")
    return [
        *(
            chain(f"inner kernel in {text}", _IMAGE, _conv(), _relu(), _conv(kernel=text), _relu(), *_HEAD)
            for text in kernels
        ),
        *(
            chain(f"first kernel in {text}", _IMAGE, _conv(kernel=text), _relu(), *_HEAD)
            for text in ("max(2)", "max(3)", "max(6)", "max(7)", "max(8)")
        ),
        *(
            chain(f"relu in {text}", _IMAGE, _conv(), _relu(f"quantized_relu({text})"), *_HEAD)
            for text in grids
        ),
        *(
            chain(
                f"separable kernels in {kernel}, {pointwise}",
                _IMAGE,
                _conv(),
                _relu(),
                _separable(quantizers={"kernel": kernel, "pointwise_kernel": pointwise}),
                _relu(),
                *_HEAD,
            )
            for kernel, pointwise in (
                ("max(8)", "max_per_axis(8)"),
                ("max(4)", "max_per_axis(8)"),
                ("max(8)", "max_per_axis(4)"),
                ("max(4)", "max(4)"),
            )
        ),
        chain("dense kernel in max(8)", _IMAGE, _conv(), _relu(), _FLAT, _dense(kernel="max(8)")),
        chain("dense kernels in max(8)", (6,), _dense(5, kernel="max(8)"), _relu(), _dense()),
        chain("float kernel", _IMAGE, Step("Conv2D", {"filters": 4, "kernel_size": 3}), _relu(), *_HEAD),
    ]


NETS: Final[dict[str, Net]] = {
    net.name: net for nets in (_orders(), _options(), _quantizers()) for net in nets
}
