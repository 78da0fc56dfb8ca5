"""Networks as users write them: uploaded, planned, rebuilt with their weights, priced and trained for a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.catalog import ENTRIES, Entry
from tests.models.check import faults, uploaded

pytestmark = [
    pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match"),
    pytest.mark.filterwarnings("ignore:.*destroy the mask information"),
]


def test_there_are_many_of_them() -> None:
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES) >= 60


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_what_users_bring_computes_costs_and_trains_as_theirs(entry: Entry, tmp_path: Path) -> None:
    assert faults(uploaded(entry, tmp_path), tmp_path) == []
