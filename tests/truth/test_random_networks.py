"""The checks of `benchmarks/truth.py` on a few networks; the benchmark runs them on 300."""

from __future__ import annotations

import pytest

from benchmarks.truth import CHECKS

#: The check that trains takes seconds for each network; `test_accept` runs it on more.
NETWORKS = {check: range(2 if "trains" in check else 8) for check in CHECKS}


@pytest.mark.parametrize("check", CHECKS)
def test_what_is_said_of_random_networks_is_true(check: str) -> None:
    differences = {number: list(CHECKS[check](number)) for number in NETWORKS[check]}
    assert {number: texts for number, texts in differences.items() if texts} == {}
