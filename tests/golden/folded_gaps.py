"""Gaps of QTools about layers with a folded batch normalization."""

from typing import Any

from costmodel.propagation import accumulate, multiply
from tests.golden.energy_layers import INPUT, KERNEL, priced, weights


def folded_conv(n: dict[str, Any]) -> None:
    config = {"filters": n["filters"], "kernel_size": n["kernel"], "padding": n["padding"]}
    layer = priced("Conv2DBatchNormalization", tuple(n["input"]), use_bias=False, **config)
    plain = priced("Conv2D", tuple(n["input"]), use_bias=True, **config)
    assert (layer.operation_count, weights(layer)) == (n["macs"], n["weights"])
    assert layer.energy.included_pj == plain.energy.included_pj
    without = priced("Conv2DBatchNormalization", tuple(n["input"]), slots={"kernel": KERNEL}, **config)
    total = accumulate(multiply(KERNEL, INPUT)[1], 27)
    assert without.work.types["bias"] == total
    assert without.work.types["accumulator"].bits == total.bits + 1


def folded_depthwise(n: dict[str, Any]) -> None:
    config = {"kernel_size": n["kernel"], "padding": n["padding"]}
    layer = priced("DepthwiseConv2DBatchNormalization", tuple(n["input"]), use_bias=False, **config)
    plain = priced("DepthwiseConv2D", tuple(n["input"]), use_bias=True, **config)
    assert (layer.operation_count, weights(layer)) == (n["macs"], n["weights"])
    assert layer.energy.included_pj == plain.energy.included_pj


def folded_dense(n: dict[str, Any]) -> None:
    layer = priced("DenseBatchNormalization", (n["in"],), use_bias=False, units=n["units"])
    assert (layer.operation_count, weights(layer)) == (n["macs"], n["weights"])
