"""Mistakes at the start: each ends with a line that says what is wrong and what to do, never with a traceback."""

from __future__ import annotations

import io
import sqlite3
import sys
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from service.cli import app as command
from service.cli.start_up import print_any_text
from service.settings import Settings, quoted_password
from service.store.migrate import upgrade
from service.store.session import Database


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FEWBITS_HOME", str(tmp_path / "home"))


MISTAKES = [
    ({"FEWBITS_PORT": "eight"}, "FEWBITS_PORT: Input should be a valid integer"),
    ({"FEWBITS_PORT": "70000"}, "FEWBITS_PORT: Input should be less than or equal to 65535"),
    ({"FEWBITS_MAX_ATTEMPTS": "-1"}, "FEWBITS_MAX_ATTEMPTS"),
    ({"FEWBITS_LEASE": "soon"}, "FEWBITS_LEASE"),
    ({"FEWBITS_LOG_FORMAT": "xml"}, "FEWBITS_LOG_FORMAT"),
    ({"FEWBITS_NAMESPACE": "a b"}, "FEWBITS_NAMESPACE"),
    ({"FEWBITS_DATABASE_URL": "mysql://a:secret@b/c"}, "FEWBITS_DATABASE_URL: expected postgresql://"),
    ({"FEWBITS_DATABASE_URL": "nonsense"}, "FEWBITS_DATABASE_URL: expected postgresql://"),
    ({"FEWBITS_BROKER_URL": "http://secret@b"}, "FEWBITS_BROKER_URL: expected redis://"),
    ({"FEWBITS_DATABASE_URL": "postgresql://a:secret@127.0.0.1:1/x"}, "the database cannot be used"),
    ({"HOME": "", "FEWBITS_HOME": "~/.fewbits"}, "has no home folder; set FEWBITS_HOME"),
    ({"FEWBITS_HOME": "~nobody-of-this-name/x"}, "has no home folder; set FEWBITS_HOME"),
    ({"FEWBITS_HOME": "/dev/null/home"}, "name a folder that this user can write"),
    ({"FEWBITS_HOME": "/proc/home"}, "name a folder that this user can write"),
]


@pytest.mark.parametrize(("variables", "words"), MISTAKES)
def test_a_mistake_is_explained_in_a_line(
    variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(command, ["migrate"])
    assert result.exit_code == 1, result.output
    assert words in result.output
    assert "secret" not in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_an_empty_variable_is_one_that_is_not_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"FEWBITS_{name.upper()}", raising=False)
    expected = Settings()
    if name == "home":
        monkeypatch.setenv("HOME", "/somewhere")
        expected = expected.model_copy(update={"home": Path("/somewhere/.fewbits")})
    monkeypatch.setenv(f"FEWBITS_{name.upper()}", "")
    assert Settings() == expected


def test_databases_of_others_are_refused_and_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "home" / "fewbits.db"
    path.parent.mkdir()
    path.write_text("a diary, and no database at all, which is longer than its header")
    result = CliRunner().invoke(command, ["migrate"])
    assert (result.exit_code, "file is not a database" in result.output) == (1, True)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    result = CliRunner().invoke(command, ["migrate"])
    assert (result.exit_code, "tables of another program" in result.output) == (1, True)
    path.unlink()
    database = Database(Settings().database)
    upgrade(database.engine)
    with database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.dispose()
    result = CliRunner().invoke(command, ["migrate"])
    assert (result.exit_code, "a newer fewbits" in result.output) == (1, True)


@pytest.mark.parametrize("name", ["50%", "a%2Fb", "what?", "a#b", "a b", "größe", "a&b=c", "~", "[x]"])
def test_files_lie_in_the_home_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    home = tmp_path / name
    settings = Settings(home=home)
    assert settings.home == home
    assert make_url(settings.database).database == str(home / "fewbits.db")
    database = Database(settings.database)
    upgrade(database.engine)
    database.dispose()
    assert (home / "fewbits.db").is_file()


@pytest.mark.parametrize(
    ("raw", "quoted"),
    [
        ("redis://:p@ss/w#o?r%d@host:6379/0", "redis://:p%40ss%2Fw%23o%3Fr%25d@host:6379/0"),
        ("redis://:p%40ss@host:6379/0", "redis://:p%40ss@host:6379/0"),
        ("amqp://user:a:b@[::1]:5672//", "amqp://user:a%3Ab@[::1]:5672//"),
        ("postgresql://u:100%@host/name?options=-c%20x", "postgresql://u:100%25@host/name?options=-c%20x"),
        ("postgresql://u@host/name", "postgresql://u@host/name"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://:größe@host/0", "redis://:gr%C3%B6%C3%9Fe@host/0"),
    ],
)
def test_passwords_may_have_any_signs(raw: str, quoted: str) -> None:
    assert quoted_password(raw) == quoted
    assert quoted_password(quoted) == quoted


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_is_written_with_and_without_brackets(host: str) -> None:
    settings = Settings(host=host)
    assert (settings.host, settings.base_url) == ("::1", "http://[::1]:8765")
    assert settings.is_on_loopback


def test_output_in_another_alphabet_shows_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    print_any_text()
    print("größe → 8 bits")
    output.flush()
    assert output.buffer.getvalue() == b"gr\\xf6\\xdfe \\u2192 8 bits\n"  # type: ignore[attr-defined]
