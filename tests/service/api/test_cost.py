"""The cost of a network by REST and by command line."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from starlette.testclient import TestClient
from typer.testing import CliRunner, Result

from costmodel.network import read_network
from costmodel.technology import load_profile
from search.cost.answer import price_network
from search.networks.zoo import zoo_config
from search.spec.cost import CostOptions, CostSpec
from service.cli import app as command
from service.cli import cost_question
from service.cli.text.costs import Bar
from service.client import Invalid, SearchClient
from tests.search.nets import functional, layer
from tests.service.filled import JOB

Run = Callable[..., Result]

FOUR_BITS = {"kernel": "quantized_bits(4,0,1,alpha=1.0)", "bias": "quantized_bits(8,3,1)"}
HOSTILE = "<script>alert(1)</script>"

PROFILE = """
name = "mine"
title = "my process"
process_nm = 28
fixed_add = { points = [[8, 0.02], [32, 0.06]], source = "data sheet" }
fixed_multiply = { polynomial = [0.001, 0.0, 0.0], source = "data sheet" }
float16 = { add = 0.2, multiply = 0.5, source = "data sheet" }
float32 = { add = 0.4, multiply = 2.0, source = "a rumour", second_hand = true }
sram = { access_bits = 32, points = [[8192, 1.0], [65536, 2.0]], source = "memory compiler" }
dram = { pj_per_bit = 12.0, source = "data sheet" }
"""


@pytest.fixture
def run() -> Run:
    """Runs `fewbits` with these arguments; there is no service."""

    def run_command(*arguments: object) -> Result:
        return CliRunner().invoke(command, [str(argument) for argument in arguments])

    return run_command


@pytest.fixture
def quantizers(tmp_path: Path) -> Path:
    """A file of quantizers for two layers."""
    path = tmp_path / "quantizers.yaml"
    path.write_text(yaml.safe_dump({"fc1": FOUR_BITS, "fc2": FOUR_BITS}))
    return path


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A user's profile."""
    path = tmp_path / "mine.toml"
    path.write_text(PROFILE)
    return path


def problems(client: SearchClient, **question: Any) -> dict[str | None, str]:
    with pytest.raises(Invalid) as raised:
        client.cost({"model": "jet_mlp", **question})
    return {item.pointer: item.detail for item in raised.value.problem.errors}


# --- REST ----------------------------------------------------------------------------------------------------------


def test_a_reference_is_priced_as_qtools_does(client: SearchClient) -> None:
    settings = {"profile": "horowitz-qkeras", "internal": "int8", "accumulator": "int32"}
    answer = client.cost({"model": "mnist_convblock", "settings": settings})
    assert answer.energy_pj == 574_164
    assert answer.accounting == "qtools"
    assert not answer.quantized


def test_an_answer_has_parts_shares_and_quantizers_of_every_layer(client: SearchClient) -> None:
    answer = client.cost({"model": "jet_mlp", "quantizers": {"fc1": FOUR_BITS}})
    names = [view.name for view in read_network(zoo_config("jet_mlp")).layers]
    assert [view.name for view in answer.layers] == names[1:]
    assert answer.layers[0].quantizers == {
        "kernel": "quantized_bits(4,0,1,alpha=1.0)",
        "bias": "quantized_bits(8,3,1)",
    }
    assert answer.energy_pj < answer.reference_pj
    for view in answer.layers:
        assert view.included_pj == pytest.approx(sum(getattr(view, f"{part}_pj") for part in view.included))


def test_an_architecture_is_priced(client: SearchClient) -> None:
    model = {"kind": "architecture", "config": zoo_config("jet_mlp")}
    assert client.cost({"model": model}).energy_pj == client.cost({"model": "jet_mlp"}).energy_pj


def test_explanation_types_and_costs_come_on_demand(client: SearchClient) -> None:
    plain = client.cost({"model": "jet_mlp", "costs": ["macs"]})
    assert plain.explanation is None
    assert plain.types is None
    assert {name: (cost.value, cost.unit) for name, cost in plain.costs.items()} == {"macs": (4256, "MAC")}
    full = client.cost({"model": "jet_mlp", "explain": "fc1", "types": True})
    assert full.explanation is not None
    assert full.explanation.lines[0].source
    assert full.types is not None
    assert full.types["fc1"]["layer_type"] == "Dense"


def test_a_profile_may_be_given_by_its_tables(client: SearchClient, profile: Path) -> None:
    tables = tomllib.loads(profile.read_text())
    answer = client.cost({"model": "jet_mlp", "settings": {"profile": tables}})
    assert (answer.profile, answer.profile_title) == ("mine", "my process")
    assert answer.second_hand == ("float32",)


