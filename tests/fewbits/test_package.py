"""The public package: its names, what it loads, and that it leads to the rooms beneath."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fewbits
from fewbits import cost, export, layers, quantizers
from quantization.layers import QUANTIZED_LAYERS
from service.client import SearchClient
from service.errors import InvalidRequest

DENSE = {
    "class_name": "Sequential",
    "config": {
        "name": "net",
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "name": "x"}},
            {"class_name": "Dense", "config": {"units": 3, "name": "out"}},
        ],
    },
}


def test_every_public_name_exists_and_is_listed() -> None:
    for name in fewbits.__all__:
        assert getattr(fewbits, name) is not None
        assert name in dir(fewbits)
    assert fewbits.SearchClient is SearchClient
    for library in (cost, export, layers, quantizers):
        assert all(hasattr(library, name) for name in library.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'fewbits' has no attribute 'serch'"):
        fewbits.serch  # noqa: B018 -- looked up for its error


def test_importing_the_package_loads_nothing_beneath() -> None:
    program = (
        "import sys, fewbits\nrooms = ('service', 'search', 'keras', 'tensorflow', 'httpx', 'pydantic')\n"
        "print([name for name in rooms if name in sys.modules], fewbits.SearchClient.__name__, 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] SearchClient False"


def test_the_command_line_is_the_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fewbits", "version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == fewbits.__version__


def test_a_quantizer_is_built_from_its_specification() -> None:
    quantizer = quantizers.build_quantizer(quantizers.parse_quantizer("quantized_bits(4,0,1)"))
    assert isinstance(quantizer, quantizers.BaseQuantizer)
    assert layers.QUANTIZED_LAYERS is QUANTIZED_LAYERS


def test_a_price_is_that_of_the_cost_model() -> None:
    answer = cost.price("digits_cnn", costs=["energy", "macs"])
    assert {name: figure.unit for name, figure in answer.costs.items()} == {"energy": "pJ", "macs": "MAC"}
    assert answer.costs["energy"].value == answer.energy_pj


def test_a_description_is_priced_with_quantizers() -> None:
    whole = cost.price(DENSE)
    cheap = cost.price(DENSE, {"out": {"kernel": "ternary", "bias": "quantized_bits(4,0,1)"}})
    assert whole.quantized is False
    assert cheap.energy_pj < whole.energy_pj


def test_faults_of_a_price_are_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        cost.price(DENSE, {"nowhere": {"kernel": "ternary"}})
    assert [problem.pointer for problem in caught.value.problems] == ["/quantizers/nowhere"]
