"""`python -m worker`: a worker process that runs until it is stopped."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
from typing import Any

from search.installation import cannot_train
from search.process import keep_private, without_collections
from service.cli.start_up import explanation
from service.observability import logs
from service.settings import Settings
from worker.capacity import capacity_of, share_cores


def main() -> None:
    """Parse the options and run the worker; never returns normally."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=main.__doc__)
    parser.add_argument(
        "--concurrency",
        type=int,
        default=1,
        help="number of trials trained in parallel, each in its own process",
    )
    parser.add_argument("--beat", action="store_true", help="deprecated, without effect: every worker sweeps")
    parser.add_argument("--beat-only", action="store_true", help="only sweep; run no trials")
    parser.add_argument("--sweep-once", action="store_true", help="sweep now, whoever's turn it is, and end")
    options = parser.parse_args()
    keep_private()
    try:
        settings = Settings()
        settings.home.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        raise SystemExit(explanation(error) or str(error)) from None
    logs.configure(settings)
    if options.beat_only:
        _only_sweep(settings)
        return
    if options.sweep_once:
        _sweep_once(settings)
        return
    if reason := cannot_train():
        raise SystemExit(reason)
    share_cores(options.concurrency)
    # read when Celery is imported: SIGTERM returns the running trial to the queue, instead of waiting for its end
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    with without_collections():
        app = _make_app(settings, options.concurrency)
    arguments = [
        "--quiet",
        "worker",
        f"--concurrency={options.concurrency}",
        f"--loglevel={settings.log_level}",
    ]
    arguments += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    _run(app, settings, options.concurrency, arguments)


def _run(app: Any, settings: Settings, concurrency: int, arguments: list[str]) -> None:
    """Run the worker, with a sweeper beside it once its children are forked, until it is told to end."""
    from celery.signals import worker_ready

    from worker.app import OrderlyEnd
    from worker.runtime import make_runtime
    from worker.sweep import Sweeper

    end = OrderlyEnd(settings)
    with contextlib.ExitStack() as stack:
        sweeper = Sweeper(lambda: make_runtime(settings, capacity=capacity_of(settings, concurrency)))
        worker_ready.connect(lambda **_: stack.enter_context(sweeper), weak=False)
        try:
            app.worker_main(arguments)
        finally:
            stack.close()
            end.give_back()


def _only_sweep(settings: Settings) -> None:
    """Sweep until a signal ends the process."""
    from worker.runtime import make_runtime
    from worker.sweep import Sweeper

    sweeper = Sweeper(lambda: make_runtime(settings))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda *_: sweeper.stop())
    with sweeper:
        sweeper.wait()


def _sweep_once(settings: Settings) -> None:
    from worker.runtime import make_runtime
    from worker.sweep import sweep_now

    sweep_now(make_runtime(settings))


def _make_app(settings: Settings, concurrency: int) -> Any:
    from celery.signals import setup_logging

    from worker.app import make_worker

    setup_logging.connect(_keep_logging, weak=False)
    return make_worker(settings, concurrency)


def _keep_logging(**_: Any) -> None:
    """Celery sets up no logging where this signal has a receiver."""


if __name__ == "__main__":
    main()
