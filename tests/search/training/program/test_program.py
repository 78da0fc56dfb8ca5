"""Shared programs: one trace for all assignments, with the numbers that the plain model gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from quantization.specs.parse import QuantizerSpec, parse_quantizer
from search.data import Dataset, InputScaling
from search.history import Assignment
from search.spec.quantizers import NOTEBOOK_SPACE
from search.spec.training import Training
from search.task import Output, classification
from search.training.build import assemble, compile_model
from search.training.program import cache as program_cache
from search.training.program.cache import ProgramSpec, program_for
from search.training.program.optimizers import OPTIMIZERS
from search.training.program.program import Program
from search.training.program.state import DeviceData, ProgramState

pytestmark = pytest.mark.filterwarnings(
    # Keras 3.15 saves TensorFlow's tensors in a way numpy 2 would have otherwise.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

OUTPUT = classification(Output("softmax", 4))
BATCH = 16
RATE = 0.01


def architecture(**dense: Any) -> dict[str, Any]:
    """A small network with every kind of slot, a normalization and a dropout."""
    inputs = keras.Input((6, 6, 2), name="in")
    x = keras.layers.Conv2D(5, 3, strides=2, name="conv")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.8, name="bn")(x)
    x = keras.layers.Activation("relu", name="act")(x)
    x = keras.layers.Dropout(0.2, name="drop")(x)
    x = keras.layers.Activation("linear", name="linear")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Activation("relu", name="act_2")(x)
    x = keras.layers.Dense(4, name="dense", **dense)(x)
    x = keras.layers.Activation("softmax", name="softmax")(x)
    model = keras.Model(inputs, x, name="net")  # named, so that all tests share one program
    config: dict[str, Any] = {"class_name": "Functional", "config": model.get_config()}
    return config


def data(count: int = 72, seed: int = 0) -> DeviceData:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(count, 6, 6, 2)).astype(np.float32)
    return DeviceData.from_arrays(x, (x.mean(axis=(1, 2)) @ [8.0, 3.0]).astype(int) % 4)


FIELDS = {
    ("conv", "kernel"): "kernel",
    ("conv", "bias"): "bias",
    ("act", "activation"): "activation",
    ("linear", "activation"): "linear",
    ("act_2", "activation"): "activation",
    ("dense", "kernel"): "kernel",
    ("dense", "bias"): "bias",
}

BEYOND = {
    "kernel": [
        "quantized_bits(4,0,1,alpha='auto')",
        "quantized_bits(4,0,1,alpha='auto_po2')",
        "quantized_bits(1,0)",
        "quantized_linear(4,0)",
        "binary(alpha='auto')",
        "ternary(alpha=0.5)",
        "std(4)",
        "max_per_axis(4)",
    ],
    "bias": ["quantized_linear(8,2)", "quantized_bits(8,2,use_stochastic_rounding=1)", "ternary"],
    "activation": [
        "quantized_relu(4,2,negative_slope=0.25)",
        "quantized_tanh(4)",
        "quantized_sigmoid(6)",
        "quantized_hswish(6,2)",
        "quantized_ulaw(6,2)",
        "quantized_relu(4,2,use_stochastic_rounding=1)",
        "discrete_relu(4)",
        "bernoulli(alpha=1.0)",
    ],
    "linear": ["quantized_po2(6)", "quantized_tanh(6)", "stochastic_ternary(alpha='auto')"],
}

SPACE = {field: [*NOTEBOOK_SPACE[field], *BEYOND[field]] for field in BEYOND}

Specs = Mapping[str, Mapping[str, tuple[QuantizerSpec | None, ...]]]


def candidates() -> Specs:
    specs: dict[str, dict[str, tuple[QuantizerSpec | None, ...]]] = {}
    for (layer, slot), field in FIELDS.items():
        specs.setdefault(layer, {})[slot] = tuple(parse_quantizer(text) for text in SPACE[field])
    return specs


def assignment(number: int, widths: Mapping[str, int] | None = None) -> Assignment:
    """The `number`-th candidate everywhere, counted anew where there are fewer; in later layers the eighth after it."""
    quantizers: dict[str, dict[str, QuantizerSpec | None]] = {"bn": {}}
    for layer, slots in candidates().items():
        shift = 8 if layer in ("act_2", "dense") else 0
        quantizers[layer] = {slot: specs[(number + shift) % len(specs)] for slot, specs in slots.items()}
    return Assignment({}, quantizers, widths or {})


def network(tuned: tuple[str, ...] = (), optimizer: str = "adam", space: Specs | None = None) -> ProgramSpec:
    return ProgramSpec(architecture(), OUTPUT, optimizer, candidates() if space is None else space, tuned)


def small(tuned: tuple[str, ...] = (), optimizer: str = "adam") -> ProgramSpec:
    """Only a few kinds of quantizers, which are traced quickly."""
    return network(
        tuned, optimizer, {"conv": {"kernel": FEW}, "act": {"activation": FEW}, "dense": {"kernel": FEW}}
    )


def simple(number: int, widths: Mapping[str, int] | None = None) -> Assignment:
    """An assignment of the small network."""
    few = (*FEW[number % len(FEW) :], *FEW)
    slots = {"conv": {"kernel": few[0]}, "act": {"activation": few[1]}, "dense": {"kernel": few[2]}}
    return Assignment({}, slots, widths or {})


FEW = tuple(
    parse_quantizer(text)
    for text in ("quantized_bits(4,0,1,alpha=1.0)", "stochastic_binary(alpha=1.0)", "quantized_relu(6,2)")
)


@pytest.fixture(autouse=True, scope="module")
def fresh() -> Iterator[None]:
    program_cache.clear()
    yield
    program_cache.clear()


def trained(program: Program, model: keras.Model, epochs: int = 2) -> tuple[list[float], ProgramState]:
    """Loss and metric in training and in validation of every epoch, and the state after them."""
    arguments, state = program.arguments(model, RATE, BATCH), program.state(model)
    seen, train, validation = [], data(), data(40, seed=1)
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(train)).astype(np.int32)
        state, totals = program.train(arguments, state, train, order, 0, -(-len(train) // BATCH))
        measured = program.evaluate(arguments, state, validation)
        seen += [totals.loss, totals.accuracy, measured.loss, measured.accuracy]
    return seen, state


def plain_program(model: keras.Model, optimizer: str = "adam") -> Program:
    return Program(model, OUTPUT, optimizer)


# --- the same numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(8))
def test_two_epochs_on_the_shared_program_give_the_plain_models_metrics(number: int) -> None:
    shared = network()
    chosen = assignment(number)
    program = program_for(shared, chosen)
    numbers, _ = trained(program, assemble(chosen, shared.architecture, 5))
    plain = assemble(chosen, shared.architecture, 5)
    expected, _ = trained(plain_program(plain), plain)
    assert numbers == pytest.approx(expected, abs=1e-6)


WIDTHS = [{}, {"conv": 3}, {"conv": 10}]


def test_every_candidate_is_covered() -> None:
    covered: dict[str, set[str]] = {}
    for number in range(8):
        for layer, slots in assignment(number).quantizers.items():
            for slot, spec in slots.items():
                covered.setdefault(FIELDS[layer, slot], set()).add(str(spec))
    assert covered == {
        field: {str(parse_quantizer(text)) for text in texts} for field, texts in SPACE.items()
    }


@pytest.mark.parametrize("widths", WIDTHS)
def test_open_widths_give_the_numbers_of_fixed_ones(widths: dict[str, int]) -> None:
    shared = small(("conv",))
    chosen = simple(1, widths)
    numbers, _ = trained(program_for(shared, chosen), assemble(chosen, shared.architecture, 5))
    plain = assemble(chosen, shared.architecture, 5)
    expected, _ = trained(plain_program(plain), plain)
    assert numbers == pytest.approx(expected, abs=1e-6)


def float_model(seed: int = 5, **dense: Any) -> keras.Model:
    return assemble(Assignment({}, {}), architecture(**dense), seed)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_is_that_of_keras(optimizer: str) -> None:
    ours, theirs = float_model(), float_model()
    state = in_order(plain_program(ours, optimizer), ours)
    compile_model(theirs, Training(learning_rate=RATE, optimizer=optimizer), OUTPUT)
    train = data()
    theirs.fit(np.asarray(train.x), np.asarray(train.y), batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    weights = np.concatenate([np.asarray(variable.value).ravel() for variable in theirs.trainable_variables])
    np.testing.assert_allclose(np.asarray(state.weights), weights, rtol=1e-4, atol=2e-5)


def in_order(program: Program, model: keras.Model) -> ProgramState:
    arguments, state, train = program.arguments(model, RATE, BATCH), program.state(model), data()
    for _ in range(2):
        order = np.arange(len(train), dtype=np.int32)
        state, _ = program.train(arguments, state, train, order, 0, -(-len(train) // BATCH))
    return state


def test_penalties_and_constraints_of_weights_are_kept() -> None:
    extras = {
        "kernel_regularizer": keras.regularizers.L2(0.1),
        "kernel_constraint": keras.constraints.MaxNorm(0.5),
    }
    ours, theirs = float_model(**extras), float_model(**extras)
    program = plain_program(ours)
    program.store(in_order(program, ours), ours)
    compile_model(theirs, Training(learning_rate=RATE), OUTPUT)
    train = data()
    x, y = np.asarray(train.x), np.asarray(train.y)
    theirs.fit(x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    kernels = [np.asarray(model.get_layer("dense").kernel) for model in (ours, theirs)]
    np.testing.assert_allclose(kernels[0], kernels[1], rtol=1e-4, atol=2e-5)
    assert np.linalg.norm(kernels[0], axis=0).max() < 0.5001
    measured = program.evaluate(program.arguments(ours, RATE, BATCH), program.state(ours), train)
    assert measured.loss == pytest.approx(theirs.evaluate(x, y, verbose=0)[0], rel=1e-3)


# --- one trace -----------------------------------------------------------------------------------------------


def test_nothing_is_traced_after_the_first_trial() -> None:
    shared = small(("conv",))
    first = program_for(shared, simple(0))
    trained(first, assemble(simple(0), shared.architecture, 1), epochs=1)
    traces = first.traces
    for number, widths in enumerate(({"conv": 2}, {"conv": 11}, {}), start=1):
        chosen = simple(number, widths)
        program = program_for(shared, chosen)
        trained(program, assemble(chosen, shared.architecture, number), epochs=1)
        assert program is first
    assert first.traces == traces


def test_what_cannot_be_switched_has_a_program_of_its_own() -> None:
    chosen = Assignment({}, {"dense": {"kernel": parse_quantizer("trainable_std(4)"), "bias": None}})
    shared = ProgramSpec(architecture(), OUTPUT, "adam", {})
    program = program_for(shared, chosen)
    model = assemble(chosen, shared.architecture, 1)
    before = float(model.get_layer("dense").quantizer("kernel").threshold)
    _, state = trained(program, model)
    program.store(state, model)
    assert float(model.get_layer("dense").quantizer("kernel").threshold) != before


def test_no_more_programs_are_kept_than_a_few() -> None:
    shared = small()
    for width in range(1, 12):
        changed = {**shared.architecture, "config": {**shared.architecture["config"], "name": f"net{width}"}}
        program_for(ProgramSpec(changed, OUTPUT, "adam", {}), simple(0))
    assert len(program_cache._programs) <= program_cache.MAX_PROGRAMS


def test_the_last_data_sets_stay_on_the_device() -> None:
    parts = [np.asarray(array) for array in (data(8).x, data(8).y)]
    one, other, third = (Dataset(*parts, *parts, *parts, InputScaling(1.0, (0.0,))) for _ in range(3))
    copy, another = program_cache.on_device(one, "train"), program_cache.on_device(other, "train")
    assert copy is program_cache.on_device(one, "train")
    assert copy is not another
    program_cache.on_device(third, "train")
    assert copy is program_cache.on_device(one, "train")
    assert another is not program_cache.on_device(other, "train")


# --- states --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_saved_model_holds_weights_statistics_and_the_optimizers_state(
    optimizer: str, tmp_path: Path
) -> None:
    chosen = simple(1)
    shared = small(optimizer=optimizer)
    program, model = program_for(shared, chosen), assemble(chosen, shared.architecture, 3)
    _, state = trained(program, model, epochs=1)
    compile_model(model, Training(learning_rate=RATE, optimizer=optimizer), OUTPUT)
    model.optimizer.build(model.trainable_variables)
    program.store(state, model, model.optimizer)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = program.continued(program.state(loaded), loaded, loaded.optimizer)
    state, again = (keras.tree.flatten(part._replace(integers=())) for part in (state, again))
    for one, two in zip(state, again, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))


def test_training_in_pieces_is_training() -> None:
    chosen, shared, train = simple(1), small(), data()
    program, model = program_for(shared, chosen), assemble(chosen, shared.architecture, 3)
    arguments, start = program.arguments(model, RATE, BATCH), program.state(model)
    order = np.arange(len(train), dtype=np.int32)
    whole, totals = program.train(arguments, start, train, order, 0, 5)
    first, one = program.train(arguments, start, train, order, 0, 2)
    second, two = program.train(arguments, first, train, order, 2, 5)
    np.testing.assert_array_equal(np.asarray(whole.weights), np.asarray(second.weights))
    assert (
        ((one + two).examples, (one + two).correct)
        == (totals.examples, totals.correct)
        == (72, totals.correct)
    )


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    chosen, shared, train = Assignment({}, {}), ProgramSpec(architecture(), OUTPUT, "adam", {}), data()
    program, model = program_for(shared, chosen), assemble(chosen, shared.architecture, 3)
    spoiled = np.asarray(train.x).copy()
    spoiled[40] = np.nan
    order = np.arange(len(train), dtype=np.int32)
    _, totals = program.train(
        program.arguments(model, RATE, BATCH),
        program.state(model),
        DeviceData.from_arrays(spoiled, train.y),
        order,
        0,
        5,
    )
    assert totals.batches == 3
    assert not np.isfinite(totals.loss_sum)
