"""Exports of a trial, through the worker."""

from __future__ import annotations

import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from quantization.export.comparison import Proof
from quantization.export.context import DeviceFigures, Written
from quantization.export.errors import NotExact
from quantization.export.written import Export as WrittenExport
from search.results.exports import ExportSpec, ExportStatus
from search.training.exporting import ProvenExport
from service.api.exports import _checked
from service.queue import TaskName
from service.settings import Settings
from service.store import exports, quotas
from service.store.export_models import Export
from service.store.leases import Watch
from service.store.models import DiscardedBlob, Event
from service.views.exports import export_view
from tests.worker.conftest import Bench
from worker import export
from worker.identity import is_surely_dead

TOOK = "search.training.exporting.export_trial"


def ask(bench: Bench, job_id: str, name: str = "keras") -> str:
    """Request an export as the API does; its name."""
    spec = ExportSpec(format=name)
    export_name, options = _checked(spec)
    with bench.database.transaction() as session:
        row, is_new = exports.request(session, job_id, 0, spec, export_name, options)
        if is_new:
            bench.queue.enqueue(TaskName.MAKE_EXPORT, row.id)
    return export_name


def row_of(bench: Bench, job_id: str, name: str = "keras") -> Export:
    with bench.database.reading() as session:
        return exports.get(session, job_id, 0, name)


def made_up(*_: Any, folder: Path, **__: Any) -> ProvenExport:
    """In place of `export_trial`: a file, and a proof."""
    folder.mkdir()
    (folder / "net.c").write_text("int x;")
    proof = Proof(
        examples=5,
        equal_classes=1.0,
        largest_difference=0.0,
        largest_output=2.0,
        inexact={},
        versions={"gcc": "14"},
    )
    written = Written(figures=DeviceFigures(flash_bytes=120, ram_bytes=30))
    return ProvenExport(WrittenExport("c", {}, folder, ("net.c",), written), proof, 0.75, 0.75, 4)


@pytest.fixture
def searched(bench: Bench) -> str:
    """A job of one trial that has ended."""
    job_id = bench.submit(budget={"trials": 1})
    bench.work()
    return job_id


def test_an_export_is_written_run_and_compared(bench: Bench, searched: str, tmp_path: Path) -> None:
    ask(bench, searched)
    bench.work()
    row = row_of(bench, searched)
    assert (row.status, row.reason) == (ExportStatus.DONE, None)
    view = export_view(searched, 0, row)
    assert view.proof is not None
    assert (view.proof.exact, view.proof.equal_classes, view.proof.examples) == (True, 1.0, 100)
    assert view.proof.metric == view.proof.model_metric
    assert "keras" in view.proof.versions
    path = bench.runtime.blobs.path(str(row.sha256))
    assert path.stat().st_size == view.size_bytes
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [file.name for file in view.files] == ["export.json", "model.keras"]
    with bench.database.reading() as session:
        statuses = [event.data["status"] for event in session.query(Event) if event.type == "trial.export"]
        spent = quotas.usage(session, Settings(home=tmp_path), "local")[quotas.STORED_BYTES].used
        assert spent > row.size_bytes
    assert statuses == ["queued", "running", "done"]


class TestMadeUp:
    """The life of an export, whatever makes it."""

    @pytest.fixture(autouse=True)
    def _made_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(TOOK, made_up)

    def test_equal_requests_have_one_export(self, bench: Bench, searched: str) -> None:
        name = ask(bench, searched)
        bench.work()
        first = row_of(bench, searched)
        assert ask(bench, searched) == name
        assert not bench.queue.messages
        assert row_of(bench, searched).sha256 == first.sha256
        assert first.figures == {"flash_bytes": 120, "ram_bytes": 30, "packed_bytes": None, "macs": None}

    def test_a_killed_worker_s_export_is_made_by_the_next_one(self, bench: Bench, searched: str) -> None:
        ask(bench, searched)
        with bench.database.transaction() as session:  # a worker claims it and dies
            export_id = exports.get(session, searched, 0, "keras").id
            assert exports.claim(session, export_id, worker="elsewhere/1/0", lease=timedelta(seconds=-1))
        bench.work()
        assert row_of(bench, searched).status == ExportStatus.RUNNING
        export.sweep(bench.runtime, Watch(is_surely_dead))
        bench.work()
        row = row_of(bench, searched)
        assert (row.status, row.attempt) == (ExportStatus.DONE, 2)

    def test_a_lost_message_is_sent_again(self, bench: Bench, searched: str) -> None:
        ask(bench, searched)
        bench.queue.messages.clear()
        bench.settings.__dict__["resend"] = timedelta(seconds=-1)
        export.sweep(bench.runtime, Watch(is_surely_dead))
        bench.work()
        assert row_of(bench, searched).status == ExportStatus.DONE

    def test_one_that_was_deleted_meanwhile_stores_nothing(
        self, bench: Bench, searched: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def deleted_meanwhile(*arguments: Any, **options: Any) -> ProvenExport:
            with bench.database.transaction() as session:
                exports.remove(session, searched, 0, "keras")
            return made_up(*arguments, **options)

        monkeypatch.setattr(TOOK, deleted_meanwhile)
        ask(bench, searched)
        bench.work()
        with pytest.raises(exports.ExportNotFound):
            row_of(bench, searched)

    def test_a_deleted_export_leaves_its_file_to_the_sweep(self, bench: Bench, searched: str) -> None:
        ask(bench, searched)
        bench.work()
        sha256 = row_of(bench, searched).sha256
        with bench.database.transaction() as session:
            exports.remove(session, searched, 0, "keras")
        with bench.database.reading() as session:
            assert session.get(DiscardedBlob, sha256) is not None

    def test_a_promise_that_is_not_held_fails_it_with_the_reason(
        self, bench: Bench, searched: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unequal(*_: Any, **__: Any) -> ProvenExport:
            raise NotExact("format 'keras' promises equality, but an output differs by 0.5")

        monkeypatch.setattr(TOOK, unequal)
        ask(bench, searched)
        bench.work()
        row = row_of(bench, searched)
        assert (row.status, row.sha256) == (ExportStatus.FAILED, None)
        assert "differs by 0.5" in str(row.reason)
        monkeypatch.setattr(TOOK, made_up)
        ask(bench, searched)  # a failed one is made again
        bench.work()
        assert row_of(bench, searched).status == ExportStatus.DONE


def test_equal_files_make_equal_zips(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder / "sub").mkdir(parents=True)
        (tmp_path / folder / "sub" / "a.txt").write_text("a")
    zips = [
        export.pack(tmp_path / folder, ("sub/a.txt",), tmp_path / f"{folder}.zip").read_bytes()
        for folder in ("one", "two")
    ]
    assert zips[0] == zips[1]
