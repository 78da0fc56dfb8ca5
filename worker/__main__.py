"""`python -m worker`: a worker process that runs until it is stopped."""

from __future__ import annotations

import argparse
import os
from typing import Any

from search.installation import cannot_train
from search.process import keep_private, without_collections
from service.observability import logs
from service.settings import Settings


def main() -> None:
    """Parse the options and run the worker; never returns normally."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=main.__doc__)
    parser.add_argument(
        "--concurrency",
        type=int,
        default=1,
        help="number of trials trained in parallel, each in its own process",
    )
    parser.add_argument("--beat", action="store_true", help="also sweep for dead workers and lost messages")
    parser.add_argument("--beat-only", action="store_true", help="only sweep; run no trials")
    options = parser.parse_args()
    if reason := cannot_train():
        raise SystemExit(reason)
    keep_private()
    settings = Settings()
    logs.configure(settings)
    _share_cores(options.concurrency)
    # read when Celery is imported: SIGTERM returns the running trial to the queue, instead of waiting for its end
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    with without_collections():
        app = _make_app(settings, options.concurrency)
    if options.beat_only:
        app.Beat(loglevel=settings.log_level, scheduler_cls="celery.beat:Scheduler").run()
        return
    arguments = [
        "--quiet",
        "worker",
        f"--concurrency={options.concurrency}",
        f"--loglevel={settings.log_level}",
    ]
    arguments += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    try:
        app.worker_main([*arguments, "--beat"] if options.beat else arguments)
    finally:
        _return_trials(settings)


def _make_app(settings: Settings, concurrency: int) -> Any:
    from celery.signals import setup_logging

    from worker.app import make_worker

    setup_logging.connect(_keep_logging, weak=False)
    return make_worker(settings, concurrency)


def _return_trials(settings: Settings) -> None:
    from worker.app import return_trials

    return_trials(settings)


def _keep_logging(**_: Any) -> None:
    """Celery sets up no logging where this signal has a receiver."""


def _share_cores(concurrency: int) -> None:
    """Give each child its share of the cores, so that trainings do not compete for the same ones."""
    threads = str(max(1, (os.cpu_count() or 1) // max(1, concurrency)))
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


if __name__ == "__main__":
    main()
