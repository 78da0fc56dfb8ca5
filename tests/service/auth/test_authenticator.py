"""Callers of requests: keys are verified, cached for a while, and required as soon as there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.auth import keys, tokens
from service.auth.authenticator import MAX_FAILURES, Authenticator, Credentials
from service.auth.buckets import LocalBuckets
from service.auth.scopes import OWNER, Caller, KeyScope
from service.errors import RateLimited, Unauthorized
from service.settings import Settings
from service.store.key_models import ApiKey
from service.store.models import now
from service.store.session import Database
from tests.service.auth.test_buckets import Clock


@pytest.fixture
def plain(settings: Settings) -> Iterator[Database]:
    """The database of embedded settings."""
    database = Database(settings.database)
    yield database
    database.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authenticator(plain: Database, settings: Settings, clock: Clock) -> Authenticator:
    return Authenticator(plain, settings, LocalBuckets(clock), clock)


def make_key(database: Database, scope: KeyScope = KeyScope.SUBMIT, **options: Any) -> str:
    with database.transaction() as session:
        _, token = keys.create(session, tenant="acme", name="a key", scope=scope, **options)
    return str(token)


def identify(
    authenticator: Authenticator, key: str | None, *, address: str = "10.0.0.1", forwarded: bool = False
) -> Caller:
    return asyncio.run(authenticator.identify(Credentials(key, address, forwarded)))


def test_a_key_names_its_tenant_and_scope(authenticator: Authenticator, plain: Database) -> None:
    key = make_key(plain, KeyScope.READ)
    caller = identify(authenticator, key)
    assert (caller.tenant, caller.scope, caller.key_id) == ("acme", KeyScope.READ, key.split("_")[1])


def test_without_a_key_in_the_database_everybody_on_loopback_is_the_owner(
    authenticator: Authenticator,
) -> None:
    assert identify(authenticator, None) == OWNER


def test_the_first_key_turns_keys_on(authenticator: Authenticator, plain: Database, clock: Clock) -> None:
    assert identify(authenticator, None) == OWNER
    make_key(plain)
    clock.now += 11
    with pytest.raises(Unauthorized):
        identify(authenticator, None)


def test_a_forwarded_request_needs_a_key(authenticator: Authenticator) -> None:
    with pytest.raises(Unauthorized, match="proxy"):
        identify(authenticator, None, forwarded=True)


def test_a_service_on_another_address_always_needs_a_key(plain: Database, settings: Settings) -> None:
    outside = settings.model_copy(update={"host": "0.0.0.0"})
    with pytest.raises(Unauthorized):
        identify(Authenticator(plain, outside, LocalBuckets()), None)


@pytest.mark.parametrize("key", ["", "nonsense", "fewbits_" + "0" * 12 + "_" + "0" * 48])
def test_an_unknown_key_is_refused_also_where_none_is_needed(authenticator: Authenticator, key: str) -> None:
    with pytest.raises(Unauthorized):
        identify(authenticator, key)


def test_a_wrong_secret_is_refused(authenticator: Authenticator, plain: Database) -> None:
    key = make_key(plain)
    wrong = f"{key[:-1]}{'0' if key[-1] != '0' else '1'}"
    with pytest.raises(Unauthorized):
        identify(authenticator, wrong)


def test_a_key_is_verified_once_in_a_while(
    authenticator: Authenticator, plain: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, checks = make_key(plain), []
    matches = tokens.matches
    monkeypatch.setattr(tokens, "matches", lambda *arguments: checks.append(1) or matches(*arguments))
    for _ in range(5):
        identify(authenticator, key)
    assert len(checks) == 1
    clock.now += 11
    identify(authenticator, key)
    assert len(checks) == 2


def test_a_revoked_key_dies_when_it_is_looked_up_again(
    authenticator: Authenticator, plain: Database, clock: Clock
) -> None:
    key = make_key(plain)
    identify(authenticator, key)
    with plain.transaction() as session:
        keys.revoke(session, key.split("_")[1])
    clock.now += 11
    with pytest.raises(Unauthorized):
        identify(authenticator, key)


@pytest.mark.parametrize("lifetime", [None, timedelta(milliseconds=1)])
def test_once_a_key_was_made_one_is_required_whatever_became_of_it(
    authenticator: Authenticator, plain: Database, clock: Clock, lifetime: timedelta | None
) -> None:
    key = make_key(plain, lifetime=lifetime)
    with plain.transaction() as session:
        keys.revoke(session, key.split("_")[1])
    clock.now += 11
    with pytest.raises(Unauthorized, match="this service has keys"):
        identify(authenticator, None)


def test_an_expired_key_is_refused_also_while_it_is_remembered(
    authenticator: Authenticator, plain: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(plain, lifetime=timedelta(seconds=5))
    identify(authenticator, key)
    clock.now += 4
    identify(authenticator, key)
    clock.now += 2  # less than a key is remembered
    monkeypatch.setattr("service.auth.authenticator.database_now", lambda _: now() + timedelta(seconds=6))
    with pytest.raises(Unauthorized):
        identify(authenticator, key)


def test_wrong_keys_are_slowed_down_by_address(
    authenticator: Authenticator, plain: Database, clock: Clock
) -> None:
    good = make_key(plain)
    identify(authenticator, good)
    with pytest.raises(RateLimited):
        for _ in range(MAX_FAILURES + 2):
            with pytest.raises(Unauthorized):
                identify(authenticator, str(tokens.new()))
    with pytest.raises(Unauthorized):
        identify(authenticator, str(tokens.new()), address="10.0.0.2")
    clock.now += 11
    assert identify(authenticator, good).tenant == "acme"  # a key in use is not held up by others' guesses


def test_the_use_of_a_key_is_noted(authenticator: Authenticator, plain: Database) -> None:
    key = make_key(plain)
    identify(authenticator, key)
    with plain.reading() as session:
        assert keys.get(session, key.split("_")[1]).last_used_at is not None


def test_no_secret_is_stored(plain: Database, settings: Settings) -> None:
    key = make_key(plain)
    with plain.reading() as session:
        row = session.get(ApiKey, key.split("_")[1])
        assert row is not None
        assert key.split("_")[2] not in "".join(str(value) for value in vars(row).values())
    plain.dispose()
    stored = b"".join(path.read_bytes() for path in Path(settings.home).glob("fewbits.db*"))
    assert key.split("_")[2].encode() not in stored
    assert key.split("_")[1].encode() in stored
