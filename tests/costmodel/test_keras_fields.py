"""The table of fields is that of Keras' constructors, and of what its layers save."""

from __future__ import annotations

import inspect

import keras
import pytest

from costmodel.descriptions.fields import COMMON, KERAS_FIELDS
from costmodel.descriptions.functions import FUNCTIONS
from costmodel.descriptions.objects import CONSTRAINTS, INITIALIZERS, REGULARIZERS

#: Arguments between Keras' own classes, which its layers never save.
INNER = {"rank", "pool_dimensions", "pool_mode", "cell"}


def arguments(class_name: str) -> dict[str, bool]:
    """The arguments of a class and of those it is made from: name -> without a default."""
    names: dict[str, bool] = {}
    for base in getattr(keras.layers, class_name).__mro__:
        if base in (keras.layers.Layer, keras.Operation):
            break
        parameters = inspect.signature(base.__init__).parameters if "__init__" in vars(base) else {}
        for name, parameter in parameters.items():
            if name != "self" and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                names.setdefault(name, parameter.default is parameter.empty and base.__name__ == class_name)
        if parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            break
    return names


@pytest.mark.parametrize("class_name", KERAS_FIELDS)
def test_the_fields_of_a_class_are_the_arguments_of_its_constructor(class_name: str) -> None:
    fields = {name.rstrip("!"): name.endswith("!") for name in KERAS_FIELDS[class_name].split()}
    saved = {"zero_output_for_mask": False} if class_name in ("SimpleRNN", "LSTM", "GRU") else {}
    saved |= {"rms_scaling": False} if class_name == "LayerNormalization" else {}
    saved |= {"lora_rank": False, "lora_alpha": False} if class_name in ("Conv1D", "Conv2D", "Conv3D") else {}
    saved |= {"activity_regularizer": False} if class_name == "Embedding" else {}
    expected = {name: needed for name, needed in arguments(class_name).items() if name not in INNER}
    assert fields == {
        **saved,
        **{name: value for name, value in expected.items() if name not in COMMON.split()},
    }


@pytest.mark.parametrize(
    ("module", "classes"),
    [
        (keras.initializers, INITIALIZERS),
        (keras.regularizers, REGULARIZERS),
        (keras.constraints, CONSTRAINTS),
    ],
)
def test_the_fields_of_objects_are_the_arguments_of_their_constructors(
    module: object, classes: dict[str, str]
) -> None:
    for class_name, text in classes.items():
        parameters = inspect.signature(getattr(module, class_name).__init__).parameters.values()
        names = [p.name for p in parameters if p.name != "self" and p.kind is p.POSITIONAL_OR_KEYWORD]
        assert [name.rstrip("!") for name in text.split()] == names, class_name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_one_of_keras_and_keeps_the_shape(name: str) -> None:
    assert keras.activations.get(name)(keras.ops.ones((2, 3))).shape == (2, 3)