@pytest.mark.parametrize(
    ("question", "pointer", "says"),
    [
        ({"model": "vgg"}, "/model", "jet_mlp"),
        ({"model": {"kind": "zoo", "name": "vgg"}}, "/model/name", "jet_mlp"),
        ({"model": {"kind": "architecture", "config": {"layers": 3}}}, "/model/config/layers", "layers"),
        ({"quantizers": {"fc9": FOUR_BITS}}, "/quantizers/fc9", "did you mean"),
        (
            {"quantizers": {"fc1": {"gamma": "binary"}}},
            "/quantizers/fc1/gamma",
            "it has kernel, bias, activation",
        ),
        ({"quantizers": {"fc1": {"kernel": "binaryy"}}}, "/quantizers/fc1/kernel", "did you mean 'binary'"),
        ({"widths": {"relu1": 4}}, "/widths/relu1", "filters or units"),
        ({"settings": {"profile": "5nm"}}, "/settings/profile", "known: horowitz, horowitz-qkeras, 7nm"),
        ({"settings": {"profile": 5}}, "/settings/profile", "a string"),
        ({"settings": {"parameters_on_memory": "rom"}}, "/settings/parameters_on_memory", "'sram'"),
        ({"settings": {"reuse": 0}}, "/settings/reuse", "greater than or equal to 1"),
        ({"settings": {"colour": 1}}, "/settings/colour", "is not a field"),
        ({"explain": "fc9"}, "/explain", "did you mean"),
        ({"costs": ["latency"]}, "/costs/0", "'energy'"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_with_a_pointer(
    client: SearchClient, question: dict[str, Any], pointer: str, says: str
) -> None:
    faults = problems(client, **question)
    assert list(faults) == [pointer]
    assert says in faults[pointer]


def test_a_fault_inside_a_given_profile_is_pointed_at(client: SearchClient, profile: Path) -> None:
    tables = tomllib.loads(profile.read_text())
    tables["sram"]["points"] = [[65536, 2.0], [8192, 1.0]]
    faults = problems(client, settings={"profile": tables})
    assert list(faults) == ["/settings/profile/sram/points"]


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["model", "quantizers", "widths", "settings", "reference", "costs", "explain", "types"]
SLOTTED = st.dictionaries(
    st.sampled_from(["fc1", "relu1", "input", "x"]),
    st.dictionaries(
        st.sampled_from(["kernel", "activation", "x"]),
        st.sampled_from(["binary()", "quantized_po2(4,1)", "bernoulli()", "stochastic_ternary()", "x", None])
        | ANYTHING,
    ),
)
OPTIONS = st.dictionaries(
    st.sampled_from([*CostOptions.model_fields]), ANYTHING | st.sampled_from(["int8", "7nm"])
)
QUESTIONS = st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=3) | st.fixed_dictionaries(
    {"quantizers": SLOTTED | st.fixed_dictionaries({"layers": st.lists(ANYTHING, max_size=2)})},
    optional={
        "widths": st.dictionaries(st.sampled_from(["fc1", "output"]), st.integers(0, 2**70)) | ANYTHING,
        "settings": OPTIONS,
    },
)


@given(question=QUESTIONS)
@examples(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_question_makes_the_service_fail(http: TestClient, question: dict[str, Any]) -> None:
    answer = http.post("/v1/cost", json={"model": "jet_mlp", **question})
    assert answer.status_code in (200, 422), answer.text


def test_a_body_that_is_not_json_is_malformed(http: TestClient) -> None:
    answer = http.post("/v1/cost", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:fewbits:problem:malformed"


def test_the_profiles_name_the_source_of_every_figure(client: SearchClient) -> None:
    profiles = {profile.name: profile for profile in client.profiles()}
    assert list(profiles) == ["horowitz", "horowitz-qkeras", "7nm"]
    for name, profile in profiles.items():
        technology = load_profile(name)
        assert [figure.table for figure in profile.figures] == [
            table for table, _ in technology.price_sources
        ]
        assert all(
            figure.source == technology.price_source(figure.table).source for figure in profile.figures
        )
    assert profiles["horowitz"].second_hand == ()
    assert "float16" in profiles["7nm"].second_hand


def test_a_job_with_an_unknown_profile_is_refused_naming_those_known(
    client: SearchClient, job: dict[str, Any]
) -> None:
    with pytest.raises(Invalid) as raised:
        client.validate(job | {"goal": {"kind": "energy", "profile": "mine.toml"}})
    (item,) = raised.value.problem.errors
    assert item.pointer == "/goal/profile"
    assert "known: horowitz, horowitz-qkeras, 7nm" in item.detail


# --- the command line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "energy"),
    [
        (("mnist_convblock", "--source", "int8", "--min-sram-size", "16MB", "--reference"), "3,295,146 pJ"),
        (("mnist_convblock", "--internal", "int8", "--accumulator", "int32"), "574,164 pJ"),
        (("jet_mlp", "--source", "int8"), "19,941 pJ"),
    ],
)
def test_the_command_line_gives_qtools_references(run: Run, arguments: tuple[str, ...], energy: str) -> None:
    result = run("cost", *arguments, "--profile", "horowitz-qkeras")
    assert result.exit_code == 0
    assert energy in result.stdout


def test_the_table_has_every_layer_and_its_bar(run: Run) -> None:
    lines = run("cost", "jet_mlp").stdout.splitlines()
    (largest,) = [line for line in lines if line.strip().startswith("fc2")]
    assert "▒" in largest
    assert "█" in largest
    (activation,) = [line for line in lines if line.strip().startswith("relu1")]
    assert "(" in activation  # its input is read on the way


def test_json_of_the_command_line_is_the_answer_of_the_service(
    run: Run, client: SearchClient, quantizers: Path
) -> None:
    printed = json.loads(
        run("cost", "jet_mlp", "--quantizers", quantizers, "--explain", "fc1", "--json").stdout
    )
    question = {"model": "jet_mlp", "quantizers": yaml.safe_load(quantizers.read_text()), "explain": "fc1"}
    assert printed == client.cost(question).model_dump(mode="json")


def test_quantizers_are_compared_with_the_reference(run: Run, quantizers: Path) -> None:
    assert "of the reference" in run("cost", "jet_mlp", "--quantizers", quantizers).stdout


def test_an_architecture_file_is_priced(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(zoo_config("jet_mlp")))
    assert run("cost", path, "--json").stdout == run("cost", "jet_mlp", "--json").stdout


def test_a_job_file_is_priced_as_its_goal_says(run: Run, client: SearchClient, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    job = JOB | {"goal": {"kind": "energy", "profile": "7nm", "parameters_on_memory": ["dram", "sram"]}}
    path.write_text(yaml.safe_dump(job))
    printed = json.loads(run("cost", path, "--json").stdout)
    assert printed["energy_pj"] == client.validate(job).reference.energy_pj
    assert printed["profile"] == "7nm"


def test_options_go_before_the_goal_of_a_job(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(JOB))
    assert json.loads(run("cost", path, "--json", "--profile", "7nm").stdout)["profile"] == "7nm"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A trial's quantizers.json."""
    layers = [
        {"name": "fc1", "class_name": "QuantizedDense", "width": 32, "quantizers": {"kernel": "binary()"}}
    ]
    path = tmp_path / "quantizers.json"
    path.write_text(json.dumps({"architecture": zoo_config("jet_mlp"), "layers": layers}))
    return path


def test_the_quantizers_json_of_a_trial_is_a_model(run: Run, written: Path) -> None:
    printed = json.loads(run("cost", written, "--json").stdout)
    assert printed["quantized"]
    assert printed["layers"][0]["output_shape"] == [32]
    assert printed == json.loads(run("cost", "jet_mlp", "--quantizers", written, "--json").stdout)


def test_the_reference_of_a_quantizers_json_is_priced_on_demand(run: Run, written: Path) -> None:
    printed = json.loads(run("cost", written, "--reference", "--json").stdout)
    assert not printed["quantized"]


def test_quantizers_without_a_network_say_how_to_name_it(run: Run, written: Path) -> None:
    document = json.loads(written.read_text())
    del document["architecture"]
    written.write_text(json.dumps(document))
    result = run("cost", written)
    assert result.exit_code == 2
    assert "--quantizers" in result.stderr


def test_a_users_profile_is_used(run: Run, profile: Path) -> None:
    printed = json.loads(run("cost", "jet_mlp", "--profile", profile, "--json").stdout)
    assert printed["profile"] == "mine"
    assert printed["second_hand"] == ["float32"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "points = [[8, 0.02], [32, 0.06]]",
            "points = [[8, 0.06], [32, 0.02]]",
            "fixed_add.points: bits must rise",
        ),
        ('dram = { pj_per_bit = 12.0, source = "data sheet" }', "", "dram: this table is missing"),
        ("pj_per_bit = 12.0", "pj_per_bit = -1", "dram.pj_per_bit: must be a number above 0"),
        ('multiply = 0.5, source = "data sheet"', "multiply = 0.5", "float16.source: must be text"),
        ("title =", "titel =", "titel: is unknown; allowed: name, title"),
        ('name = "mine"', "name =", "is not TOML"),
    ],
)
@pytest.mark.parametrize("name", ["cost", "profiles"])
def test_a_faulty_profile_is_refused_naming_table_and_field(
    run: Run, profile: Path, name: str, old: str, new: str, says: str
) -> None:
    assert old in PROFILE
    profile.write_text(PROFILE.replace(old, new))
    result = run("cost", "jet_mlp", "--profile", profile) if name == "cost" else run("profiles", profile)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("no_such_net",), "digits_cnn"),
        (("jet_mlp", "--profile", "5nm"), "known: horowitz, horowitz-qkeras, 7nm"),
        (("jet_mlp", "--profile", "absent.toml"), "cannot be read"),
        (("jet_mlp", "--min-sram-size", "8furlongs"), "--min-sram-size"),
        (("jet_mlp", "--quantizers", "absent.json"), "absent.json"),
        (("jet_mlp", "--explain", "fc9"), "/explain: there is no layer 'fc9'"),
        (("jet_mlp", "--source", "quantized_bitz(3)"), "/settings/source"),
        (("jet_mlp", "--internal", "fp8"), "fp32"),
        (("jet_mlp", "--html", "/proc/none/cost.html"), "/proc/none/cost.html"),
        (("jet_mlp", "--reference", "--quantizers", "x.json"), "exclude each other"),
    ],
)
def test_what_cannot_be_priced_exits_with_2_and_says_why(
    run: Run, arguments: tuple[str, ...], says: str
) -> None:
    result = run("cost", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr.replace("\n", "")
    assert "Traceback" not in result.output


@pytest.mark.parametrize("content", ["[1]", "{", "a: [", "just text", "", "a: 2020-01-01", "layers: 3"])
def test_a_file_that_is_not_a_network_exits_with_2(run: Run, tmp_path: Path, content: str) -> None:
    path = tmp_path / "net.json"
    path.write_text(content)
    result = run("cost", path)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_an_explanation_shows_formulas_and_sources(run: Run) -> None:
    printed = run("cost", "jet_mlp", "--explain", "fc1").stdout
    assert "1024 *" in printed
    assert "Horowitz" in printed


def test_types_are_printed_as_qtools_json(run: Run) -> None:
    assert json.loads(run("cost", "jet_mlp", "--types").stdout)["fc1"]["operation_count"] == 1024


def test_the_page_is_one_file_with_escaped_names(run: Run, tmp_path: Path) -> None:
    net = tmp_path / "net.json"
    net.write_text(json.dumps(functional((4,), [layer("Dense", HOSTILE, ["input"], units=3)])))
    target = tmp_path / "cost.html"
    assert run("cost", net, "--html", target).exit_code == 0
    html = target.read_text()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "http" not in html.replace("http-equiv", "")
    assert "default-src 'none'" in html
    assert 'class="operations" style="width:' in html


def test_names_are_printed_as_text(run: Run, tmp_path: Path) -> None:
    net = tmp_path / "net.json"
    net.write_text(json.dumps(functional((4,), [layer("Dense", "[bold]x[/bold]", ["input"], units=3)])))
    assert "[bold]x[/bold]" in run("cost", net).stdout


def test_profiles_are_listed_and_shown_in_full(run: Run, profile: Path) -> None:
    assert "horowitz-qkeras" in run("profiles").stdout
    assert "ISCA 2021" in run("profiles", "7nm").stdout
    shown = run("profiles", profile)
    assert shown.exit_code == 0
    assert "a rumour (second-hand)" in shown.stdout


def test_profiles_as_json_are_those_of_the_service(run: Run, client: SearchClient) -> None:
    printed = json.loads(run("profiles", "--json").stdout)
    assert [listed["figures"] for listed in printed] == [
        listed.model_dump(mode="json")["figures"] for listed in client.profiles()
    ]


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("65536", 65536),
        ("64 bits", 64),
        ("8KB", 65536),
        ("16 MiB", 2**27),
        ("0.5kb", 4096),
        ("3B", 24),
        ("1gb", 2**33),
    ],
)
def test_sizes_are_bits_or_units_of_bytes(text: str, bits: int) -> None:
    assert cost_question.size_bits(text) == bits


@pytest.mark.parametrize("text", ["", "KB", "-1", "1e3", "8 apples", "nan"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(cost_question.Unusable):
        cost_question.size_bits(text)


@pytest.mark.parametrize("width", [6, 13, 24])
def test_the_largest_layer_fills_its_bar(width: int) -> None:
    answer = price_network(CostSpec.model_validate({"model": "mnist_convblock"})).answer()
    largest = max(answer.layers, key=lambda each: each.included_pj)
    bars = [Bar(each, largest.included_pj).text(width) for each in answer.layers]
    assert max(len(bar) for bar in bars) == width
    assert len(Bar(largest, largest.included_pj).text(width)) == width
