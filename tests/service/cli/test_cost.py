"""fewbits cost and fewbits profiles: networks priced without a service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from search.cost.answer import price_network
from search.networks.zoo import zoo_config
from search.spec.cost import CostSpec
from service.cli import app as command
from service.cli import cost_question
from service.cli.text.costs import Bar
from service.client import SearchClient
from tests.search.nets import functional, layer
from tests.security.models import keras_file
from tests.service.filled import JOB
from tests.service.pricing import FOUR_BITS, HOSTILE, PROFILE

Run = Callable[..., Result]


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


def test_a_model_file_is_priced(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.keras"
    path.write_bytes(keras_file())
    assert json.loads(run("cost", path, "--json").stdout)["energy_pj"] > 0
    path.write_bytes(b"PK not a model")
    assert run("cost", path).exit_code == 2


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


def test_the_page_is_one_file(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "cost.html"
    assert run("cost", "jet_mlp", "--html", target).exit_code == 0
    html = target.read_text()
    assert "<script" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert "default-src 'none'" in html
    assert 'class="operations" style="width:' in html


@pytest.mark.parametrize("name", [HOSTILE, "[bold]x[/bold]"])
def test_a_layer_with_markup_in_its_name_is_refused_and_named_as_text(
    run: Run, tmp_path: Path, name: str
) -> None:
    net = tmp_path / "net.json"
    net.write_text(json.dumps(functional((4,), [layer("Dense", name, ["input"], units=3)])))
    result = run("cost", net)
    assert result.exit_code == 2
    assert name in result.stderr.replace("\n", "")
    assert "give the layer another name" in result.stderr.replace("\n", " ")


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
