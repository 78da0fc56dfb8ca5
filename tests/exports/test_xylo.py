"""The format `xylo`: by Rockpool's XyloSim where FEWBITS_XYLO_PYTHON has it, and always the files and the refusals."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from quantization.export.comparison import Proof
from quantization.export.context import ExportContext
from quantization.export.errors import UnknownFormat
from quantization.export.formats import SPIKING_FORMATS, export_format
from quantization.export.legality.base import Refusal
from quantization.export.run import Outputs
from quantization.export.spiking import compare_spiking, export_spiking, refusals
from quantization.export.writers.xylo import write
from quantization.export.written import Export
from quantization.spiking.specification import XyloParameters
from search.spec.spiking import XyloModel
from search.spiking.network import REFERENCE, quantize, specification
from tests.exports.contract import PREPROCESSING, ExportContract

STEPS = 30


def random_network(seed: int, synapses: int, *, bias: bool, fed: float = 1.0) -> XyloParameters:
    """Weights of any size: currents and membranes saturate, neurons fire up to 31 times a step."""
    random = np.random.default_rng(seed)
    inputs, hidden, readouts = (int(random.integers(low, high)) for low, high in ((1, 17), (2, 40), (1, 9)))
    entering, leaving = (max(1, round(hidden * share)) for share in (fed, random.uniform(0.3, 1.0)))

    def weights(*shape: int) -> Any:
        return random.integers(-128, 128, shape) * (random.random(shape) < 0.5)

    arrays: dict[str, Any] = {
        "weights_in": weights(inputs, entering, synapses),
        "weights_rec": weights(hidden, hidden, synapses),
        "weights_out": weights(leaving, readouts),
        "threshold": random.integers(1, 3000, hidden),
        "threshold_out": random.integers(1, 3000, readouts),
    }
    for name, count in (("mem", hidden), ("syn", hidden), ("mem_out", readouts), ("syn_out", readouts)):
        arrays[f"dash_{name}"] = random.integers(1, 8, count)
    if synapses == 2:
        arrays["dash_syn_2"] = random.integers(1, 8, hidden)
    if bias:
        arrays |= {
            "bias": random.integers(-500, 500, hidden),
            "bias_out": random.integers(-500, 500, readouts),
        }
    return XyloParameters.from_arrays(arrays)


def sized(inputs: int = 2, hidden: int = 3, readouts: int = 2, fanout: int = 0) -> XyloParameters:
    """A network of zeros, but for one neuron that reaches others."""
    recurrent = np.zeros((hidden, hidden), int)
    recurrent[0, :fanout] = 1
    return XyloParameters.from_arrays(
        {
            "weights_in": np.zeros((inputs, hidden), int),
            "weights_rec": recurrent,
            "weights_out": np.zeros((hidden, readouts), int),
            **{name: np.ones(hidden, int) for name in ("threshold", "dash_mem", "dash_syn")},
            **{f"{name}_out": np.ones(readouts, int) for name in ("threshold", "dash_mem", "dash_syn")},
        }
    )


NETWORKS = {
    "digits": lambda: quantize(specification(XyloModel(name="spiking_digits"), Path()), REFERENCE),
    "digits of 3 bits": lambda: quantize(
        specification(XyloModel(name="spiking_digits"), Path()),
        {"method": "channel", "bits_per_weight": 3, "bits_per_threshold": 8},
    ),
    "one synapse": lambda: random_network(1, 1, bias=False),
    "two synapses": lambda: random_network(2, 2, bias=False),
    "bias": lambda: random_network(3, 1, bias=True),
    "two synapses and bias": lambda: random_network(4, 2, bias=True),
    "few fed": lambda: random_network(5, 2, bias=True, fed=0.4),
    **{
        f"random {seed}": functools.partial(random_network, seed, 1 + seed % 2, bias=seed % 3 > 0)
        for seed in range(6, 30)
    },
}


class TestXylo(ExportContract):
    name = "xylo"
    takes: ClassVar = tuple(NETWORKS)
    refuses: ClassVar = {
        "many inputs": (lambda: sized(inputs=17), "inputs", "17 inputs; Xylo has 16"),
        "many readouts": (lambda: sized(readouts=9), "readouts", "9 readouts; Xylo has 8"),
        "many hidden neurons": (lambda: sized(hidden=1001), "hidden neurons", "1001 hidden neurons"),
        "a wide fan-out": (lambda: sized(hidden=70, fanout=65), "hidden neurons", "reaches 65 others"),
    }

    @classmethod
    def network(cls, name: str) -> XyloParameters:
        return NETWORKS[name]()

    @classmethod
    def examples(cls, network: XyloParameters, seed: int = 0) -> Any:
        random = np.random.default_rng(seed)
        shape = (4, STEPS, network.weights_in.shape[0])
        return random.integers(0, 16, shape) * (random.random(shape) < 0.4)

    @classmethod
    def write(cls, network: XyloParameters, folder: Path, options: Mapping[str, Any]) -> Export:
        context = ExportContext(cls.examples(network), PREPROCESSING)
        return export_spiking(network, cls.name, folder, context, options)

    @classmethod
    def compare(cls, network: XyloParameters, export: Export, inputs: Any, outputs: Outputs) -> Proof:
        return compare_spiking(network, export, inputs, outputs)

    @classmethod
    def refusals(cls, network: XyloParameters) -> list[Refusal]:
        return refusals(network)[cls.name]


# ---- without Rockpool ------------------------------------------------------------------------------------------------


def test_the_files_have_the_names_of_rockpool_s_arguments(tmp_path: Path) -> None:
    network = random_network(5, 2, bias=True, fed=0.4)
    written = write(network, tmp_path, ExportContext(np.zeros((1, STEPS, 2))))
    ast.parse((tmp_path / "xylo_network.py").read_text())
    with np.load(tmp_path / "specification.npz") as arrays:
        assert set(arrays.files) == set(network.arrays())
        leaving = arrays["weights_out"]
        np.testing.assert_array_equal(arrays["weights_in"], network.weights_in)
    hidden, reading = network.threshold.size, len(network.weights_out)
    assert leaving.shape == (hidden, network.threshold_out.size)
    np.testing.assert_array_equal(leaving[hidden - reading :], network.weights_out)
    assert not leaving[: hidden - reading].any()
    assert not written.inexact
    assert "hidden neurons" in written.notes[0]


def test_a_shift_that_overflows_there_is_named(tmp_path: Path) -> None:
    arrays = sized().arrays() | {"dash_mem": np.array([1, 0, 1])}
    written = write(XyloParameters.from_arrays(arrays), tmp_path, ExportContext(np.zeros((1, STEPS, 2))))
    assert list(written.inexact) == ["hidden neurons"]


def test_a_format_of_the_other_kind_of_network_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownFormat, match="format 'c' is for networks of layers; formats of this network: xylo"
    ):
        export_spiking(sized(), "c", tmp_path, ExportContext(np.zeros((1, STEPS, 2))))
    with pytest.raises(
        UnknownFormat, match="format 'xylo' is for spiking networks; formats of this network: keras,"
    ):
        export_format("xylo", "layers")
    assert {entry.networks for entry in SPIKING_FORMATS.values()} == {"spiking"}
