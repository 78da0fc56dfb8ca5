"""The table of formats that take the networks of the benchmark is that of the rules."""

from __future__ import annotations

import pytest

from benchmarks.exports import NETWORKS, TAKEN, quantized
from quantization.export.export import network_of
from quantization.export.formats import FORMATS


@pytest.mark.parametrize("name", NETWORKS)
def test_the_table_names_the_formats_that_refuse_nothing(name: str) -> None:
    network = network_of(quantized(NETWORKS[name]()))
    assert {taken for taken, entry in FORMATS.items() if not entry.refusals(*network)} == TAKEN[name]
