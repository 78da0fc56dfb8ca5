"""The pass that measures what each candidate alone does to a float model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from quantization.layers import QuantizedDense
from quantization.models.convert import float_model
from quantization.quantizers import build_quantizer
from quantization.specs.parse import parse_quantizer
from search.data import Dataset
from search.errors import Cancelled
from search.networks.architecture import architecture
from search.plan import Plan
from search.task import Head, Output
from search.training.sensitivity import _Probe, _Scores, measure_sensitivity


@pytest.fixture(scope="module")
def whole(small_plan: Plan, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float model of the small job, trained for a moment."""
    keras.utils.set_random_seed(0)
    model = float_model(architecture(small_plan.job.model))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(digits.x_train, digits.y_train, epochs=3, verbose=0)
    path = tmp_path_factory.mktemp("whole") / "model.keras"
    model.save(path)
    return path


def test_finer_quantizers_and_wider_layers_diverge_less(
    small_plan: Plan, digits: Dataset, whole: Path
) -> None:
    """Of a network whose batch normalization is folded; every choice of the space is measured."""
    measured = measure_sensitivity(small_plan, whole, 0.9, digits)
    dimensions = small_plan.choices.dimensions()
    assert {name: tuple(labels) for name, labels in measured.divergences.items()} == {
        name: tuple(map(str, labels)) for name, labels in dimensions.items()
    }
    kernel = measured.divergences["conv2d_0.kernel"]
    assert kernel["binary()"] > kernel["quantized_bits(4,0,1,alpha=1.0)"] > 0
    [width] = small_plan.choices.widths
    narrow = measured.divergences[width.name]
    assert narrow["0.5"] > narrow["1.0"] == pytest.approx(0, abs=1e-6)
    assert narrow["2.0"] == pytest.approx(0, abs=1e-4)
    assert measured.metric == 0.9


def test_a_user_can_end_the_measurement(small_plan: Plan, digits: Dataset, whole: Path) -> None:
    def cancel() -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        measure_sensitivity(small_plan, whole, 0.9, digits, cancel)


@pytest.mark.parametrize("factor", [0.04, 1.0, 30.0])
def test_the_scale_of_a_kernel_does_not_count_as_damage(factor: float) -> None:
    layer = QuantizedDense(8, quantizers={"kernel": "quantized_bits(3,0,1,alpha=1.0)"})
    layer.build((None, 6))
    kernel = np.random.default_rng(0).normal(0, 0.5, (6, 8)).astype("float32")

    def error(scale: float) -> float:
        probe = _Probe(layer, "kernel")
        probe.records = True
        probe(kernel * scale)
        probe.use(build_quantizer(parse_quantizer("quantized_bits(3,0,1,alpha=1.0)")))
        return float(np.square(probe(kernel * scale) / scale - kernel).mean())

    assert error(factor) == pytest.approx(error(1.0), rel=0.15)
    assert error(factor) < 0.05 * np.square(kernel).mean()


HEADS: dict[str, tuple[Head, Callable[[np.ndarray], np.ndarray]]] = {
    "softmax": (Head("a", Output("softmax", 3), (3,)), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    "logits": (Head("a", Output("linear", 3), (3,)), lambda x: x),
    "sigmoid": (Head("a", Output("sigmoid", 1), (1,)), lambda x: 1 / (1 + np.exp(-x[:, :1]))),
    "one logit": (Head("a", Output("linear", 1), (1,)), lambda x: x[:, :1]),
    "values": (Head("a", Output("linear", 3), (3,), "mse"), lambda x: x),
}


@pytest.mark.parametrize("name", HEADS)
def test_divergences_grow_with_the_change_and_are_0_without_one(name: str) -> None:
    head, outputs = HEADS[name]
    random = np.random.default_rng(1)
    x, noise = random.normal(size=(50, 3)), random.normal(size=(50, 3))
    scores = _Scores(head, 0, None, random.normal(size=(50, 3)))

    def of(values: np.ndarray) -> np.ndarray:
        return scores.of(lambda *_, **__: outputs(values))  # type: ignore[arg-type]

    none, small, large, broken = (
        scores.divergence(of(x), of(x + size * noise)) for size in (0.0, 0.1, 1.0, np.nan)
    )
    assert none == pytest.approx(0, abs=1e-12)
    assert none < small < large < broken < np.inf


def scored(name: str, values: np.ndarray) -> np.ndarray:
    head, outputs = HEADS[name]
    return _Scores(head, 0, None, None).of(lambda *_, **__: outputs(values))  # type: ignore[arg-type]


def test_softmax_and_logits_of_one_network_have_one_divergence() -> None:
    x, other = np.random.default_rng(2).normal(size=(2, 40, 3))
    one, same = (
        _Scores(HEADS[name][0], 0, None, None).divergence(scored(name, x), scored(name, other))
        for name in ("softmax", "logits")
    )
    assert one == pytest.approx(same, rel=1e-5)
