"""Small networks, described as Keras describes them, without Keras."""

from __future__ import annotations

from typing import Any

from costmodel.energy import Prepared, prepare
from costmodel.network import Network, read_network


def tensor(name: str) -> dict[str, Any]:
    """A reference to a layer's output, as Keras 3 writes it."""
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}


def layer(class_name: str, name: str, *inbound: str, **config: Any) -> dict[str, Any]:
    """One described layer."""
    tensors = [tensor(source) for source in inbound]
    args = [tensors] if len(tensors) > 1 else tensors
    nodes = [{"args": args, "kwargs": {}}] if inbound else []
    return {
        "class_name": class_name,
        "name": name,
        "config": {"name": name, **config},
        "inbound_nodes": nodes,
    }


def source(name: str, *shape: int) -> dict[str, Any]:
    """One described input."""
    return layer("InputLayer", name, batch_shape=[None, *shape])


def functional(*layers: dict[str, Any], outputs: list[str] | None = None) -> dict[str, Any]:
    """A described Functional model; what nobody reads is an output unless outputs are given."""
    inputs = [entry["name"] for entry in layers if entry["class_name"] == "InputLayer"]
    read = set(_read(entry["inbound_nodes"] for entry in layers))
    ends = outputs or [entry["name"] for entry in layers if entry["name"] not in read]
    config = {
        "layers": list(layers),
        "input_layers": [[name, 0, 0] for name in inputs],
        "output_layers": [[name, 0, 0] for name in ends],
    }
    return {"class_name": "Functional", "config": config}


def _read(value: Any) -> list[str]:
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        return [value["config"]["keras_history"][0]]
    items = value.values() if isinstance(value, dict) else value
    return [] if isinstance(items, str) else [name for item in items or () for name in _read(item)]


def single(class_name: str, *shapes: tuple[int, ...], **config: Any) -> Network:
    """A network of one layer "x" behind inputs of these shapes."""
    inputs = [source(f"in{i}", *shape) for i, shape in enumerate(shapes)]
    names = [entry["name"] for entry in inputs]
    return read_network(functional(*inputs, layer(class_name, "x", *names, **config)))


def ready(class_name: str, *shapes: tuple[int, ...], **config: Any) -> Prepared:
    """`single`, prepared."""
    return prepare(single(class_name, *shapes, **config))


def recurrent(class_name: str, **config: Any) -> dict[str, Any]:
    """The inner layer of a Bidirectional one."""
    return {"class_name": class_name, "config": {"name": "inner", **config}}


