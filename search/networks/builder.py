"""Networks whose layers follow one another, as Keras 3 writes functional models to JSON. Plain; nothing loads Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Config = dict[str, Any]  #: what `json.loads(model.to_json())` gives

#: Name of the input of every network here. hls4ml keeps "input" for itself.
INPUT_NAME: Final = "inputs"

#: Class names of the initializers a builder may be given.
_INITIALIZERS: Final[Mapping[str, str]] = {
    "glorot_uniform": "GlorotUniform",
    "he_normal": "HeNormal",
    "he_uniform": "HeUniform",
    "zeros": "Zeros",
}


@dataclass
class Chain:
    """Layers one after the other. `shape` is that of the last one's output, without the batch."""

    name: str
    shape: tuple[int, ...]
    layers: list[Config] = field(default_factory=list)

    def __post_init__(self) -> None:
        config = {"name": INPUT_NAME, "batch_shape": [None, *self.shape], "dtype": "float32", "sparse": False}
        self.layers.append(_layer("InputLayer", config, []))

    def add(self, class_name: str, name: str, shape: Sequence[int] | None = None, **config: Any) -> None:
        """Append a layer; `shape` is its output's, if that differs from its input's."""
        tensor = {
            "class_name": "__keras_tensor__",
            "config": {
                "shape": [None, *self.shape],
                "dtype": "float32",
                "keras_history": [self.layers[-1]["name"], 0, 0],
            },
        }
        node = {"args": [tensor], "kwargs": {}}
        self.layers.append(_layer(class_name, {"name": name, "trainable": True, **config}, [node]))
        if shape is not None:
            self.shape = tuple(shape)

    def model(self) -> Config:
        """The functional model from the first layer to the last."""
        config = {
            "name": self.name,
            "trainable": True,
            "layers": self.layers,
            "input_layers": [self.layers[0]["name"], 0, 0],
            "output_layers": [self.layers[-1]["name"], 0, 0],
        }
        return {
            "module": "keras.src.models.functional",
            "class_name": "Functional",
            "config": config,
            "registered_name": "Functional",
        }


def _layer(class_name: str, config: Config, nodes: list[Config]) -> Config:
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": config,
        "registered_name": None,
        "name": config["name"],
        "inbound_nodes": nodes,
    }


def initializer(name: str) -> Config:
    """An initializer as Keras writes it. Raises ValueError for an unknown name."""
    if name not in _INITIALIZERS:
        raise ValueError(f"unknown initializer {name!r}; known are {', '.join(_INITIALIZERS)}")
    config = {} if name == "zeros" else {"seed": None}
    return {
        "module": "keras.initializers",
        "class_name": _INITIALIZERS[name],
        "config": config,
        "registered_name": None,
    }


def dense(chain: Chain, name: str, units: int, kernel_initializer: str = "glorot_uniform") -> None:
    """Add a dense layer without activation."""
    chain.add(
        "Dense",
        name,
        (units,),
        units=units,
        activation="linear",
        use_bias=True,
        kernel_initializer=initializer(kernel_initializer),
        bias_initializer=initializer("zeros"),
    )
