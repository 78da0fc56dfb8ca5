"""Conversion of AutoQKeras' run_config."""

from __future__ import annotations

import json
from typing import Any

import pytest

from costmodel.network import read_network
from search.autoqkeras import DROPPED, import_run_config
from search.errors import InvalidSpec
from search.networks.zoo import zoo_config
from search.run_config import read_run_config
from search.space.choices import choices
from search.spec.job import SearchSpec
from search.spec.quantizers import NOTEBOOK_SPACE

#: The arguments of the notebook's first search.
NOTEBOOK: dict[str, Any] = {
    "output_dir": "/tmp/result",
    "goal": {
        "type": "energy",
        "params": {
            "delta_p": 8.0,
            "delta_n": 8.0,
            "rate": 2.0,
            "stress": 1.0,
            "process": "horowitz",
            "parameters_on_memory": ["sram", "sram"],
            "activations_on_memory": ["sram", "sram"],
            "rd_wr_on_io": [False, False],
            "min_sram_size": [0, 0],
            "source_quantizers": ["int8"],
            "reference_internal": "int8",
            "reference_accumulator": "int32",
        },
    },
    "quantization_config": NOTEBOOK_SPACE,
    "learning_rate_optimizer": False,
    "transfer_weights": False,
    "mode": "random",
    "seed": 42,
    "limit": {
        "Dense": [8, 8, 4],
        "Conv2D": [4, 8, 4],
        "DepthwiseConv2D": [4, 8, 4],
        "Activation": [4],
        "BatchNormalization": [],
    },
    "tune_filters": "layer",
    "tune_filters_exceptions": "^dense",
    "distribution_strategy": None,
    "layer_indexes": [1, 2, 3, 4, 5],
    "max_trials": 20,
}


def imported(**changes: Any) -> tuple[SearchSpec, str]:
    result = import_run_config(NOTEBOOK | changes, "mnist_convblock")
    return SearchSpec.model_validate(result.job), "\n".join(result.quirks)


def test_the_notebook_s_run_config_means_what_it_meant() -> None:
    spec, _ = imported()
    assert (spec.oracle.kind, spec.budget.trials, spec.seed) == ("random", 20, 42)
    assert (spec.filters.by, spec.filters.exceptions) == ("layer", ("^dense.*",))
    assert spec.goal.kind == "energy"
    assert spec.goal.profile == "horowitz-qkeras"
    assert spec.goal.parameters_on_memory == ("sram", "sram")
    assert spec.layers.indexes == (1, 2, 3, 4, 5)
    assert [c.bits for c in spec.quantizers.kernel] == list(NOTEBOOK_SPACE["kernel"].values())


def test_the_space_of_the_notebook_is_unchanged() -> None:
    spec, _ = imported(layer_indexes=None)
    space = choices(spec, read_network(zoo_config("mnist_convblock")))
    assert len(space.dimensions()["conv2d_0.kernel"]) == 7
    assert len(space.dimensions()["act_0.activation"]) == 5


def test_a_python_literal_is_read_without_being_run() -> None:
    text = f"run_config = {NOTEBOOK!r}"
    assert read_run_config(text) == NOTEBOOK
    with pytest.raises(InvalidSpec, match="is code, and none is run"):
        read_run_config("__import__('os').system('true')")


#: The cell of the notebook, with its variables.
VERBATIM = f"""
import tempfile
quantization_config = {NOTEBOOK["quantization_config"]!r}
limit = {NOTEBOOK["limit"]!r}
goal = {NOTEBOOK["goal"]!r}
run_config = {{
  "output_dir": tempfile.mkdtemp(),
  "goal": goal,
  "quantization_config": quantization_config,
  "learning_rate_optimizer": False,
  "transfer_weights": False,
  "mode": "random",
  "seed": 42,
  "limit": limit,
  "tune_filters": "layer",
  "tune_filters_exceptions": "^dense",
  "distribution_strategy": cur_strategy,
  # first layer is input, layer two layers are softmax and flatten
  "layer_indexes": range(1, len(model.layers) - 1),
  "max_trials": 20
}}
"""


