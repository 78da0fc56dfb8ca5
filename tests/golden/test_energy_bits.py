"""Model bits and forgiving factors agree with AutoQKeras."""

import pytest

from costmodel.bits import BitsSettings, model_bits, reference_bits
from costmodel.network import read_network, with_widths
from search.scoring.forgiving_factor import ForgivingFactor
from tests.golden import energy_case, files

CASES = files.cases("bits")
ROWS = [row for path in files.files_of_kind("forgiving_factor") for row in files.read(path)["rows"]]

every_case = pytest.mark.parametrize(
    ("case", "model"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
every_row = pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])


def reports(case, model):
    """Reference and trial of a case."""
    goal = case["goal"]
    settings = BitsSettings(
        goal["input_bits"], goal["output_bits"], goal["ref_bits"], goal["config"], "qtools"
    )
    network = read_network(energy_case.keras_config(model))
    trial = model_bits(with_widths(network, case["widths"]), energy_case.slot_types(case), settings)
    return {"reference": reference_bits(network, settings), "trial": trial}


def factor(row, *, ignores_stress=False):
    return ForgivingFactor(row["delta_p"], row["delta_n"], row["rate"], row["stress"], ignores_stress)


@every_case
@pytest.mark.parametrize("which", ["reference", "trial"])
def test_bits_of_each_layer(case, model, which):
    layers_by_name = {layer.name: layer for layer in reports(case, model)[which].layers}

    for name, expected in case["expected"][which]["layers"].items():
        layer = layers_by_name.get(name)
        if layer is None:  # acts in training only
            assert expected["total"] == 0
            continue
        figures = {"parameters": layer.parameters, "activations": layer.activations, "total": layer.counted}
        assert figures == expected, name


@every_case
@pytest.mark.parametrize("which", ["reference", "trial"])
def test_bits_of_the_network(case, model, which):
    report = reports(case, model)[which]
    expected = case["expected"][which]

    assert (report.parameters, report.activations) == (expected["parameters"], expected["activations"])


@every_case
def test_bits_delta_is_that_of_the_stressed_reference(case, model):
    bit_reports = reports(case, model)

    delta = factor(case["goal"]).delta(bit_reports["trial"].total, bit_reports["reference"].total)

    assert delta == pytest.approx(case["expected"]["delta"], abs=1e-6)


@every_row
def test_forgiving_delta(row):
    rule = factor(row, ignores_stress=row["goal"] == "energy")

    assert rule.delta(row["trial"], row["reference"]) == pytest.approx(
        row["expected"]["delta"], rel=1e-6, abs=1e-9
    )


@every_row
def test_forgiving_score(row):
    rule = factor(row, ignores_stress=row["goal"] == "energy")

    score = rule.score(row["metric"], row["trial"], row["reference"])

    assert score == pytest.approx(row["expected"]["score"], rel=1e-6, abs=1e-9)
