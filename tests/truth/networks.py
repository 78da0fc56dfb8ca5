"""Random small networks and jobs on them, for property tests and `benchmarks/truth.py`. Plain; nothing loads Keras.

A network is drawn from nearly every class of `LAYER_CLASSES`: one input, a body of layers that fit its shapes, branches
that are merged again, a head. The same seed gives the same network.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from costmodel.layer import Config, Shape
from costmodel.layer_classes import LAYER_CLASSES, OUTPUT_LAYERS, SEARCHED_LAYERS
from costmodel.network import Network, read_network
from quantization.specs.parse import parse_quantizer
from search.history import Assignment
from search.networks.architecture import network
from search.space.choices import Choices, choices
from search.space.normalization import trial_network
from search.spec.job import SearchSpec
from tests.search.nets import functional, layer

#: Functions that a layer may apply to its sums.
FUNCTIONS: Final = ("linear", "linear", "relu", "tanh", "sigmoid", "relu6", "gelu", "leaky_relu")
#: Shapes of one example that a network may start from.
INPUTS: Final[tuple[Shape, ...]] = ((6, 6, 2), (8, 8, 1), (8, 3), (5, 4), (12,), (6,))
#: Most numbers that a tensor of a network holds.
MOST: Final = 600
#: Rows of the table that the Embedding of a network of tokens looks up.
TOKENS: Final = 20


@dataclass
class Drawing:
    """A network that is being drawn: its layers so far, the shape of each tensor, and the last one."""

    random: random.Random
    shape: Shape
    layers: list[dict[str, Any]] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    last: str = "input"

    def __post_init__(self) -> None:
        self.shapes["input"] = self.shape

    def add(self, class_name: str, inbound: list[str] | None = None, **config: Any) -> str:
        """Add a layer behind the last one, or behind those named; its name."""
        sources = [self.last] if inbound is None else inbound
        name = f"{class_name.lower()}_{len(self.layers)}"
        reader = Config(name, {"name": name, **config})
        shape = LAYER_CLASSES[class_name].shape(reader, tuple(self.shapes[source] for source in sources))
        if math.prod(shape) > MOST:
            raise ValueError("too large")
        self.layers.append(layer(class_name, name, sources, **config))
        self.shapes[name], self.last, self.shape = shape, name, shape
        return name


def _width(drawing: Drawing) -> int:
    return drawing.random.choice((2, 3, 4))


def _sums(drawing: Drawing) -> dict[str, Any]:
    return {
        "use_bias": drawing.random.random() < 0.7,
        "activation": drawing.random.choice(FUNCTIONS),
    }


def _window(drawing: Drawing) -> dict[str, Any]:
    return {
        "kernel_size": drawing.random.choice((1, 2, 3)),
        "strides": drawing.random.choice((1, 1, 2)),
        "padding": drawing.random.choice(("same", "valid")),
    }


def _rank(drawing: Drawing) -> int:
    return len(drawing.shape) - 1


def _conv(drawing: Drawing) -> None:
    drawing.add(f"Conv{_rank(drawing)}D", filters=_width(drawing), **_window(drawing), **_sums(drawing))


def _separable(drawing: Drawing) -> None:
    drawing.add(
        f"SeparableConv{_rank(drawing)}D", filters=_width(drawing), **_window(drawing), **_sums(drawing)
    )


def _depthwise(drawing: Drawing) -> None:
    multiplier = drawing.random.choice((1, 1, 2))
    drawing.add(
        f"DepthwiseConv{_rank(drawing)}D", depth_multiplier=multiplier, **_window(drawing), **_sums(drawing)
    )


def _transposed(drawing: Drawing) -> None:
    window = _window(drawing)
    drawing.add(f"Conv{_rank(drawing)}DTranspose", filters=_width(drawing), **window, **_sums(drawing))


def _pool(drawing: Drawing) -> None:
    kind = drawing.random.choice(("Max", "Average"))
    drawing.add(
        f"{kind}Pooling{_rank(drawing)}D", pool_size=2, padding=drawing.random.choice(("same", "valid"))
    )


def _global_pool(drawing: Drawing) -> None:
    drawing.add(f"Global{drawing.random.choice(('Max', 'Average'))}Pooling{_rank(drawing)}D")


def _dense(drawing: Drawing) -> None:
    drawing.add("Dense", units=_width(drawing), **_sums(drawing))


def _normalization(drawing: Drawing) -> None:
    name = drawing.random.choice(("BatchNormalization", "BatchNormalization", "LayerNormalization"))
    options = {"scale": drawing.random.random() < 0.8, "center": drawing.random.random() < 0.8}
    drawing.add(name, axis=-1, **options)


def _function(drawing: Drawing) -> None:
    name = drawing.random.choice(("Activation", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"))
    config = {"activation": drawing.random.choice(FUNCTIONS)} if name == "Activation" else {}
    drawing.add(name, **config)


def _shape_only(drawing: Drawing) -> None:
    rank = _rank(drawing)
    if rank and drawing.random.random() < 0.5:
        padding = drawing.random.random() < 0.5
        drawing.add(f"ZeroPadding{rank}D" if padding else f"UpSampling{rank}D")
    elif drawing.random.random() < 0.5:
        drawing.add("Dropout", rate=0.1)
    else:
        drawing.add("Flatten")


def _recurrent(drawing: Drawing) -> None:
    name = drawing.random.choice(("LSTM", "GRU", "SimpleRNN"))
    config = {
        "units": _width(drawing),
        "return_sequences": drawing.random.random() < 0.5,
        "activation": "tanh",
    }
    if drawing.random.random() < 0.3:
        inner = {"module": "keras.layers", "class_name": name, "config": {"name": "inner", **config}}
        drawing.add("Bidirectional", layer=inner | {"registered_name": None}, merge_mode="concat")
    else:
        drawing.add(name, **config)


def _attention(drawing: Drawing) -> None:
    source = drawing.last
    drawing.add("MultiHeadAttention", [source, source], num_heads=2, key_dim=2)


def _merge(drawing: Drawing) -> None:
    """The last tensor with a branch of its own that has the same shape."""
    source = drawing.last
    branch = (
        drawing.add("Dense", units=drawing.shape[-1], **_sums(drawing))
        if drawing.random.random() < 0.6
        else drawing.add("Activation", activation=drawing.random.choice(FUNCTIONS))
    )
    names = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    name = drawing.random.choice(names)
    drawing.add(name, [source, branch], **({"axis": -1} if name == "Concatenate" else {}))


Step = Callable[[Drawing], None]
_ANY: Final[tuple[Step, ...]] = (_dense, _dense, _normalization, _function, _function, _merge)
_WINDOWED: Final[tuple[Step, ...]] = (_conv, _conv, _separable, _depthwise, _transposed, _pool, _shape_only)
#: Number of axes of a tensor -> what may be added behind it.
STEPS: Final[Mapping[int, tuple[Step, ...]]] = {
    1: _ANY,
    2: (*_ANY, *_WINDOWED, _recurrent, _attention, _global_pool),
    3: (*_ANY, *_WINDOWED, _global_pool),
}


def random_network(seed: int, most: int = 6) -> dict[str, Any]:
    """A network of `most` layers and a head, as Keras writes it."""
    draw = random.Random(seed)
    drawing = Drawing(draw, draw.choice(INPUTS))
    if draw.random() < 0.1:
        drawing = Drawing(draw, (6,))
        drawing.add("Embedding", input_dim=TOKENS, output_dim=_width(drawing))
    for _ in range(draw.randint(2, most)):
        attempt = draw.choice(STEPS[len(drawing.shape)])
        before = len(drawing.layers), drawing.last, drawing.shape
        try:
            attempt(drawing)
        except ValueError:  # a window larger than its input, too many numbers
            del drawing.layers[before[0] :]
            drawing.last, drawing.shape = before[1:]
    if len(drawing.shape) > 1:
        drawing.add("Flatten")
    drawing.add("Dense", units=3, activation=draw.choice(("linear", "softmax")))
    if draw.random() < 0.3 and drawing.layers[-1]["config"]["activation"] == "linear":
        drawing.add("Activation", activation="softmax")
    return buildable(functional(drawing.shapes["input"], drawing.layers))


def buildable(config: dict[str, Any]) -> dict[str, Any]:
    """With what Keras needs beside the cost model: the shape of every tensor, attention's tensors one by one."""
    shapes = {layer.name: layer.output_shape for layer in read_network(config).layers}
    for entry in config["config"]["layers"]:
        for node in entry["inbound_nodes"]:
            tensors = node["args"][0] if isinstance(node["args"][0], list) else node["args"]
            for tensor in tensors:
                tensor["config"]["shape"] = [None, *shapes[tensor["config"]["keras_history"][0]]]
            if entry["class_name"] == "MultiHeadAttention":
                node["args"] = tensors
    return config


