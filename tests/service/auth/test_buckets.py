"""Rates: a full bucket at first, one request back every so often, the same in this process and in Redis."""

from __future__ import annotations

import bisect
import secrets
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.buckets import WINDOW_S, LocalBuckets, RedisBuckets, buckets
from tests.conftest import redis_url


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_as_many_as_allowed_pass_at_once_then_none() -> None:
    kept = LocalBuckets(Clock())
    taken = [kept.take("a", 3) for _ in range(5)]
    assert [each.is_over for each in taken] == [False, False, False, True, True]
    assert [each.remaining for each in taken] == [2, 1, 0, 0, 0]


def test_after_the_time_it_names_one_passes_again() -> None:
    clock = Clock()
    kept = LocalBuckets(clock)
    while not (over := kept.take("a", 30)).is_over:
        pass
    assert over.headers["Retry-After"] == "2"
    clock.now += over.retry_s
    assert not kept.take("a", 30).is_over
    assert kept.take("a", 30).is_over


def test_names_do_not_share_a_bucket() -> None:
    kept = LocalBuckets(Clock())
    assert [kept.take(name, 1).is_over for name in ("a", "b", "a")] == [False, False, True]


@given(limit=st.integers(1, 500), steps=st.lists(st.floats(0, 30), max_size=60))
def test_no_window_ever_passes_more_than_twice_the_limit(limit: int, steps: list[float]) -> None:
    clock = Clock()
    kept = LocalBuckets(clock)
    passed: list[float] = []
    for step in steps:
        clock.now += step
        for _ in range(limit + 1):
            taken = kept.take("a", limit)
            assert 0 <= taken.remaining < limit
            assert taken.reset_s <= WINDOW_S
            if taken.is_over:
                break
            passed.append(clock.now)
    for index, start in enumerate(passed):
        assert bisect.bisect_left(passed, start + WINDOW_S) - index <= 2 * limit


def test_the_state_is_told_in_headers() -> None:
    headers = LocalBuckets(Clock()).take("a", 60).headers
    assert headers == {
        "RateLimit-Limit": "60",
        "RateLimit-Remaining": "59",
        "RateLimit-Reset": "1",
        "RateLimit-Policy": "60;w=60",
    }


# --- Redis ---


@pytest.fixture
def server() -> str:
    url = redis_url()
    if url is None:
        pytest.skip("no Redis server on loopback or at FEWBITS_TEST_BROKER_URL")
    return url


@pytest.fixture
def shared(server: str) -> Iterator[RedisBuckets]:
    found = RedisBuckets(server)
    yield found
    found.close()


@pytest.mark.services
def test_processes_on_one_redis_share_a_bucket(shared: RedisBuckets, server: str) -> None:
    name = secrets.token_hex(8)
    other = RedisBuckets(server)
    assert not shared.take(name, 2).is_over
    assert not other.take(name, 2).is_over
    assert shared.take(name, 2).is_over
    other.close()


def test_a_redis_that_is_away_refuses_nobody() -> None:
    away = RedisBuckets("redis://127.0.0.1:1/0")
    assert [away.take("a", 1).is_over for _ in range(3)] == [False, False, False]
    away.close()


def test_buckets_are_where_the_broker_is() -> None:
    assert isinstance(buckets(""), LocalBuckets)
    found = buckets("redis://127.0.0.1:1/0")
    assert isinstance(found, RedisBuckets)
    found.close()
