"""Every number that the integer network computes is a number of the type that the cost model prices."""

from __future__ import annotations

import numpy as np
import pytest

from costmodel.data_type import NumberFormat
from costmodel.energy import prepare, price
from costmodel.network import read_network
from costmodel.powers_of_two import as_fixed
from costmodel.settings import EnergySettings
from quantization.specs.parse import parse_quantizer
from tests.truth import integers
from tests.truth.checks import plain_description, read_quantizers

#: A type says nothing of a scale: these have none.
KERNELS = (
    *("quantized_bits(4,0,alpha=1.0)", "quantized_linear(4,1,alpha=1.0)", "ternary(alpha=1.0)"),
    *("binary(alpha=1.0)", "quantized_po2(3,1)", "quantized_po2(4)"),
)


def holds(data_type, values):
    """Whether the values are numbers of the type."""
    if data_type.format is NumberFormat.FLOAT:
        return True
    if data_type.format in (NumberFormat.BINARY, NumberFormat.TERNARY, NumberFormat.BINARY_01):
        levels = {NumberFormat.BINARY: (-1, 1), NumberFormat.TERNARY: (-1, 0, 1)}
        return np.isin(values, levels.get(data_type.format, (0, 1))).all()
    fixed = as_fixed(data_type)
    top = 2.0**fixed.int_bits
    inside = (values <= top).all() and (values >= (-top if fixed.signed else 0)).all()
    return inside and (np.ldexp(values, fixed.fraction_bits) % 1 == 0).all()


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5, 41])
def test_computed_numbers_are_numbers_of_their_type(number, monkeypatch):
    monkeypatch.setattr(integers, "KERNELS", KERNELS)
    unscaled = tuple(text for text in integers.ACTIVATIONS if "alpha" not in text)
    monkeypatch.setattr(integers, "ACTIVATIONS", unscaled)
    model, network = integers.both(number)
    types = {
        name: {slot: None if spec is None else spec.data_type() for slot, spec in slots.items()}
        for name, slots in read_quantizers(model).items()
    }
    where = EnergySettings(source=parse_quantizer(integers.INPUT).data_type())
    x = np.random.default_rng(number).normal(0, 3, (4, *model.inputs[0].shape[1:]))

    trace = network.trace(x)

    report = price(prepare(read_network(plain_description(model))), types, where)
    computed = [layer for layer in report.layers if layer.name in trace]
    assert computed
    for layer in computed:
        assert holds(layer.output_type, trace[layer.name].to_float()), (layer.name, layer.output_type)
