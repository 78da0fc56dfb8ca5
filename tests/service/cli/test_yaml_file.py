"""YAML of users: read as the safe loader reads it, within limits that aliases cannot get round."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from service.cli import yaml_file
from service.cli.cost_question import Unusable, read
from service.cli.yaml_file import parse_yaml
from tests.service.conftest import Run

TENFOLD = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
LAUGHS = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]", *TENFOLD])
MERGES = "\n".join(
    ["m0: &m0 {x: 1, y: 2}", *(f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}]}}" for n in range(1, 40))]
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(alphabet="abc:- #&*"),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet="abc", max_size=3), inner, max_size=4)
    ),
)


@given(values)
def test_what_was_written_is_read(value: object) -> None:
    assert parse_yaml(yaml.safe_dump(value)) == value


def test_aliases_of_an_ordinary_file_are_replaced() -> None:
    text = "limits: &l {kernel: 8}\nother: *l\nmerged: {<<: *l, bias: 4}\n"
    assert parse_yaml(text) == {
        "limits": {"kernel": 8},
        "other": {"kernel": 8},
        "merged": {"kernel": 8, "bias": 4},
    }
    assert parse_yaml("") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "its aliases replaced"),
        (MERGES, "its aliases replaced"),
        ("a: &a [*a]", "contains itself"),
        ("a: &a {b: *a}", "contains itself"),
        ("[" * 5000, "nested more than"),
        ("- " * 300 + "x", "nested more than"),
        ("[" + "x, " * 5_000 + "]", "more than 5000 values"),
        ("!!python/object/apply:os.system [true]", "could not determine a constructor"),
    ],
    ids=["laughs", "merges", "itself", "itself in a mapping", "unclosed", "deep", "many", "object"],
)
def test_what_is_too_large_or_no_data_is_refused(
    text: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_file, "MAX_VALUES", 5_000)  # 300,000 take seconds to read
    with pytest.raises(yaml.YAMLError, match=reason):
        parse_yaml(text)


@pytest.mark.parametrize("text", [LAUGHS, MERGES])
def test_every_command_reads_within_these_limits(run: Run, tmp_path: Path, text: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    for command in ("submit", "validate"):
        done = run(command, str(path))
        assert done.exit_code == 2
        assert "aliases" in done.stderr
    with pytest.raises(Unusable, match="aliases"):
        read(path)


def test_no_other_module_parses_yaml() -> None:
    root = Path(__file__).parents[3]
    loads = [
        path.relative_to(root).as_posix()
        for package in ("service", "search", "worker", "costmodel", "quantization")
        for path in (root / package).rglob("*.py")
        if any(word in path.read_text() for word in ("yaml.safe_load", "yaml.load", "SafeLoader"))
    ]
    assert loads == ["service/cli/yaml_file.py"]