#: One configuration of every supported class: (class, input shapes, configuration).
EXAMPLES: list[tuple[str, list[tuple[int, ...]], dict[str, Any]]] = [
    ("Dense", [(12,)], {"units": 7}),
    ("Conv1D", [(9, 3)], {"filters": 4, "kernel_size": [3]}),
    ("Conv2D", [(8, 8, 4)], {"filters": 6, "kernel_size": [3, 3], "groups": 2}),
    ("Conv3D", [(4, 4, 4, 2)], {"filters": 3, "kernel_size": [3, 3, 3]}),
    ("Conv1DTranspose", [(9, 3)], {"filters": 4, "kernel_size": [3], "strides": [2]}),
    ("Conv2DTranspose", [(8, 8, 3)], {"filters": 6, "kernel_size": [3, 3], "strides": [2, 2]}),
    ("Conv3DTranspose", [(4, 4, 4, 2)], {"filters": 3, "kernel_size": [2, 2, 2]}),
    ("DepthwiseConv1D", [(9, 3)], {"kernel_size": [3]}),
    ("DepthwiseConv2D", [(8, 8, 3)], {"kernel_size": [3, 3], "depth_multiplier": 2}),
    ("SeparableConv1D", [(9, 3)], {"filters": 5, "kernel_size": [3]}),
    ("SeparableConv2D", [(8, 8, 3)], {"filters": 6, "kernel_size": [3, 3]}),
    ("DenseBatchNormalization", [(12,)], {"units": 7, "use_bias": False}),
    ("Conv1DBatchNormalization", [(9, 3)], {"filters": 4, "kernel_size": [3]}),
    ("Conv2DBatchNormalization", [(8, 8, 3)], {"filters": 6, "kernel_size": [3, 3]}),
    ("DepthwiseConv2DBatchNormalization", [(8, 8, 3)], {"kernel_size": [3, 3]}),
    ("Conv1DTransposeBatchNormalization", [(9, 3)], {"filters": 4, "kernel_size": [3]}),
    ("Conv2DTransposeBatchNormalization", [(8, 8, 3)], {"filters": 6, "kernel_size": [3, 3]}),
    ("DepthwiseConv1DBatchNormalization", [(9, 3)], {"kernel_size": [3]}),
    ("SeparableConv1DBatchNormalization", [(9, 3)], {"filters": 5, "kernel_size": [3]}),
    ("SeparableConv2DBatchNormalization", [(8, 8, 3)], {"filters": 6, "kernel_size": [3, 3]}),
    *((f"MaxPooling{n}D", [(8,) * n + (3,)], {"pool_size": [2] * n}) for n in (1, 2, 3)),
    *((f"AveragePooling{n}D", [(9,) * n + (3,)], {"pool_size": [3] * n}) for n in (1, 2, 3)),
    *((f"GlobalMaxPooling{n}D", [(4,) * n + (3,)], {}) for n in (1, 2, 3)),
    *((f"GlobalAveragePooling{n}D", [(5,) * n + (3,)], {}) for n in (1, 2, 3)),
    ("BatchNormalization", [(6, 6, 3)], {}),
    ("LayerNormalization", [(10, 6)], {}),
    ("GroupNormalization", [(10, 6)], {"groups": 2}),
    ("RMSNormalization", [(10, 6)], {}),
    ("UnitNormalization", [(10, 6)], {}),
    ("Rescaling", [(10, 2)], {"scale": [0.5, 0.3], "offset": 1}),
    ("Normalization", [(10, 2)], {"mean": [0.5, 0.3], "variance": [1.0, 4.0]}),
    ("Slice", [(10, 4)], {"ranges": [[1, None, 2], 0]}),
    ("Masking", [(10, 2)], {"mask_value": 0.0}),
    ("CenterCrop", [(8, 8, 2)], {"height": 4, "width": 5}),
    ("Resizing", [(8, 8, 2)], {"height": 4, "width": 10}),
    ("SimpleRNN", [(10, 5)], {"units": 6}),
    ("LSTM", [(10, 5)], {"units": 6, "return_sequences": True}),
    ("GRU", [(10, 5)], {"units": 6}),
    ("Bidirectional", [(10, 5)], {"layer": recurrent("LSTM", units=6)}),
    ("Embedding", [(10,)], {"input_dim": 50, "output_dim": 4}),
    ("MultiHeadAttention", [(10, 8), (7, 8)], {"num_heads": 2, "key_dim": 4}),
    ("Activation", [(10,)], {"activation": "relu"}),
    ("ReLU", [(10,)], {}),
    ("LeakyReLU", [(10,)], {}),
    ("PReLU", [(4, 3)], {"shared_axes": [1]}),
    ("ELU", [(10,)], {}),
    ("Softmax", [(10,)], {}),
    ("Shiftmax", [(10,)], {}),
    ("Flatten", [(4, 4, 2)], {}),
    ("Reshape", [(4, 4, 2)], {"target_shape": [8, -1]}),
    ("Permute", [(4, 3, 2)], {"dims": [2, 3, 1]}),
    ("RepeatVector", [(4,)], {"n": 3}),
    *((f"ZeroPadding{n}D", [(4,) * n + (3,)], {"padding": 1}) for n in (1, 2, 3)),
    *((f"Cropping{n}D", [(5,) * n + (3,)], {"cropping": 1}) for n in (1, 2, 3)),
    *((f"UpSampling{n}D", [(4,) * n + (3,)], {"size": 2}) for n in (1, 2, 3)),
    ("Add", [(4, 3), (4, 3), (1, 3)], {}),
    ("Subtract", [(4, 3), (4, 3)], {}),
    ("Multiply", [(4, 3), (4, 3)], {}),
    ("Average", [(4, 3), (4, 3), (4, 3)], {}),
    ("Maximum", [(4, 3), (4, 3)], {}),
    ("Minimum", [(4, 3), (4, 3)], {}),
    ("Concatenate", [(4, 3), (4, 5)], {"axis": -1}),
    ("Dot", [(8,), (8,)], {"axes": 1}),
]
