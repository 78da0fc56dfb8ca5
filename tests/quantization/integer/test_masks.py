"""A mask changes what layers give, and no integer network has one: the layer is named."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from quantization.integer import NotInIntegers, integer_network

L = keras.layers
GRID = "quantized_bits(8,3)"


def masked(maker: Any) -> keras.Model:
    inputs = keras.Input((4,) if isinstance(maker, L.Embedding) else (4, 3), name="in")
    return keras.Model(inputs, L.GlobalAveragePooling1D(name="mean")(maker(inputs)))


@pytest.mark.parametrize(
    "maker",
    [L.Masking(name="mask"), L.Embedding(5, 3, mask_zero=True, name="mask")],
    ids=["Masking", "Embedding"],
)
def test_a_layer_that_makes_a_mask_is_named(maker: Any) -> None:
    with pytest.raises(NotInIntegers, match="'mask'"):
        integer_network(masked(maker), GRID)
