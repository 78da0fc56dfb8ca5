"""What trained weights cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.costs import CostSettings, network_cost
from costmodel.data_type import DataType, NumberFormat
from costmodel.effective import EFFECTIVE, Granularity, effective_costs, effective_document, used_bits
from costmodel.energy import prepare
from costmodel.network import read_network
from tests.costmodel.build import functional, layer, source

INT6, RELU4 = DataType(NumberFormat.FIXED, 6, 0), DataType(NumberFormat.FIXED, 4, 2, signed=False)
BIAS8 = DataType(NumberFormat.FIXED, 8, 3)


def enclosed(code: int) -> int:
    return len(bin(abs(code))[2:].strip("0"))


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=30))
def test_a_weight_uses_the_bits_between_the_first_and_the_last_one(codes: list[int]) -> None:
    assert used_bits(np.array(codes), Granularity.WEIGHT).tolist() == [enclosed(code) for code in codes]


@pytest.mark.parametrize(
    ("granularity", "expected"),
    [
        ("weight", [[1, 2, 0], [1, 1, 0]]),  # 0b100, 0b110, 0; 0b1, 0b1000, 0
        ("channel", [[3, 3, 0], [3, 3, 0]]),  # 0b101, 0b1110, 0
        ("tensor", [[4, 4, 4], [4, 4, 4]]),  # 0b1111
    ],
)
def test_weights_of_a_channel_or_a_tensor_share_their_bits(
    granularity: str, expected: list[list[int]]
) -> None:
    codes = np.array([[4, -6, 0], [-1, 8, 0]])
    assert used_bits(codes, Granularity(granularity)).tolist() == expected


def network() -> object:
    return prepare(
        read_network(
            functional(
                source("input", 6, 6, 2),
                layer("Conv2D", "conv", "input", filters=3, kernel_size=3),
                layer("Activation", "relu", "conv", activation="relu"),
                layer("Flatten", "flat", "relu"),
                layer("Dense", "dense", "flat", units=4),
            )
        )
    )


TYPES = {
    "conv": {"kernel": INT6, "bias": BIAS8},
    "relu": {"activation": RELU4},
    "dense": {"kernel": INT6, "bias": BIAS8},
}
SHAPES = {"conv": (3, 3, 2, 3), "dense": (48, 4)}


def codes_of(seed: int, largest: int, zeros: float) -> dict[str, dict[str, np.ndarray]]:
    random = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        codes = random.integers(-largest, largest + 1, shape)
        return np.where(random.random(shape) < zeros, 0, codes)

    return {name: {"kernel": drawn(*shape), "bias": drawn(shape[-1])} for name, shape in SHAPES.items()}


@given(st.integers(0, 2**16), st.integers(0, 31), st.sampled_from([0.0, 0.5, 1.0]), st.booleans())
def test_finer_widths_never_cost_more_and_types_bound_them_all(
    seed: int, largest: int, zeros: float, skips: bool
) -> None:
    prepared, settings = network(), CostSettings()
    costs = effective_document(
        effective_costs(prepared, TYPES, codes_of(seed, largest, zeros), settings, zero_skipping=skips)
    )
    for name, kind in zip(EFFECTIVE, ("ebops", "bits", "energy"), strict=True):
        bound = network_cost(kind, prepared, TYPES, settings)
        order = [costs[granularity][name] for granularity in ("weight", "channel", "tensor")]
        assert 0 <= order[0] <= order[1] * (1 + 1e-9)
        assert order[1] <= order[2] * (1 + 1e-9)
        assert order[2] <= bound * (1 + 1e-9)


def test_ebops_by_hand() -> None:
    """A kernel of 1-bit weights on 8-bit inputs, and one of zeros: MACs * 8 * 1, and biases of 0 bits."""
    prepared = network()
    codes = {
        "conv": {"kernel": np.full((3, 3, 2, 3), 8), "bias": np.zeros(3, int)},
        "dense": {"kernel": np.zeros((48, 4), int), "bias": np.full(4, 3)},
    }
    cost = effective_costs(prepared, TYPES, codes, CostSettings())[Granularity.WEIGHT]
    macs = 4 * 4 * 3 * 3 * 2 * 3
    assert cost.ebops == macs * 8 * 1 + 4 * 2
    stored = 3 * 3 * 2 * 3 * 2 + 4 * 3  # a bit and a sign of the kernel; two and a sign of the bias
    bound = network_cost("bits", prepared, TYPES)
    assert cost.bits == bound - (54 + 192) * 6 - (3 + 4) * 8 + stored


def test_hardware_that_skips_zeros_saves_their_products() -> None:
    prepared, codes = network(), codes_of(0, 31, 0.8)
    plain, skipping = (
        effective_costs(prepared, TYPES, codes, CostSettings(), zero_skipping=skips)[Granularity.WEIGHT]
        for skips in (False, True)
    )
    assert skipping.energy_pj < plain.energy_pj
    assert (skipping.ebops, skipping.bits) == (plain.ebops, plain.bits)


def test_weights_without_codes_cost_what_their_types_say() -> None:
    prepared, settings = network(), CostSettings()
    cost = effective_costs(prepared, TYPES, {}, settings)[Granularity.WEIGHT]
    assert cost.ebops == network_cost("ebops", prepared, TYPES, settings)
    assert cost.bits == network_cost("bits", prepared, TYPES, settings)
    assert cost.energy_pj == pytest.approx(network_cost("energy", prepared, TYPES, settings))
