"""The checks of `benchmarks/truth.py` on a few networks; the benchmark runs them on 300."""

from __future__ import annotations

import pytest

from benchmarks.truth import CHECKS

NETWORKS = range(8)


@pytest.mark.parametrize("check", CHECKS)
def test_what_is_said_of_random_networks_is_true(check: str) -> None:
    differences = {number: list(CHECKS[check](number)) for number in NETWORKS}
    assert {number: texts for number, texts in differences.items() if texts} == {}
