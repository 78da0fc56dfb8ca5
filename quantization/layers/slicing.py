"""Parts of a tensor, as an index takes them: `x[:, 1:]`, `x[:, -1]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from quantization.layers.base import PACKAGE


@keras.saving.register_keras_serializable(package=PACKAGE)
class Slice(keras.layers.Layer):
    """A part of each example. `ranges`: of each axis behind the batch [start, stop, step], as Python's slices, or the
    index of the one element that is taken, whose axis goes.
    """

    def __init__(self, ranges: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ranges = [part if isinstance(part, int) else list(part) for part in ranges]
        self.supports_masking = False

    def call(self, inputs: Any) -> Any:
        """The part."""
        parts = [part if isinstance(part, int) else slice(*part) for part in self.ranges]
        return inputs[(slice(None), *parts)]

    def get_config(self) -> dict[str, Any]:
        """Every argument."""
        return dict(super().get_config()) | {"ranges": self.ranges}
