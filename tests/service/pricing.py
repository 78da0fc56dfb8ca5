"""What tests of prices ask for."""

from __future__ import annotations

from typing import Any

import pytest

from service.client import Invalid, SearchClient

FOUR_BITS = {"kernel": "quantized_bits(4,0,1,alpha=1.0)", "bias": "quantized_bits(8,3,1)"}
HOSTILE = "<script>alert(1)</script>"

PROFILE = """
name = "mine"
title = "my process"
process_nm = 28
fixed_add = { points = [[8, 0.02], [32, 0.06]], source = "data sheet" }
fixed_multiply = { polynomial = [0.001, 0.0, 0.0], source = "data sheet" }
float16 = { add = 0.2, multiply = 0.5, source = "data sheet" }
float32 = { add = 0.4, multiply = 2.0, source = "a rumour", second_hand = true }
sram = { access_bits = 32, points = [[8192, 1.0], [65536, 2.0]], source = "memory compiler" }
dram = { pj_per_bit = 12.0, source = "data sheet" }
"""


def problems(client: SearchClient, **question: Any) -> dict[str | None, str]:
    with pytest.raises(Invalid) as raised:
        client.cost({"model": "jet_mlp", **question})
    return {item.pointer: item.detail for item in raised.value.problem.errors}
