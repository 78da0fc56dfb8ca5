"""When garbage is collected, and imports without scikit-learn."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from search import process
from search.process import collect_sometimes, without_collections, without_scikit_learn
from tests.search.searches import Search, make_choices, make_spec


@pytest.fixture
def collections() -> Iterator[list[str]]:
    """The collector's passes, one entry each."""
    passes: list[str] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            passes.append(f"generation {info['generation']}")

    gc.callbacks.append(note)
    yield passes
    gc.callbacks.remove(note)


def webs(count: int) -> None:
    """Garbage that only the collector takes apart."""
    for _ in range(count):
        web: list[Any] = []
        web.append(web)


def test_the_collector_runs_when_there_is_garbage(collections: list[str]) -> None:
    webs(10_000)
    assert collections


def test_it_does_not_run_inside(collections: list[str]) -> None:
    with without_collections():
        collections.clear()
        webs(10_000)
        assert not collections


def test_it_is_on_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="inside"), without_collections():
        raise ValueError("inside")
    assert gc.isenabled()


@pytest.mark.parametrize(("model_bytes", "trials"), [(0, 16), (1_000_000, 16), (50_000_000, 3), (10**9, 1)])
def test_models_wait_for_it_as_long_as_they_are_few_and_small(
    monkeypatch: pytest.MonkeyPatch, model_bytes: int, trials: int
) -> None:
    monkeypatch.setattr(process, "_uncollected", [])
    collected: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: collected.append(1))
    for _ in range(2):
        for _ in range(trials - 1):
            collect_sometimes(model_bytes)
            assert not collected
        collect_sometimes(model_bytes)
        assert collected == [1]
        collected.clear()


def test_what_was_off_stays_off() -> None:
    with without_collections():
        with without_collections():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_proposal_is_not_held_up_by_it(collections: list[str]) -> None:
    search = Search(make_spec(trials=200), make_choices(7, 7, 5, 5, 3)).run(parallel=100)
    search.spec = make_spec(trials=201)
    gc.collect()
    collections.clear()
    assert len(search.propose(1).trials) == 1
    # Restoring 200 trials makes more objects than the collector lets pass; those of the answer are few.
    assert len(collections) <= 1


def test_scikit_learn_cannot_be_imported_inside_and_can_be_again_after_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    with pytest.raises(ImportError), without_scikit_learn():
        importlib.import_module("sklearn")
    assert "sklearn" not in sys.modules


def test_scikit_learn_stays_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", sys)
    with without_scikit_learn():
        assert importlib.import_module("sklearn") is sys
    assert sys.modules["sklearn"] is sys
