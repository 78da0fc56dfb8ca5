"""Targets: which networks and spaces each piece of hardware takes, and what it says of the others."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from costmodel.layer_classes import FUNCTION_LAYERS
from costmodel.network import Network, read_network
from quantization.export.legality.base import QuantizedTensor
from quantization.specs.parse import KINDS, parse_quantizer
from search.errors import Problem
from search.space.choices import Choices, Slot
from search.targets import TARGETS
from tests.search.nets import functional, layer
from tests.truth.tools.net import Step, chain, input_codes

_SAME = {"padding": "same", "strides": [1, 1]}


def _space(network: Network, target: str = "generic", **candidates: str) -> Choices:
    """Every layer with weights or a function gets these quantizers: kernel, bias, activation; inputs what fits."""
    slots = []
    for model_layer in network.layers:
        slots += [
            Slot(
                f"{model_layer.name}.{slot}",
                (model_layer.name,),
                slot,
                slot,
                (parse_quantizer(candidates[slot]),),
            )
            for slot in _slots(model_layer)
            if slot in candidates
        ]
    functions = (layer for layer in network.layers if layer.class_name in FUNCTION_LAYERS)
    readers = {layer.name for layer in functions if set(layer.inbound) & set(network.inputs)}
    quantized = any(slot.slot == "activation" and slot.layers[0] in readers for slot in slots)
    fixed = {} if quantized else input_codes(target, network)
    return Choices(tuple(slots), (), tuple(slot.layers[0] for slot in slots), {}, fixed=fixed)


def _slots(layer: Any) -> tuple[str, ...]:
    if layer.class_name == "Activation":
        return () if layer.config.get("activation") == "softmax" else ("activation",)
    if layer.class_name in ("Dense", "Conv2D", "DepthwiseConv2D"):
        inner = ("activation",) if layer.config.get("activation", "linear") == "relu" else ()
        return ("kernel", "bias", *inner)
    return ()


def _chain(shape: tuple[int, ...], *described: tuple[str, str, dict[str, Any]]) -> Network:
    steps = [Step(class_name, {"name": name, **config}) for class_name, name, config in described]
    return chain("net", shape, *steps).network()


def _conv(name: str, size: int = 3, **config: Any) -> tuple[str, str, dict[str, Any]]:
    return "Conv2D", name, {"filters": 4, "kernel_size": [size, size], **_SAME, **config}


def _dense(name: str, units: int, **config: Any) -> tuple[str, str, dict[str, Any]]:
    return "Dense", name, {"units": units, **config}


def _function(name: str, function: str = "relu") -> tuple[str, str, dict[str, Any]]:
    return "Activation", name, {"activation": function}


_NORM = ("BatchNormalization", "norm", {"axis": -1})
_POOL = ("MaxPooling2D", "pool", {"pool_size": [2, 2], "strides": [2, 2], "padding": "same"})
_POOL_AGAIN = (_POOL[0], "again", _POOL[2])
_FLAT = ("Flatten", "flat", {})
_SEPARABLE = ("SeparableConv2D", "separable", {"filters": 4, "kernel_size": [3, 3], **_SAME})
_DEPTHWISE = ("DepthwiseConv2D", "depthwise", {"kernel_size": [3, 3], "depth_multiplier": 1, **_SAME})
_HEAD = (_FLAT, _dense("head", 5), _function("probabilities", "softmax"))

_AKIDA = {"kernel": "max_per_axis(4)", "bias": "quantized_bits(8,3)", "activation": "quantized_relu(4,2)"}
_XYLO = {"kernel": "quantized_bits(8,0)", "bias": "quantized_bits(8,3)", "activation": "quantized_relu(5,5)"}
_HLS = {
    "kernel": "quantized_bits(6,0,1)",
    "bias": "quantized_bits(6,0,1)",
    "activation": "quantized_relu(6,2)",
}


def _messages(target: str, network: Network, **candidates: str) -> list[str]:
    return [
        problem.message for problem in TARGETS[target].check(network, _space(network, target, **candidates))
    ]


def _check(target: str, expected: list[tuple[str, str]], network: Network, **candidates: str) -> None:
    """Exactly these (layer, part of the reason) are found."""
    messages = _messages(target, network, **candidates)
    assert len(messages) == len(expected), messages
    for name, reason in expected:
        assert any(f"layer {name!r}" in message and reason in message for message in messages), (
            reason,
            messages,
        )


_BLOCKS = (_conv("conv"), _NORM, _POOL, _function("relu"), _DEPTHWISE, _conv("point", 1), _function("relu_b"))


class TestGeneric:
    @pytest.mark.parametrize(
        "kernel", ["binary()", "quantized_po2(4)", "max(4)", "quantized_bits(16,0,alpha='auto')"]
    )
    def test_everything_is_legal(self, kernel: str) -> None:
        network = _chain((8, 8, 1), *_BLOCKS, *_HEAD)
        assert _messages("generic", network, kernel=kernel) == []


class TestAkida:
    def test_blocks_in_the_right_order_are_legal(self) -> None:
        blocks = [block for block in _BLOCKS if block is not _DEPTHWISE]
        _check("akida", [], _chain((8, 8, 1), *blocks, *_HEAD), **_AKIDA)

    @pytest.mark.parametrize(
        ("slot", "quantizer", "reason"),
        [
            ("kernel", "max_per_axis(9)", "have 2, 3, 4, 5, 6, 7, 8 bits"),
            ("kernel", "quantized_bits(4,0)", "symmetric=True"),
            ("kernel", "binary()", "is not one of"),
            ("activation", "quantized_relu(3,1)", "have 1, 2, 4 bits"),
            ("activation", "quantized_relu(8,1)", "have 1, 2, 4 bits"),
            ("activation", "quantized_relu(4,1,negative_slope=0.25)", "plain ReLU"),
            ("activation", "quantized_tanh(4)", "is not one of"),
        ],
    )
    def test_a_candidate_that_is_not_legal_is_named_with_its_layer(
        self, slot: str, quantizer: str, reason: str
    ) -> None:
        network = _chain((8, 8, 1), _conv("conv"), _function("relu"))
        _check(
            "akida", [("conv" if slot == "kernel" else "relu", reason)], network, **_AKIDA | {slot: quantizer}
        )

    @pytest.mark.parametrize("bits", [4, 8])
    def test_a_function_of_an_image_makes_its_codes(self, bits: int) -> None:
        network = _chain((8, 8, 1), _function("pixels"), _conv("conv"), _function("relu"))
        space = _space(network, **_AKIDA)
        pixels = parse_quantizer(f"quantized_relu({bits},1)")
        own = Slot("pixels", ("pixels",), "activation", "activation", (pixels,))
        slots = tuple(own if slot.layers == ("pixels",) else slot for slot in space.slots)
        assert TARGETS["akida"].check(network, Choices(slots, (), space.quantized, {})) == []

    @pytest.mark.parametrize(
        ("shape", "quantizer", "reason"),
        [
            ((8, 8, 1), None, "must be quantized to at most 8 bits without a sign"),
            ((8, 8, 1), "quantized_bits(8,0)", "no sign"),
            ((8, 8, 1), "quantized_bits(9,0,keep_negative=0)", "allowed are 1 to 8"),
            ((8, 8, 1), "quantized_bits(8,0,keep_negative=0)", None),
            ((8, 8, 4), "quantized_bits(8,0,keep_negative=0)", "reads it, with codes of at most 4 bits"),
            ((8, 8, 4), "quantized_bits(4,0,keep_negative=0)", None),
            ((8, 8, 1), "quantized_tanh(4)", "is not one of"),
        ],
    )
    def test_codes_of_the_input(
        self, shape: tuple[int, ...], quantizer: str | None, reason: str | None
    ) -> None:
        network = _chain(shape, _conv("conv"), _function("relu"), *_HEAD)
        fixed = {} if quantizer is None else {"start": {"activation": parse_quantizer(quantizer)}}
        problems = TARGETS["akida"].check(network, replace(_space(network, **_AKIDA), fixed=fixed))
        assert [problem.pointer for problem in problems] == ([] if reason is None else ["/inputs"])
        assert all(reason is not None and reason in problem.message for problem in problems)

    def test_one_quantizer_reads_the_input(self) -> None:
        network = _chain((8, 8, 1), _function("pixels"), _conv("conv"), _function("relu"))
        space = replace(_space(network, **_AKIDA), fixed=input_codes("akida", network))
        messages = [problem.message for problem in TARGETS["akida"].check(network, space)]
        assert len(messages) == 1
        assert "'pixels'" in messages[0]
        assert "leave out one of them" in messages[0]

    @pytest.mark.parametrize(
        ("layers", "expected"),
        [
            (
                [_conv("conv"), _POOL, _POOL_AGAIN, _function("relu")],
                [("again", "follows MaxPooling2D 'pool'"), ("relu", "follows MaxPooling2D 'again'")],
            ),
            ([_conv("conv"), _function("relu"), _NORM], [("norm", "follows Activation 'relu'")]),
            ([_conv("conv", activation="relu"), _NORM], [("norm", "the activation inside 'conv'")]),
            ([_conv("conv"), _conv("next"), _function("relu")], [("conv", "no activation follows")]),
            ([_conv("conv"), _NORM, _conv("next"), _function("relu")], [("conv", "no activation follows")]),
            ([_conv("conv"), _function("tanh", "tanh")], [("tanh", "activation 'tanh'")]),
            ([_conv("conv"), _function("relu"), _function("again")], [("again", "follows Activation")]),
            ([_NORM, _conv("conv")], [("norm", "follows InputLayer"), ("norm", "only adds a bias")]),
            (
                [_conv("conv"), _function("relu"), _DEPTHWISE, _conv("point", 1), _function("relu_b")],
                [("depthwise", "converts no DepthwiseConv2D for Akida 1; use a SeparableConv2D")],
            ),
            ([_conv("conv", dilation_rate=2), _function("relu")], [("conv", "dilation_rate=2; use 1")]),
            ([_conv("conv"), _function("relu"), _dense("head", 3)], [("head", "put Flatten before it")]),
            (
                [_conv("conv"), ("ReLU", "layer", {"negative_slope": 0.1})],
                [("layer", "relu with negative_slope=0.1"), ("layer", "stays float")],
            ),
            ([_conv("conv"), ("ReLU", "layer", {})], [("layer", "its activation has no quantizer")]),
            (
                [_SEPARABLE, _function("relu")],
                [("separable", "is read by a Conv2D first"), *[("separable", "has no quantizer")] * 2],
            ),
            (
                [("AveragePooling2D", "mean", _POOL[2]), _conv("conv")],
                [("mean", "AveragePooling2D is not one of")],
            ),
        ],
    )
    def test_a_layer_out_of_order_is_named(self, layers: list[Any], expected: list[tuple[str, str]]) -> None:
        _check("akida", expected, _chain((8, 8, 1), *layers), **_AKIDA)

    def test_a_depthwise_kernel_takes_one_factor(self) -> None:
        [rule] = [TARGETS["akida"].legality.slots["kernel"]]
        network = _chain((8, 8, 2), _SEPARABLE, _function("relu"))
        kernel = parse_quantizer("quantized_bits(4,0,1,alpha='auto_po2')")
        [fault] = rule.faults(QuantizedTensor("kernel", network.layer("separable")), kernel)
        assert "a depthwise kernel takes one scale factor" in fault

    def test_a_branch_is_refused(self) -> None:
        network = read_network(
            functional(
                (8, 8, 1),
                [
                    layer(*_conv("conv")[:2], ["input"], **_conv("conv")[2]),
                    layer("Activation", "relu", ["conv"], activation="relu"),
                    layer("Activation", "other", ["conv"], activation="relu"),
                    layer("Add", "sum", ["relu", "other"]),
                ],
            )
        )
        _check("akida", [("conv", "more than one layer"), ("sum", "Add is not one of")], network, **_AKIDA)

    def test_a_layer_without_quantizers_stays_float_and_is_refused(self) -> None:
        network = _chain((8, 8, 1), _conv("conv"), _function("relu"))
        _check(
            "akida", [("conv", "kernel has no quantizer"), ("relu", "activation has no quantizer")], network
        )


class TestXylo:
    def test_dense_populations_are_legal(self) -> None:
        network = _chain((16,), _dense("a", 64), _function("relu"), _dense("b", 8, activation="relu"))
        _check("xylo", [], network, **_XYLO)

    @pytest.mark.parametrize(
        ("layers", "expected"),
        [
            ([_dense("a", 1001), _function("relu"), _dense("b", 8)], [("a", "1001 hidden neurons")]),
            ([_dense("a", 20, activation="relu"), _dense("b", 9)], [("b", "9 readouts")]),
            (
                [_dense("a", 20, activation="relu"), _dense("b", 65, activation="relu"), _dense("c", 2)],
                [("b", "would reach 65 neurons")],
            ),
            ([_dense("a", 20), _dense("b", 8)], [("a", "before it fires")]),
            (
                [_dense("a", 20), _function("tanh", "tanh"), _dense("b", 8)],
                [("tanh", "'tanh'"), ("a", "before it fires")],
            ),
            (
                [_function("relu"), _function("again"), _dense("a", 8, activation="relu"), _dense("b", 8)],
                [("again", "must follow a Dense")],
            ),
            ([_dense("a", 8)], [("a", "the only population")]),
            ([_dense("a", 8, activation="relu"), _dense("b", 9), _function("relu")], [("b", "9 readouts")]),
        ],
    )
    def test_what_does_not_fit_is_named(self, layers: list[Any], expected: list[tuple[str, str]]) -> None:
        _check("xylo", expected, _chain((16,), *layers), **_XYLO)

    def test_too_many_inputs_are_counted(self) -> None:
        network = _chain((17,), _dense("a", 8, activation="relu"), _dense("b", 8))
        _check("xylo", [("a", "17 inputs")], network, **_XYLO)

    def test_convolutions_are_refused(self) -> None:
        network = _chain((4, 4, 1), _conv("conv"))
        _check("xylo", [("conv", "Conv2D is not one of")], network, **_XYLO)

    @pytest.mark.parametrize(
        ("slot", "quantizer", "reason"),
        [
            ("kernel", "quantized_bits(9,0)", "allowed are 1 to 8"),
            ("bias", "quantized_po2(4)", "is not one of"),
            ("activation", "quantized_relu(6,6)", "allowed are 1 to 5"),
            ("activation", "binary()", "use_01=True"),
        ],
    )
    def test_a_candidate_that_is_not_legal_is_named(self, slot: str, quantizer: str, reason: str) -> None:
        network = _chain((4,), _dense("a", 3, activation="relu"), _dense("b", 2))
        layers = ["a"] if slot == "activation" else ["a", "b"]
        _check("xylo", [(name, reason) for name in layers], network, **_XYLO | {slot: quantizer})


class TestHls4ml:
    def test_a_convolutional_network_is_legal(self) -> None:
        _check("hls4ml", [], _chain((8, 8, 1), *_BLOCKS, *_HEAD), **_HLS)

    @pytest.mark.parametrize(
        ("slot", "quantizer", "reason"),
        [
            ("kernel", "max(4)", "is not one of"),
            ("kernel", "quantized_bits([4,3,2])", "is not one of"),
            ("kernel", "quantized_bits([4,3])", "lists 2 widths, the layer has 3 channels"),
            ("activation", "quantized_bits([4,3,2])", "give the activation of Dense one width"),
            ("activation", "ternary()", "is not one of"),
            ("activation", "quantized_relu_po2(4)", "is not one of"),
            ("activation", "quantized_bits(4,0,alpha='auto_po2')", "depends on the data"),
            ("activation", "binary(use_01=True)", "use_01 is not converted"),
        ],
    )
    def test_a_candidate_that_is_not_converted_is_named(self, slot: str, quantizer: str, reason: str) -> None:
        network = _chain((4,), _dense("a", 3, activation="relu"))
        _check("hls4ml", [("a", reason)], network, **_HLS | {slot: quantizer})

    def test_a_function_without_a_converter_is_named(self) -> None:
        network = _chain((4,), _dense("a", 3, activation="gelu"))
        _check("hls4ml", [("a", "activation 'gelu'")], network, **_HLS)

    def test_a_layer_without_a_converter_is_named(self) -> None:
        network = _chain((8, 8, 1), ("Conv2DTranspose", "up", {"filters": 2, "kernel_size": [2, 2]}))
        _check("hls4ml", [("up", "Conv2DTranspose is not one of")], network)


@pytest.mark.parametrize("target", list(TARGETS.values()), ids=list(TARGETS))
class TestEveryTarget:
    def test_the_registry_knows_it_by_its_name(self, target: Any) -> None:
        assert TARGETS[target.name] is target

    def test_its_rules_name_quantizers_that_exist(self, target: Any) -> None:
        for rule in target.legality.slots.values():
            assert rule.kinds is None or rule.kinds <= KINDS.keys()

    def test_problems_point_into_the_job(self, target: Any) -> None:
        network = _chain((8, 8, 1), _conv("conv"), _function("tanh", "tanh"))
        for problem in target.check(network, _space(network, kernel="bernoulli()")):
            assert isinstance(problem, Problem)
            assert problem.pointer in ("/model", "/limits", "/inputs", "/quantizers/kernel")
            assert problem.message.startswith(f"{target.name}: layer ")

    def test_fields_of_the_same_nature_have_the_same_rule(self, target: Any) -> None:
        network = _chain((8, 8, 1), _DEPTHWISE)
        quantizer = parse_quantizer("bernoulli()")
        depthwise = network.layer("depthwise")
        faults = [
            target.legality.faults(QuantizedTensor(f, depthwise), quantizer)
            for f in ("kernel", "depthwise_kernel")
        ]
        assert faults[0] == faults[1]


def test_targets_load_no_training_framework() -> None:
    script = "import sys, search.targets; print({'keras', 'tensorflow', 'numpy'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip()
        == "set()"
    )
