"""Types and settings that make no sense are refused, naming what to change."""

import pytest

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import price, price_reference
from costmodel.errors import InvalidNetwork, InvalidSettings, InvalidTypes
from costmodel.settings import EnergySettings
from tests.costmodel.test_energy import INT4, INT8, conv_block

BINARY = DataType(NumberFormat.BINARY, 1)


@pytest.mark.parametrize(
    ("types", "error"),
    [
        ({"ghost": {"kernel": INT4}}, InvalidNetwork),
        ({"conv_0": {"kernel": "int8"}}, InvalidTypes),
        ({"conv_0": {"kernel": DataType(NumberFormat.FIXED, 0)}}, InvalidTypes),
        ({"conv_0": {"kernel": DataType(NumberFormat.FIXED, 8.5)}}, InvalidTypes),
        ({"conv_0": {"kernel": DataType(NumberFormat.FIXED, 8, 10**6)}}, InvalidTypes),
        ({"conv_0": {"kernel": DataType(NumberFormat.POWER_OF_TWO, 64)}}, InvalidTypes),
        (
            {"conv_0": {"kernel": DataType(NumberFormat.POWER_OF_TWO, 4, max_value=float("nan"))}},
            InvalidTypes,
        ),
        ({"conv_0": [INT4]}, InvalidTypes),
        ({"bn_0": {"variance": BINARY}}, InvalidTypes),
    ],
)
def test_types_that_make_no_sense_are_refused(types, error):
    with pytest.raises(error):
        price(conv_block(), types, EnergySettings())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("min_sram_size_bits", -1),
        ("min_sram_size_bits", float("nan")),
        ("min_sram_size_bits", True),
        ("capacity_bits", 0),
        ("reuse", 0),
        ("reuse", 1.5),
        ("parameters_on_memory", "flash"),
        ("activations_on_memory", 3),
        ("rd_wr_on_io", "yes"),
        ("internal", "fp64"),
        ("accumulator", 32),
        ("source", DataType(NumberFormat.FIXED, -8)),
        ("accounting", "creative"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(field, value):
    with pytest.raises(InvalidSettings) as caught:
        EnergySettings(**{field: value})

    assert caught.value.field == field


def test_as_many_sources_as_inputs_are_asked_for():
    with pytest.raises(InvalidSettings, match="2 types for 1 inputs"):
        price_reference(conv_block(), EnergySettings(source=(INT8, INT8)))
