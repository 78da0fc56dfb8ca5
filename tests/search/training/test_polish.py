"""Lowering bits after a search: what comes out is cheaper, holds the metric, and is what its file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantization.models.convert import read_quantizers
from quantization.specs.parse import parse_quantizer
from search.data import Dataset
from search.history import Measurement
from search.plan import Plan
from search.space.choices import Slot
from search.training.evaluate import evaluate_file
from search.training.polish import next_candidates, polish_trial
from search.training.request import TrainingRequest
from search.training.trial import run_trial
from search.trial_files import MODEL_FILE
from tests.search.training.test_effective import Silent
from tests.search.training.test_trained_bits import GOALS, bits_plan, start

DROP = 0.05

Polished = tuple[Plan, Measurement, Measurement, Path]


@pytest.fixture(scope="module", params=GOALS)
def polished(
    request: pytest.FixtureRequest, digits: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Polished:
    """A trial with 8 bits everywhere, and what is left of them; the folder has the files of both."""
    prepared, home = bits_plan(GOALS[request.param]), tmp_path_factory.mktemp("trial")
    before = run_trial(prepared, TrainingRequest(start(prepared), 1, epochs=4), digits, Silent(), home)
    (home / "polished").mkdir()
    asked = TrainingRequest(start(prepared), 1, start_from=home / MODEL_FILE, polish=DROP)
    return prepared, before, polish_trial(prepared, asked, digits, Silent(), home / "polished"), home


def test_a_polished_network_is_cheaper_and_holds_the_metric(polished: Polished) -> None:
    prepared, before, after, _ = polished
    assert after.metric >= before.metric - DROP
    assert after.cost.value < before.cost.value
    assert after.assignment is not None
    assert after.cost.energy_pj == prepared.pricer.price(after.assignment).energy_pj


def test_the_file_has_what_was_measured(polished: Polished, digits: Dataset) -> None:
    prepared, _, after, home = polished
    path = home / "polished" / MODEL_FILE
    result = evaluate_file(path, digits.x_validation, digits.y_validation, prepared.task)
    assert result["metric"] == after.metric
    stored = read_quantizers(keras.models.load_model(path))
    assert after.assignment is not None
    for layer, slots in after.assignment.quantizers.items():
        assert {slot: stored[layer][slot] for slot in slots} == slots


class Cancelled(Exception):
    """The user ends the job."""


class Ends(Silent):
    def batch(self) -> None:
        raise Cancelled


def test_the_user_can_end_it(polished: Polished, digits: Dataset, tmp_path: Path) -> None:
    prepared, _, _, home = polished
    request = TrainingRequest(start(prepared), 1, start_from=home / MODEL_FILE, polish=0.0)
    with pytest.raises(Cancelled):
        polish_trial(prepared, request, digits, Ends(), tmp_path)
    assert not list(tmp_path.iterdir())


@given(st.sets(st.integers(2, 16), min_size=1), st.data())
def test_the_next_candidates_are_all_of_the_next_number_of_bits(numbers: set[int], data: Any) -> None:
    texts = [f"quantized_bits({bits},{whole},1,alpha=1.0)" for bits in numbers for whole in (0, 1)]
    slot = Slot("a.kernel", ("a",), "kernel", "kernel", tuple(map(parse_quantizer, texts)))
    now = data.draw(st.sampled_from(slot.candidates))
    below = {number for number in numbers if number < now.data_type().bits}
    lower = next_candidates(slot, now.label)
    assert {spec.data_type().bits for spec in lower} == ({max(below)} if below else set())
    assert len(lower) == (2 if below else 0)
