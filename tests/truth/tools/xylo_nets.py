"""Networks of populations for the target xylo: sizes and orders that its rules are about. Plain."""

from __future__ import annotations

from typing import Any, Final

from tests.truth.tools.net import Net, Step, chain

_SLOTS: Final = {"kernel": "quantized_bits(8,0,alpha=1.0)", "bias": "quantized_bits(8,3)"}


def _dense(units: int, **config: Any) -> Step:
    return Step("Dense", {"units": units, "quantizers": _SLOTS, **config})


def _fires(units: int) -> Step:
    slots = {**_SLOTS, "activation": "quantized_relu(5,5)"}
    return Step("Dense", {"units": units, "activation": "relu", "quantizers": slots})


_RELU: Final = Step("Activation", {"activation": "relu", "quantizers": {"activation": "quantized_relu(5,5)"}})
_SOFTMAX: Final = Step("Activation", {"activation": "softmax"})


def _sizes(name: str, inputs: int, hidden: int, readouts: int) -> Net:
    return chain(name, (inputs,), _fires(hidden), _dense(readouts))


NETS: Final[dict[str, Net]] = {
    net.name: net
    for net in (
        _sizes("small", 4, 8, 3),
        _sizes("16 inputs", 16, 20, 3),
        _sizes("17 inputs", 17, 20, 3),
        _sizes("200 hidden", 4, 200, 8),
        _sizes("1000 hidden", 4, 1000, 8),
        _sizes("1001 hidden", 4, 1001, 8),
        _sizes("8 readouts", 4, 8, 8),
        _sizes("9 readouts", 4, 8, 9),
        chain("three populations", (4,), _fires(500), _fires(50), _fires(50), _dense(3)),
        chain("1000 hidden in three", (4,), _fires(900), _fires(50), _fires(50), _dense(3)),
        chain("1001 hidden in three", (4,), _fires(901), _fires(50), _fires(50), _dense(3)),
        chain("relu layers", (4,), _dense(8), _RELU, _dense(6), _RELU, _dense(3)),
        chain("readouts that fire", (4,), _dense(8), _RELU, _dense(3), _RELU),
        chain("9 readouts that fire", (4,), _fires(8), _dense(9), _RELU),
        chain("softmax of the readouts", (4,), _fires(8), _dense(3), _SOFTMAX),
        chain("no activation between", (4,), _dense(8), _dense(6), _RELU, _dense(3)),
        chain("two activations", (4,), _dense(8), _RELU, _RELU, _dense(3)),
        chain("activation first", (4,), _RELU, _dense(8), _RELU, _dense(3)),
        chain("one population", (4,), _dense(3)),
        chain("one population that fires", (4,), _fires(3)),
        chain("Dropout between", (4,), _dense(8), _RELU, Step("Dropout", {"rate": 0.5}), _dense(3)),
        chain("Flatten first", (2, 4), Step("Flatten"), _fires(8), _dense(3)),
    )
}
