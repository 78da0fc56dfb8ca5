"""When the garbage collector may look."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from search import process
from search.process import collect_sometimes, without_collections
from tests.search.searches import Search, make_choices, make_spec


@pytest.fixture
def looks() -> Iterator[list[str]]:
    """The collector's passes, one entry each."""
    found: list[str] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            found.append(f"generation {info['generation']}")

    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)


def webs(count: int) -> None:
    """Garbage that only the collector takes apart."""
    for _ in range(count):
        web: list[Any] = []
        web.append(web)


def test_the_collector_looks_when_there_is_garbage(looks: list[str]) -> None:
    webs(10_000)
    assert looks


def test_it_does_not_look_inside(looks: list[str]) -> None:
    with without_collections():
        looks.clear()
        webs(10_000)
        assert not looks


def test_it_is_on_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="inside"), without_collections():
        raise ValueError("inside")
    assert gc.isenabled()


@pytest.mark.parametrize(("held_bytes", "trials"), [(0, 16), (1_000_000, 16), (50_000_000, 3), (10**9, 1)])
def test_models_wait_for_it_as_long_as_they_are_few_and_small(
    monkeypatch: pytest.MonkeyPatch, held_bytes: int, trials: int
) -> None:
    monkeypatch.setattr(process, "_left", [])
    collected: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: collected.append(1))
    for _ in range(2):
        for _ in range(trials - 1):
            collect_sometimes(held_bytes)
            assert not collected
        collect_sometimes(held_bytes)
        assert collected == [1]
        collected.clear()


def test_what_was_off_stays_off() -> None:
    with without_collections():
        with without_collections():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_proposal_is_not_held_up_by_it(looks: list[str]) -> None:
    search = Search(make_spec(trials=200), make_choices(7, 7, 5, 5, 3)).run(parallel=100)
    search.spec = make_spec(trials=201)
    gc.collect()
    looks.clear()
    assert len(search.propose(1).trials) == 1
    # Restoring 200 trials makes more objects than the collector lets pass; those of the answer are few.
    assert len(looks) <= 1