def test_the_notebooks_cell_is_read_as_it_is() -> None:
    config = read_run_config(VERBATIM, unused=DROPPED, layer_count=7)
    dropped = {"output_dir": None, "distribution_strategy": None}
    assert config == NOTEBOOK | dropped


#: What the notebook does with it, before and after.
SEARCH = """
%matplotlib inline
from qkeras.autoqkeras import AutoQKeras
if has_tpus:
    cur_strategy = tf.distribute.TPUStrategy(resolver)
print("quantizing layers:", [model.layers[i].name for i in run_config["layer_indexes"]])
autoqk = AutoQKeras(model, metrics=["acc"], custom_objects=custom_objects, **run_config)
autoqk.fit(x_train, y_train, validation_data=(x_test, y_test), batch_size=1024, epochs=20)
qmodel = autoqk.get_best_model()
qmodel.fit(x_train, y_train, epochs=200)
"""


def notebook(*cells: str) -> str:
    """The file of a notebook."""
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True), "outputs": []} for cell in cells]
    return json.dumps({"cells": [{"cell_type": "markdown", "source": ["# Search"]}, *code], "nbformat": 4})


def test_a_whole_notebook_is_read_with_what_its_search_was_fitted_with() -> None:
    config = read_run_config(notebook(VERBATIM, SEARCH), unused=DROPPED, layer_count=7)
    assert {name: config[name] for name in ("seed", "limit", "goal", "layer_indexes")} == {
        name: NOTEBOOK[name] for name in ("seed", "limit", "goal", "layer_indexes")
    }
    assert config["fit"] == {"epochs": 20, "batch_size": 1024}
    spec = SearchSpec.model_validate(import_run_config(config, "mnist_convblock", "mnist").job)
    assert (spec.training.epochs, spec.training.batch_size, spec.data.kind) == (20, 1024, "mnist")


#: Python that makes a run_config -> its value.
PROGRAMS = (
    ("run_config = {'seed': 1}\nprint(run_config)", {"seed": 1}),
    ("run_config = {'seed': 1}\nrun_config['seed'] = 2", {"seed": 2}),
    ("run_config = {'seed': 1}\nother = {'seed': 5}", {"seed": 1}),
    ("run_config = {'seed': 1}\nrun_config.update({'seed': 3}, )", {"seed": 3}),
    ("run_config = {}\nrun_config.update(seed=4, mode='random')", {"seed": 4, "mode": "random"}),
    (
        "limit = {'Dense': [4]}\nrun_config = {'limit': limit}\nlimit['Conv2D'] = [8]",
        {"limit": {"Dense": [4], "Conv2D": [8]}},
    ),
    (
        "limit = {'Dense': [4]}\nrun_config = {'limit': limit}\nlimit = {'Dense': [2]}",
        {"limit": {"Dense": [4]}},
    ),
    (
        "g = {'params': {'rate': 2}}\nrun_config = {'goal': g}\nrun_config['goal']['params']['rate'] = 4",
        {"goal": {"params": {"rate": 4}}},
    ),
    ("run_config = {'seed': 1}\nrun_config = {'seed': 2}", {"seed": 2}),
    ("n = 3\nrun_config = dict(seed=n)", {"seed": 3}),
    ("with s.scope():\n  run_config = {'seed': 1}", {"seed": 1}),
    ("base = {'seed': 1}\nrun_config = {**base, 'mode': 'random'}", {"seed": 1, "mode": "random"}),
    ("q = AutoQKerasScheduler(model, blocks=['a'], seed=7)", {"blocks": ["a"], "seed": 7}),
    (
        "c = {'seed': 1}\nq = lib.AutoQKeras(model, **c, mode='random')\nc = {'seed': 2}",
        {"seed": 1, "mode": "random"},
    ),
    ("def make():\n  run_config['seed'] = 9\nrun_config = {'seed': 1}", {"seed": 1}),
)


