"""What the target hls4ml accepts, the export writes: one table, tried on every network that the tool has a verdict on.

Where FEWBITS_HLS4ML_PYTHON names an interpreter that has hls4ml and FEWBITS_TEST_EXPORTS is set, each is compiled and
compared, which takes seconds a network.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from costmodel.errors import InvalidNetwork
from quantization.export.context import ExportContext
from quantization.export.export import export_model
from quantization.export.formats import FORMATS
from quantization.export.legality.hls4ml import HLS4ML
from quantization.export.proof import prove
from quantization.export.writers.hls4ml import write_network
from quantization.models.convert import quantize
from quantization.specs.parse import parse_quantizer
from tests.truth.tools.net import Net
from tests.truth.tools.record import TOOLS

_NETS = TOOLS["hls4ml"].nets
#: Of hls4ml's, which computes the last sums of a recurrent layer in steps of 2^-16, functions from tables.
_CLOSE = 0.02


def _quantizers(net: Net) -> dict[str, dict[str, Any]]:
    return {
        name: {slot: parse_quantizer(text) for slot, text in slots.items()}
        for name, slots in net.quantizers.items()
    }


def _accepted(net: Net) -> bool:
    try:
        return HLS4ML.refusals(net.network(), _quantizers(net)) == []
    except InvalidNetwork:  # no job can have the network
        return False


_ACCEPTED = [name for name, net in _NETS.items() if _accepted(net)]


def _model(net: Net) -> keras.Model:
    """The quantized network with weights that are not those of a new one."""
    model = quantize(net.description(), _quantizers(net))
    random = np.random.default_rng(0)
    for weight in model.weights:
        if "float" in weight.dtype and weight.name != "noise_factor":
            values = random.normal(0, 0.5, weight.shape)
            weight.assign(np.abs(values) + 0.4 if weight.name in ("gamma", "moving_variance") else values)
    return model


def _inputs(net: Net) -> np.ndarray:
    random = np.random.default_rng(1)
    if any(layer[0] == "Embedding" for layer in net.layers):
        return random.integers(0, 9, (16, *net.shape)).astype(np.float32)
    return (random.integers(-32, 33, (16, *net.shape)) / 16).astype(np.float32)


def test_the_format_has_the_rules_of_the_target() -> None:
    assert FORMATS["hls4ml"].legality is HLS4ML
    assert len(_ACCEPTED) > 80


@pytest.mark.parametrize("name", _ACCEPTED)
def test_what_the_target_accepts_is_written(name: str, tmp_path: Path) -> None:
    net = _NETS[name]
    model = _model(net)
    if not list(FORMATS["hls4ml"].missing()) and os.environ.get("FEWBITS_TEST_EXPORTS"):
        export = export_model(model, "hls4ml", tmp_path / "out", ExportContext(_inputs(net)))
        proof = prove(model, export, _inputs(net), (True,))
        assert proof.largest_difference <= (_CLOSE * proof.largest_output if proof.inexact else 0.0)
    else:
        write_network(model, tmp_path, ExportContext(_inputs(net)))
