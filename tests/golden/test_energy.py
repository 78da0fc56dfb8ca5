"""Energy, counts and data types agree with QTools in every case where QTools is right."""

from typing import Any

import pytest

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import EnergyReport, PricedLayer, gate_pj
from tests.golden import energy_case, files

CASES = files.cases("energy")
FIELDS = {
    "inputs": "inputs_pj",
    "outputs": "outputs_pj",
    "parameters": "parameters_pj",
    "op_cost": "operations_pj",
    "included_total": "included_pj",
}

every_case = pytest.mark.parametrize(
    ("case", "model"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)


def near(expected: float, slack: int = 1) -> Any:
    """0.01 pJ, the peer's rounding, and a part in a million."""
    return pytest.approx(expected, abs=0.01 * slack + 1e-6 * abs(expected))


def randomly_paired(case: dict[str, Any]) -> set[str]:
    """Layers whose input types the peer pairs with shapes by chance."""
    flags = case["expected"].get("peer_defects", ())
    return {flag["layer"] for flag in flags if flag["flag"] == "merge_input_pairing_random"}


def producers(layer: str, model: dict[str, Any]) -> list[str]:
    entries = {entry["name"]: entry for entry in model["layers"]}
    pairs = []
    for name in entries[layer]["inbound"]:
        while entries[name]["class"] == "Dropout":
            name = entries[name]["inbound"][0]
        pairs.append(name)
    return pairs


def expected_layer(name: str, case: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """What a case expects of a layer; a merge the peer pairs by chance reads what its inputs' makers wrote."""
    layers = case["expected"]["layers"]
    expected = dict(layers[name])
    if name in randomly_paired(case):
        read = sum(layers[maker]["outputs"] for maker in producers(name, model))
        expected["included_total"] += read - expected["inputs"]
        expected["inputs"] = read
    return expected


def priced_by_peer(report: EnergyReport, case: dict[str, Any]) -> list[PricedLayer]:
    """The layers the peer gives a figure for."""
    gaps = case["expected"].get("gap_layers", ())
    return [layer for layer in report.layers if layer.name not in gaps]


@every_case
def test_energy_of_each_layer(case, model):
    report = energy_case.report(case, model)

    for layer in report.layers:
        expected = expected_layer(layer.name, case, model)
        slack = 2 if layer.name in randomly_paired(case) else 1
        for name, attribute in FIELDS.items():
            if expected[name] is not None:
                assert getattr(layer.energy, attribute) == near(expected[name], slack), (layer.name, name)


@every_case
def test_energy_is_given_for_the_same_layers(case, model):
    report = energy_case.report(case, model)

    assert sorted(layer.name for layer in report.layers) == sorted(case["expected"]["layers"])


@every_case
def test_energy_operation_counts(case, model):
    report = energy_case.report(case, model)

    counts = {name: layer["operation_count"] for name, layer in case["expected"]["layers"].items()}
    assert {layer.name: layer.operation_count for layer in report.layers} == counts


@every_case
def test_energy_sums(case, model):
    report, expected = energy_case.report(case, model), case["expected"]

    layers = priced_by_peer(report, case)
    expected_sum = expected.get("sum_without_gap_layers", expected["sum"])
    for name in randomly_paired(case):
        fixed = expected_layer(name, case, model)
        expected_sum += fixed["inputs"] - expected["layers"][name]["inputs"]
    assert sum(layer.energy.included_pj for layer in layers) == pytest.approx(expected_sum, abs=1.01)
    if len(layers) == len(report.layers) and not randomly_paired(case):
        assert report.energy_pj == pytest.approx(expected["sum"], abs=1)
        assert report.total_pj == pytest.approx(expected["total_cost"], abs=1, rel=1e-6)


@every_case
def test_energy_gap_layers_cost_what_a_correct_model_suggests(case, model):
    """The suggestion leaves out the scaling of an average of three."""
    report = energy_case.report(case, model)

    for name in case["expected"].get("gap_layers", ()):
        suggested = case["expected"]["layers"][name]["suggested_op_cost"]
        combining = report.layer(name).work.operations[0]
        assert combining.count * gate_pj(combining, report.settings) == near(suggested)


@every_case
def test_energy_data_types(case, model):
    report = energy_case.report(case, model)

    for layer in report.layers:
        for role, expected in case["expected"]["layers"][layer.name]["types"].items():
            if role == "inputs":
                # The peer lists a merge's inputs in the order of a set.
                assert sorted(map(figures, layer.input_types), key=str) == sorted(
                    map(wanted, expected), key=str
                )
            elif role == "output":
                assert figures(layer.output_type) == wanted(expected), layer.name
            else:
                assert figures(layer.work.types[role]) == wanted(expected), (layer.name, role)


@every_case
def test_energy_gates(case, model):
    report = energy_case.report(case, model)

    for layer in report.layers:
        for role, expected in case["expected"]["layers"][layer.name]["types"].items():
            if role in ("inputs", "accumulator") or "op" not in expected:
                continue
            gate = layer.work.gates[role]
            assert gate.op == expected["op"], (layer.name, role)
            assert gate.factor == pytest.approx(expected["gate_factor"]), (layer.name, role)
            assert gate.bits == pytest.approx(expected["gate_bits"], rel=1e-5), (layer.name, role)


def figures(data_type: DataType) -> tuple[Any, ...]:
    """What a case file says of a type."""
    if data_type.format is NumberFormat.FLOAT:
        return ("float", data_type.bits)
    bound = data_type.max_value if data_type.format is NumberFormat.POWER_OF_TWO else None
    rounded = None if bound is None else round(bound, 4)
    return (str(data_type.format), data_type.bits, data_type.int_bits, data_type.signed, rounded)


def wanted(expected: dict[str, Any]) -> tuple[Any, ...]:
    """The same of a case file's type."""
    if expected["kind"] == "float":
        return ("float", expected["bits"])
    bound = expected.get("max_value")
    rounded = None if bound in (None, -1) else round(float(bound), 4)
    return (expected["kind"], expected["bits"], expected["int_bits"], bool(expected["signed"]), rounded)
