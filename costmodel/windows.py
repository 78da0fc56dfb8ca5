"""Shapes of layers whose windows move over positions: convolutions, pooling, padding, cropping, repeating."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from costmodel.layer import Config, Shape

Inputs: TypeAlias = tuple[Shape, ...]
ShapeRule: TypeAlias = Callable[[Config, Inputs], Shape]
PADDINGS: Final = ("valid", "same")
INTERPOLATIONS: Final = ("nearest", "bilinear")


def spatial_rank(class_name: str) -> int:
    """Spatial axes of a layer, read from its class name: 2 for Conv2D."""
    return next((rank for rank in (1, 2, 3) if f"{rank}D" in class_name), 0)


def only_input(config: Config, inputs: Inputs, rank: int | None = None, least: int = 0) -> Shape:
    """The one input shape; `rank` axes if given, at least `least` otherwise."""
    if len(inputs) != 1:
        raise config.error("inbound_nodes", f"takes one input, has {len(inputs)}")
    shape = inputs[0]
    if rank is not None and len(shape) != rank:
        raise config.error("input_shape", f"needs {rank} axes behind the batch, has {shape}")
    if len(shape) < least:
        raise config.error("input_shape", f"needs at least {least} axes behind the batch, has {shape}")
    return shape


def _windows(
    config: Config, sizes: Shape, kernel: Shape, strides: Shape, dilation: Shape, padding: str
) -> Shape:
    lengths = []
    for size, width, stride, spread in zip(sizes, kernel, strides, dilation, strict=True):
        reach = spread * (width - 1) + 1
        length = (size - reach) // stride + 1 if padding == "valid" else -(-size // stride)
        if length < 1:
            raise config.error("kernel_size", f"a window of {reach} does not fit into {size}")
        lengths.append(length)
    return tuple(lengths)


def _convolved(config: Config, inputs: Inputs, rank: int, paddings: tuple[str, ...] = PADDINGS) -> Shape:
    """Spatial lengths after a convolution of `rank` spatial axes."""
    shape = only_input(config, inputs, rank + 1)
    config.channels_last()
    kernel = config.integers("kernel_size", rank)
    strides = config.integers("strides", rank, 1)
    dilation = config.integers("dilation_rate", rank, 1)
    padding = config.choice("padding", "valid", paddings)
    _check_dilation(config, strides, dilation)
    return _windows(config, shape[:-1], kernel, strides, dilation, padding)


def _check_dilation(config: Config, strides: Shape, dilation: Shape) -> None:
    """Keras builds no convolution that both strides and dilates."""
    if max(strides) > 1 and max(dilation) > 1:
        raise config.error(
            "dilation_rate", f"{dilation} together with strides {strides} cannot be built: set one to 1"
        )


def conv(rank: int) -> ShapeRule:
    """Conv1D, Conv2D, Conv3D, grouped and dilated ones too."""
    paddings = (*PADDINGS, "causal") if rank == 1 else PADDINGS

    def rule(config: Config, inputs: Inputs) -> Shape:
        spatial = _convolved(config, inputs, rank, paddings)
        filters, groups = config.integer("filters"), config.integer("groups", 1)
        channels = inputs[0][-1]
        if channels % groups or filters % groups:
            raise config.error(
                "groups", f"{groups} does not divide {channels} channels and {filters} filters"
            )
        return (*spatial, filters)

    return rule


def depthwise(rank: int) -> ShapeRule:
    """DepthwiseConv1D, DepthwiseConv2D."""

    def rule(config: Config, inputs: Inputs) -> Shape:
        spatial = _convolved(config, inputs, rank)
        return (*spatial, inputs[0][-1] * config.integer("depth_multiplier", 1))

    return rule


def separable(rank: int) -> ShapeRule:
    """SeparableConv1D, SeparableConv2D."""

    def rule(config: Config, inputs: Inputs) -> Shape:
        spatial = _convolved(config, inputs, rank)
        config.integer("depth_multiplier", 1)
        return (*spatial, config.integer("filters"))

    return rule


def transposed(rank: int) -> ShapeRule:
    """Conv1DTranspose, Conv2DTranspose, Conv3DTranspose."""

    def rule(config: Config, inputs: Inputs) -> Shape:
        shape = only_input(config, inputs, rank + 1)
        config.channels_last()
        kernel = config.integers("kernel_size", rank)
        strides = config.integers("strides", rank, 1)
        dilation = config.integers("dilation_rate", rank, 1)
        padding = config.choice("padding", "valid", PADDINGS)
        extra = None
        if config.values.get("output_padding") is not None:
            extra = config.integers("output_padding", rank, least=0)
            if any(more >= stride for more, stride in zip(extra, strides, strict=True)):
                raise config.error("output_padding", f"{extra} must be smaller than the strides {strides}")
        _check_dilation(config, strides, dilation)
        spatial = tuple(
            _spread(shape[i], kernel[i], strides[i], dilation[i], padding, extra[i] if extra else None)
            for i in range(rank)
        )
        return (*spatial, config.integer("filters"))

    return rule


def _spread(size: int, kernel: int, stride: int, dilation: int, padding: str, extra: int | None) -> int:
    reach = (kernel - 1) * dilation + 1
    if padding == "valid":
        return (size - 1) * stride + reach + (max(stride - reach, 0) if extra is None else extra)
    return size * stride if extra is None else (size - 1) * stride + reach % 2 + extra


def pooling(rank: int) -> ShapeRule:
    """Maximum and average pooling."""

    def rule(config: Config, inputs: Inputs) -> Shape:
        shape = only_input(config, inputs, rank + 1)
        config.channels_last()
        pool = config.integers("pool_size", rank, 2)
        strides = pool if config.values.get("strides") is None else config.integers("strides", rank)
        padding = config.choice("padding", "valid", PADDINGS)
        return (*_windows(config, shape[:-1], pool, strides, (1,) * rank, padding), shape[-1])

    return rule


def global_pooling(rank: int) -> ShapeRule:
    """Pooling over all positions."""

    def rule(config: Config, inputs: Inputs) -> Shape:
        shape = only_input(config, inputs, rank + 1)
        config.channels_last()
        return ((1,) * rank if config.flag("keepdims", False) else ()) + shape[-1:]

    return rule


def _margins(config: Config, field: str, rank: int, default: int) -> tuple[tuple[int, int], ...]:
    """Margins before and behind each axis: one number, one a side, one an axis, or a pair an axis."""
    value: Any = config.values.get(field, default)
    if rank == 1 and isinstance(value, list | tuple) and len(value) == 2:
        value = [value]
    if not isinstance(value, list | tuple):
        value = [value] * rank
    if len(value) != rank:
        raise config.error(field, f"needs one entry for each of {rank} axes")
    pairs = [Config(config.layer, {field: item}).integers(field, 2, least=0) for item in value]
    return tuple((pair[0], pair[1]) for pair in pairs)


def padded(rank: int) -> ShapeRule:
    """ZeroPadding."""

    def rule(config: Config, inputs: Inputs) -> Shape:
        shape = only_input(config, inputs, rank + 1)
        config.channels_last()
        margins = _margins(config, "padding", rank, 1)
        return (*(n + sum(margin) for n, margin in zip(shape[:-1], margins, strict=True)), shape[-1])

    return rule


def cropped(rank: int) -> ShapeRule:
    """Cropping."""

    def rule(config: Config, inputs: Inputs) -> Shape:
        shape = only_input(config, inputs, rank + 1)
        config.channels_last()
        margins = _margins(config, "cropping", rank, 1)
        lengths = tuple(n - sum(margin) for n, margin in zip(shape[:-1], margins, strict=True))
        if min(lengths) < 1:
            raise config.error("cropping", f"leaves nothing of {shape}")
        return (*lengths, shape[-1])

    return rule


def upsampled(rank: int) -> ShapeRule:
    """UpSampling that repeats its input; interpolating would need arithmetic nobody has priced."""

    def rule(config: Config, inputs: Inputs) -> Shape:
        shape = only_input(config, inputs, rank + 1)
        config.channels_last()
        if rank == 2:
            config.choice("interpolation", "nearest", ("nearest",))
        factors = config.integers("size", rank, 2)
        return (*(n * factor for n, factor in zip(shape[:-1], factors, strict=True)), shape[-1])

    return rule


def resized(config: Config, inputs: Inputs) -> Shape:
    """Resizing to a fixed size, without a regard to proportions."""
    shape = _image(config, inputs)
    config.choice("interpolation", "bilinear", INTERPOLATIONS)
    for field in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"):
        if config.flag(field, False):
            raise config.error(field, "is not supported: set it to false")
    return (config.integer("height"), config.integer("width"), shape[-1])


def center_cropped(config: Config, inputs: Inputs) -> Shape:
    """The middle of an image, which must be as large as what is cut out of it: Keras would resize a smaller one."""
    shape = _image(config, inputs)
    size = (config.integer("height"), config.integer("width"))
    if size[0] > shape[0] or size[1] > shape[1]:
        raise config.error("height", f"{size} is larger than the image, {shape}: use a Resizing layer")
    return (*size, shape[-1])


def augmented(config: Config, inputs: Inputs) -> Shape:
    """Augmentation of images, which changes no shape."""
    return _image(config, inputs)


def _image(config: Config, inputs: Inputs) -> Shape:
    config.channels_last()
    return only_input(config, inputs, 3)