def random_spec(seed: int, **fields: Any) -> SearchSpec:
    """A job on `random_network(seed)` that limits some of its classes; `fields` replace those of the job."""
    draw = random.Random(seed)
    config = random_network(seed)
    classes = sorted(
        {entry["class_name"] for entry in config["config"]["layers"]} & {*SEARCHED_LAYERS, *OUTPUT_LAYERS}
    )
    limited = {name for name in classes if draw.random() < 0.7} | {"Dense"}  # every network ends in one
    document = {
        "model": {"kind": "architecture", "config": config},
        "limits": {"by_class": {name: draw.choice((4, 8, 16)) for name in sorted(limited)}},
        "goal": random_goal(draw),
        "normalization": draw.choice(("fold", "fold", "quantize", "float")),
        **fields,
    }
    return SearchSpec.model_validate(document)


def random_goal(draw: random.Random) -> dict[str, Any]:
    """A goal of any kind with some of its options."""
    kind = draw.choice(
        ("energy", "energy", "energy", "bits", "bops", "ebops", "bytes", "peak_activation_bits")
    )
    options: dict[str, Any] = {"kind": kind}
    if kind == "energy" and draw.random() < 0.5:
        options |= {
            "profile": draw.choice(("horowitz", "7nm", "horowitz-qkeras")),
            "parameters_on_memory": [draw.choice(("sram", "dram")), draw.choice(("sram", "dram", "fixed"))],
            "min_sram_size": [0, draw.choice((0, 65536))],
            "rd_wr_on_io": [False, draw.random() < 0.5],
        }
    if kind == "bits" and draw.random() < 0.5:
        options |= {"output_bits": draw.choice((8, 16)), "accounting": draw.choice(("corrected", "qtools"))}
    return options


def random_assignment(space: Choices, draw: random.Random) -> Assignment:
    """An assignment of the space."""
    return space.assignment({name: draw.choice(labels) for name, labels in space.dimensions().items()})


@dataclass(frozen=True)
class Drawn:
    """A random job: its specification, the network of its trials and its space."""

    spec: SearchSpec
    network: Network
    choices: Choices


def random_job(seed: int, **fields: Any) -> Drawn:
    """A job on a random network, with what its plan would contain, but for data; `fields` as in `random_spec`."""
    spec = random_spec(seed, **fields)
    plain = network(spec.model)  # type: ignore[arg-type]
    quantizer = random.Random(seed).choice(("quantized_bits(8,0,1)", "quantized_bits(4,2,1)", None))
    slots = {} if quantizer is None else {"input": {"activation": parse_quantizer(quantizer)}}
    return Drawn(spec, trial_network(spec, plain), replace(choices(spec, plain), fixed=slots))
