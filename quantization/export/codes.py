"""The integer codes of a model's weights, with their output channels last."""

from __future__ import annotations

import keras
import numpy as np

from quantization.models.convert import quantized_layers


def weight_codes(model: keras.Model) -> dict[str, dict[str, np.ndarray]]:
    """Layer -> slot -> codes (int64) of every quantized weight; along the last axis are its channels.

    Several axes of channels, as a depthwise kernel has, become one. Slots without channels, and slots whose levels have
    no whole codes, keep their shape. The model must be built.
    """
    return {
        layer.name: {
            slot: channels_last(codes, layer.channel_axes(slot))
            for slot, (codes, _) in layer.quantized_weights().items()
        }
        for layer in quantized_layers(model)
    }


def channels_last(codes: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """A tensor with its axes of channels as one, the last; those without channels, and vectors, as they are."""
    axes = tuple(sorted(axis % codes.ndim for axis in axes if -codes.ndim <= axis < codes.ndim))
    if not axes or codes.ndim < 2:
        return codes
    moved = np.moveaxis(codes, axes, range(codes.ndim - len(axes), codes.ndim))
    return moved.reshape((*moved.shape[: codes.ndim - len(axes)], -1))
