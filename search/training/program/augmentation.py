"""Augmentation of a batch inside the compiled program: a function of the batch, the seed and the number of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from search.spec.training import Augmentation, SpecAugment
from search.training.losses import TrainingTargets, plain_targets
from search.training.program.backend import RandomNumbers

Tensor = Any

#: Numbers of the streams that draw; a changed one changes every training with it.
_FLIP, _ANGLE, _ZOOM, _SHIFT, _NOISE, _CUTOUT, _MASKS, _MIXUP = range(8)


#: What lies between the seeds of two inputs of a network.
_NEXT_INPUT = 1_000_003


def augmented(
    augmentations: Sequence[Augmentation], x: Any, y: Any, seed: Tensor, step: Tensor
) -> tuple[Any, Any]:
    """The batch as it is trained on.

    `augmentations`: of each input. `x`: examples as the network takes them, a tuple where it has several inputs; `y`:
    as `training_loss` takes them. Inputs change independently of each other, but are mixed by the same shares.
    """
    inputs = x if isinstance(x, tuple) else (x,)
    inputs = tuple(
        _changed(one, part, RandomNumbers(seed + index * _NEXT_INPUT, step))
        for index, (one, part) in enumerate(zip(augmentations, inputs, strict=True))
    )
    if augmentations[0].mixup:
        inputs, y = _mixed(augmentations[0].mixup, inputs, y, RandomNumbers(seed, step))
    return (inputs if isinstance(x, tuple) else inputs[0]), y


def _changed(augmentation: Augmentation, x: Tensor, numbers: RandomNumbers) -> Tensor:
    """The examples of one input, each changed for itself."""
    if len(x.shape) == 4:
        x = _warped(augmentation, _flipped(augmentation, x, numbers), numbers)
    elif augmentation.shift:
        x = _shifted(augmentation.shift, x, numbers)
    if augmentation.spec_augment is not None:
        x = _masked(augmentation.spec_augment, x, numbers)
    if augmentation.cutout:
        x = _cut_out(augmentation.cutout, x, numbers)
    if augmentation.noise:
        x = x + augmentation.noise * numbers.normal(_NOISE, ops.shape(x))
    return x


def _per_example(x: Tensor, values: Tensor) -> Tensor:
    """One number for each example, with the rank of the batch."""
    return ops.reshape(values, (-1, *[1] * (len(x.shape) - 1)))


def _uniform(numbers: RandomNumbers, stream: int, x: Tensor, columns: int = 1) -> Tensor:
    """From 0 to 1, so many for each example."""
    return numbers.uniform(stream, (ops.shape(x)[0], columns))


def _flipped(augmentation: Augmentation, x: Tensor, numbers: RandomNumbers) -> Tensor:
    """Each example mirrored or not, with equal probability."""
    if augmentation.flip is None:
        return x
    draws = _uniform(numbers, _FLIP, x, 2) < 0.5
    for column, (axis, kinds) in enumerate(((2, ("horizontal", "both")), (1, ("vertical", "both")))):
        if augmentation.flip in kinds:
            x = ops.where(_per_example(x, draws[:, column]), ops.flip(x, axis=axis), x)
    return x


def _warped(augmentation: Augmentation, x: Tensor, numbers: RandomNumbers) -> Tensor:
    """Images rotated, zoomed and shifted about their centre in one bilinear step; the edge is repeated outside."""
    if not (augmentation.rotate or augmentation.zoom or augmentation.shift):
        return x
    height, width = x.shape[1:3]
    angle = (2 * _uniform(numbers, _ANGLE, x)[:, 0] - 1) * (augmentation.rotate * math.pi / 180)
    zoom = 1 + (2 * _uniform(numbers, _ZOOM, x)[:, 0] - 1) * augmentation.zoom
    shifts = (2 * _uniform(numbers, _SHIFT, x, 2) - 1) * augmentation.shift
    cosine, sine = ops.cos(angle) / zoom, ops.sin(angle) / zoom
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    from_x = middle_x - cosine * middle_x + sine * middle_y - shifts[:, 0] * width
    from_y = middle_y - sine * middle_x - cosine * middle_y - shifts[:, 1] * height
    zero = ops.zeros_like(angle)
    matrix = ops.stack([cosine, -sine, from_x, sine, cosine, from_y, zero, zero], axis=1)
    return ops.image.affine_transform(
        x, matrix, interpolation="bilinear", fill_mode="nearest", data_format="channels_last"
    )


def _shifted(share: float, x: Tensor, numbers: RandomNumbers) -> Tensor:
    """Series shifted in time by whole steps; the first or last step is repeated."""
    length = x.shape[1]
    shift = ops.round((2 * _uniform(numbers, _SHIFT, x) - 1) * share * length)
    steps = ops.expand_dims(ops.arange(length, dtype="float32"), 0) - shift
    places = ops.cast(ops.clip(steps, 0, length - 1), "int32")
    return ops.take_along_axis(x, ops.expand_dims(places, -1), axis=1)


def _band(numbers: Tensor, size: int, width: Tensor) -> Tensor:
    """Where an axis of this size lies in a band of this width, which begins anywhere that it fits."""
    start = numbers * (size - width)
    places = ops.expand_dims(ops.arange(size, dtype="float32") + 0.5, 0)
    return ops.logical_and(places >= start, places < start + width)


def _masked(masks: SpecAugment, x: Tensor, numbers: RandomNumbers) -> Tensor:
    """A band of times and one of frequencies set to 0 (SpecAugment: Park et al., arXiv 1904.08779)."""
    draws = _uniform(numbers, _MASKS, x, 4)
    for axis, share in ((1, masks.time), (2, masks.frequency)):
        first = 2 * (axis - 1)
        size = x.shape[axis]
        band = _band(draws[:, first : first + 1], size, draws[:, first + 1 : first + 2] * share * size)
        shape = [-1 if index == 0 else size if index == axis else 1 for index in range(len(x.shape))]
        x = ops.where(ops.reshape(band, shape), ops.zeros_like(x), x)
    return x


def _cut_out(share: float, x: Tensor, numbers: RandomNumbers) -> Tensor:
    """A rectangle of this share of both sides set to 0, anywhere inside (DeVries and Taylor, arXiv 1708.04552)."""
    draws = _uniform(numbers, _CUTOUT, x, 2)
    rows, columns = (
        _band(draws[:, index : index + 1], x.shape[index + 1], share * x.shape[index + 1])
        for index in range(2)
    )
    inside = ops.logical_and(ops.expand_dims(rows, 2), ops.expand_dims(columns, 1))
    return ops.where(ops.expand_dims(inside, -1), ops.zeros_like(x), x)


def _mixed(
    alpha: float, inputs: tuple[Tensor, ...], y: Any, numbers: RandomNumbers
) -> tuple[tuple[Tensor, ...], TrainingTargets]:
    """Each example mixed with the one at its place in the reversed batch (Zhang et al., arXiv 1710.09412)."""
    count = ops.shape(inputs[0])[0]
    first, second = (numbers.gamma(_MIXUP + index, alpha, (count,)) for index in range(2))
    share = first / ops.maximum(first + second, keras.config.epsilon())
    mixed = tuple(x * (shares := _per_example(x, share)) + ops.flip(x, axis=0) * (1 - shares) for x in inputs)
    targets = y if isinstance(y, TrainingTargets) else TrainingTargets(plain_targets(y))
    return mixed, targets._replace(share=(share,))