@pytest.mark.parametrize(("text", "config"), PROGRAMS)
def test_statements_are_read_in_their_order(text: str, config: dict[str, Any]) -> None:
    assert read_run_config(text) == config
    names: dict[str, Any] = {}
    program = text if "AutoQKeras" not in text and "scope" not in text else ""
    exec(program, names)  # noqa: S102 -- the programs above; what Python makes of them is what was read
    assert names.get("run_config", config) == config


@pytest.mark.parametrize(
    "change",
    [
        "run_config.pop('seed')",
        "del run_config['seed']",
        "for seed in (1, 2):\n  run_config['seed'] = seed",
        "if fast:\n  run_config['seed'] = 2",
        "run_config |= more",
        "run_config.update(more)",
        "run_config['limit'].clear()",
        "if fast:\n  run_config = {}",
    ],
)
def test_a_change_by_code_is_refused_rather_than_missed(change: str) -> None:
    with pytest.raises(InvalidSpec, match=r"`run_config` is changed by code"):
        read_run_config(f"run_config = {{'seed': 1, 'limit': {{'Dense': [4]}}}}\n{change}")


def test_indexes_of_a_sequential_model_are_shifted_by_its_input() -> None:
    shifted = import_run_config(NOTEBOOK, "mnist_convblock", first_layer=1)
    assert shifted.job["layers"]["indexes"] == [2, 3, 4, 5, 6]
    assert any("raised by 1" in quirk for quirk in shifted.quirks)


