"""The cost of a network by REST and by command line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from starlette.testclient import TestClient

from costmodel.network import read_network
from costmodel.technology import load_profile
from search.networks.zoo import zoo_config
from search.spec.cost import CostOptions
from service.client import Invalid, SearchClient
from tests.service.pricing import FOUR_BITS, problems

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
        ({"model": {"kind": "architecture", "config": {"layers": 3}}}, "/model/config", "a list of layers"),
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
