"""Keys in SQL: created, rotated, revoked; tenants and their limits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.auth import keys
from service.auth.keys import InvalidKey, TenantLimits
from service.auth.scopes import KeyScope
from service.store.models import now
from service.store.session import Database

HOUR = timedelta(hours=1)


def make(database: Database, lifetime: timedelta | None = None) -> str:
    with database.transaction() as session:
        row, _ = keys.create(session, tenant="acme", name="a key", scope=KeyScope.READ, lifetime=lifetime)
    return row.id


def test_there_are_keys_as_long_as_one_is_good(database: Database) -> None:
    with database.reading() as session:
        assert not keys.any_valid(session)
    key_id = make(database)
    with database.reading() as session:
        assert keys.any_valid(session)
    with database.transaction() as session:
        keys.revoke(session, key_id)
        assert not keys.any_valid(session)
        assert keys.exist(session), "a key is still required"
        assert keys.remove_all(session) == 1
        assert not keys.exist(session)


def test_a_rotated_key_is_good_for_its_grace(database: Database) -> None:
    old_id = make(database)
    with database.transaction() as session:
        new, token = keys.rotate(session, old_id, grace=HOUR)
        old = keys.get(session, old_id)
        assert token.key_id == new.id != old_id
        assert (new.tenant, new.scope, new.name) == (old.tenant, old.scope, old.name)
        assert old.replaced_by == new.id
        assert keys.is_valid(old, now())
        assert not keys.is_valid(old, now() + 2 * HOUR)
        assert keys.is_valid(new, now() + 2 * HOUR)


def test_a_grace_does_not_prolong_a_key(database: Database) -> None:
    old_id = make(database, lifetime=HOUR)
    with database.transaction() as session:
        keys.rotate(session, old_id, grace=24 * HOUR)
        assert not keys.is_valid(keys.get(session, old_id), now() + 2 * HOUR)


def test_a_dead_key_is_not_rotated(database: Database) -> None:
    key_id = make(database)
    with database.transaction() as session:
        keys.revoke(session, key_id)
        with pytest.raises(InvalidKey, match="create a new one"):
            keys.rotate(session, key_id, grace=HOUR)


@pytest.mark.parametrize("tenant", ["", "-a", "a b", "x" * 65, "a/b", "ä"])
def test_a_tenant_s_name_is_checked(database: Database, tenant: str) -> None:
    with database.transaction() as session, pytest.raises(InvalidKey, match="letters"):
        keys.create(session, tenant=tenant, name="a key", scope=KeyScope.READ)


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb"])
def test_a_key_s_name_is_checked(database: Database, name: str) -> None:
    with database.transaction() as session, pytest.raises(InvalidKey, match="printable"):
        keys.create(session, tenant="acme", name=name, scope=KeyScope.READ)


def test_a_key_cannot_be_born_dead(database: Database) -> None:
    with database.transaction() as session, pytest.raises(InvalidKey, match="positive"):
        keys.create(session, tenant="acme", name="a key", scope=KeyScope.READ, lifetime=timedelta(0))


def test_limits_are_replaced_whole(database: Database) -> None:
    with database.transaction() as session:
        keys.set_limits(session, "acme", TenantLimits(max_trials=5, max_running_jobs=1))
        row = keys.set_limits(session, "acme", TenantLimits(max_trials=7))
        assert (row.max_trials, row.max_running_jobs) == (7, None)


def test_keys_are_listed_by_tenant(database: Database) -> None:
    mine = make(database)
    with database.transaction() as session:
        keys.create(session, tenant="other", name="b", scope=KeyScope.READ)
        assert [row.id for row in keys.listed(session, "acme")] == [mine]
        assert len(keys.listed(session)) == 2