@pytest.mark.parametrize(
    ("text", "pointer", "code"),
    [
        ('{"layer_indexes": range(1, len(model.layers) - 1)}', "/layer_indexes", "len(model.layers)"),
        ('{"goal": goal}', "/goal", "goal"),
        ('goal = make()\n{"goal": goal, "seed": 1}', "/goal", "make()"),
        ('{"seed": 1, **more}', "", "**more"),
        ('a = [0] \nb = a\n{"limit": {"Dense": [c]}}', "/limit", "c"),
        ('{"seed": 2 ** 99}', "/seed", "2 ** 99"),
    ],
)
def test_code_in_a_run_config_is_named_with_the_remedy(text: str, pointer: str, code: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        read_run_config(text)
    [problem] = caught.value.problems
    assert problem.pointer == pointer
    assert problem.message.startswith(f"`{code}` is code, and none is run: write its value, or save")


@pytest.mark.parametrize(
    "text", ["a = a\n{'seed': a}", "{'seed': range(1, 2, 0)}", "{[1]: 2}", "{'a': range(10**9)}"]
)
def test_what_cannot_be_a_value_is_refused(text: str) -> None:
    with pytest.raises(InvalidSpec):
        read_run_config(text)


def test_variables_in_variables_do_not_grow_without_end() -> None:
    lines = ["v0 = [1, 1]", *(f"v{index} = [v{index - 1}, v{index - 1}]" for index in range(1, 40))]
    with pytest.raises(InvalidSpec, match="more than 200000 values"):
        read_run_config("\n".join([*lines, "{'limit': v39}"]))


def test_json_is_read() -> None:
    assert read_run_config(json.dumps({"mode": "random"})) == {"mode": "random"}


@pytest.mark.parametrize("text", ["[1]", "", "{1: 2}", "x" * 1_000_001, "(" * 500])
def test_what_is_no_dictionary_is_refused(text: str) -> None:
    with pytest.raises(InvalidSpec):
        read_run_config(text)


def test_goals_left_out_take_the_original_s_defaults() -> None:
    params = {"delta_p": 8, "delta_n": 8, "rate": 2}
    spec, _ = imported(goal={"type": "energy", "params": params})
    assert spec.goal.kind == "energy"
    assert (spec.goal.parameters_on_memory, spec.goal.activations_on_memory) == (
        ("fixed", "fixed"),
        ("dram", "dram"),
    )
    assert (spec.goal.reference_internal, spec.goal.rd_wr_on_io) == ("fp32", (True, True))


def test_a_pattern_becomes_one_for_whole_names() -> None:
    spec, quirks = imported(limit={"conv2d_[01]": [4, 8, 4], "^dense$": [8, 8, 4]})
    assert [entry.pattern for entry in spec.limits.by_name] == ["conv2d_[01].*", "^dense$"]
    assert "beginning of names" in quirks


def test_quantizers_picked_by_name_are_parsed() -> None:
    spec, _ = imported(limit={"Dense": [["binary", "ternary"], 8, 4]})
    kernel = spec.limits.by_class["Dense"].kernel
    assert isinstance(kernel, tuple)
    assert [quantizer.kind for quantizer in kernel] == ["binary", "ternary"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"limit": {"Dense": 8}}, "crashes on a bare number"),
        ({"tune_filters_exceptions": None}, "crashes on None"),
        ({"seed": 0}, "random seed"),
        ({"goal": {"type": "energy", "params": {"stress": 0.5}}}, "never applies it"),
        ({"goal": {"type": "energy", "params": {"process": "7nm"}}}, "falls back"),
        ({"goal": {"type": "energy", "params": {"colour": 1}}}, "goal.params.colour: ignored"),
        ({"limit": {"Dense": [8], "SeparableConv2D": [4]}}, "separable convolutions float"),
        ({"transfer_weights": True}, "crashes where filters are tuned"),
        ({"blocks": ["^conv"]}, "hands on no trained weights"),
        ({"blocks": ["^conv"]}, "blocks.^conv: AutoQKeras matches the beginning of names"),
        ({"colour": "blue"}, "colour: left out"),
        ({"mode": "bayesian"}, "3 random trials per choice"),
    ],
)
def test_a_quirk_of_the_original_is_named(changes: dict[str, Any], words: str) -> None:
    result = import_run_config(NOTEBOOK | changes, "mnist_convblock")
    assert words in "\n".join(result.quirks)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"mode": "grid"}, "/mode"),
        ({"goal": "energy"}, "/goal"),
        ({"max_trials": 0}, "/max_trials"),
        ({"layer_indexes": ["conv"]}, "/layer_indexes"),
        ({"limit": 8}, "/limit"),
        ({"limit": {"Dense": "8"}}, "/limit/Dense"),
        ({"quantization_config": {"kernel": {"quantised_bits(4)": 4}}}, "/quantization_config/kernel"),
        ({"tune_filters": "all"}, "/tune_filters"),
        ({"blocks": "conv"}, "/blocks"),
        ({"schedule_block": "random"}, "/schedule_block"),
    ],
)
def test_what_cannot_be_read_is_named(changes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        import_run_config(NOTEBOOK | changes, "mnist_convblock")
    assert caught.value.problems[0].pointer == pointer


def test_blocks_become_a_schedule() -> None:
    spec, _ = imported(blocks=["^conv2d_0$", "^act"], schedule_block="cost")
    assert spec.schedule.kind == "per_block"
    assert (spec.schedule.blocks, spec.schedule.order) == (("^conv2d_0$", "^act.*"), "cost")


def test_hyperband_keeps_its_arguments() -> None:
    spec, _ = imported(mode="hyperband", max_epochs=9, factor=4, hyperband_iterations=2)
    assert spec.oracle.kind == "hyperband"
    assert (spec.oracle.max_epochs, spec.oracle.factor, spec.oracle.iterations) == (9, 4, 2)


def test_limits_are_needed() -> None:
    config = {name: value for name, value in NOTEBOOK.items() if name != "limit"}
    with pytest.raises(InvalidSpec, match="quantizes nothing"):
        import_run_config(config, "mnist_convblock")
