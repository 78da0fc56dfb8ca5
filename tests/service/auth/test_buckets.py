"""Rate limits: a full bucket at first, refilled at a steady rate, the same in this process and in Redis."""

from __future__ import annotations

import bisect
import secrets
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.buckets import WINDOW_S, LocalBuckets, RedisBuckets, make_buckets
from tests.conftest import redis_url


class Clock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_as_many_as_allowed_pass_at_once_then_none() -> None:
    buckets = LocalBuckets(Clock())
    states = [buckets.consume("a", 3) for _ in range(5)]
    assert [state.is_exceeded for state in states] == [False, False, False, True, True]
    assert [state.remaining for state in states] == [2, 1, 0, 0, 0]


def test_after_the_time_it_names_one_passes_again() -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    while not (exceeded := buckets.consume("a", 30)).is_exceeded:
        pass
    assert exceeded.headers["Retry-After"] == "2"
    clock.now += exceeded.retry_s
    assert not buckets.consume("a", 30).is_exceeded
    assert buckets.consume("a", 30).is_exceeded


def test_the_least_recently_used_bucket_is_dropped_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.auth.buckets._MAX_BUCKETS", 2)
    buckets = LocalBuckets(Clock())
    for name in ("a", "b", "a", "c"):
        buckets.consume(name, 3)
    assert [buckets.consume(name, 3).remaining for name in ("a", "c")] == [0, 1]
    assert buckets.consume("b", 3).remaining == 2


def test_names_do_not_share_a_bucket() -> None:
    buckets = LocalBuckets(Clock())
    assert [buckets.consume(name, 1).is_exceeded for name in ("a", "b", "a")] == [False, False, True]


@given(limit=st.integers(1, 500), steps=st.lists(st.floats(0, 30), max_size=60))
def test_no_window_ever_passes_more_than_twice_the_limit(limit: int, steps: list[float]) -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    passed: list[float] = []
    for step in steps:
        clock.now += step
        for _ in range(limit + 1):
            state = buckets.consume("a", limit)
            assert 0 <= state.remaining < limit
            assert state.reset_s <= WINDOW_S
            if state.is_exceeded:
                break
            passed.append(clock.now)
    for index, start in enumerate(passed):
        assert bisect.bisect_left(passed, start + WINDOW_S) - index <= 2 * limit


def test_the_state_is_sent_in_headers() -> None:
    headers = LocalBuckets(Clock()).consume("a", 60).headers
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
    buckets = RedisBuckets(server, "fewbits")
    yield buckets
    buckets.close()


@pytest.mark.services
def test_processes_on_one_redis_share_a_bucket(shared: RedisBuckets, server: str) -> None:
    name = secrets.token_hex(8)
    other = RedisBuckets(server, "fewbits")
    assert not shared.consume(name, 2).is_exceeded
    assert not other.consume(name, 2).is_exceeded
    assert shared.consume(name, 2).is_exceeded
    other.close()


def test_without_redis_no_request_is_refused() -> None:
    away = RedisBuckets("redis://127.0.0.1:1/0", "fewbits")
    assert [away.consume("a", 1).is_exceeded for _ in range(3)] == [False, False, False]
    away.close()


def test_buckets_are_where_the_broker_is() -> None:
    assert isinstance(make_buckets("", "fewbits"), LocalBuckets)
    shared = make_buckets("redis://127.0.0.1:1/0", "fewbits")
    assert isinstance(shared, RedisBuckets)
    shared.close()
