"""The commands of `fewbits`, by the panels in which its help shows them."""

from __future__ import annotations

from typing import Any, Final

import typer

from service.cli.examples import epilog
from service.cli.lazy_group import CommandEntry, LazyGroup
from service.cli.start_up import explanation, print_any_text

_SERVICE: Final = "Service"
_JOBS: Final = "Jobs"
_TRIALS: Final = "Trials and results"
_UPLOADS: Final = "Models and data"
_COSTS: Final = "Costs"
_ADMINISTRATION: Final = "Administration"

#: Panels and commands in the order of the help. A test compares each summary with the command's own help.
COMMANDS: Final = tuple(
    CommandEntry(name, panel, target, summary)
    for panel, name, target, summary in (
        (_SERVICE, "serve", "service:serve", "Run the API, the dashboard and a worker."),
        (_SERVICE, "worker", "service:worker", "Run a worker."),
        (
            _SERVICE,
            "doctor",
            "service:doctor",
            "Check this machine and the parts of the service; exit with 1 if one of them cannot work.",
        ),
        (_JOBS, "submit", "jobs:submit", "Submit a job."),
        (_JOBS, "import", "jobs:import_job", "Convert an AutoQKeras run_config to a job file."),
        (_JOBS, "validate", "jobs:validate", "Check a job and show what it would search; nothing is stored."),
        (_JOBS, "jobs", "jobs:jobs", "List the jobs, newest first."),
        (
            _JOBS,
            "watch",
            "jobs:watch",
            "Follow a job until it ends; exit with 1 unless its status is then done.",
        ),
        (_JOBS, "pause", "job_actions:pause", "Pause a job: no new trial starts; running trials continue."),
        (_JOBS, "resume", "job_actions:resume", "Resume a paused job."),
        (_JOBS, "stop", "job_actions:stop", "Stop a job: running trials finish, then the best is reported."),
        (_JOBS, "cancel", "job_actions:cancel", "Cancel a job at once; measured trials are kept."),
        (_JOBS, "retry", "job_actions:retry", "Run the failed trials of a job again."),
        (_JOBS, "extend", "job_actions:extend", "Add budget to a finished job and resume it."),
        (
            _JOBS,
            "change",
            "job_actions:change",
            "Change budget, parallelism or priority of an unfinished job.",
        ),
        (_JOBS, "clone", "job_actions:clone", "Submit a copy of a job, with changes if you like."),
        (_JOBS, "delete", "job_actions:delete", "Delete a finished job with its trials and files."),
        (_TRIALS, "trials", "trials:trials", "List the trials of a job."),
        (
            _TRIALS,
            "points",
            "trials:points",
            "Print a line for each trial, separated by tabs, for other programs.",
        ),
        (_TRIALS, "best", "trials:best", "Show the trials with the highest scores."),
        (
            _TRIALS,
            "pareto",
            "trials:pareto",
            "Show the Pareto front: the trials that no other trial dominates.",
        ),
        (_TRIALS, "fetch", "trials:fetch", "Download the files of a trial."),
        (
            _TRIALS,
            "export",
            "exports:export",
            "Write a trial in a format of a device or tool, or all trials to one file.",
        ),
        (
            _TRIALS,
            "bundle",
            "exports:bundle",
            "Write a trial with its model card, report, recipe and exports to one zip.",
        ),
        (
            _TRIALS,
            "classes",
            "results:classes",
            "Show what a trial gets right, class by class, and its confusion matrix.",
        ),
        (_TRIALS, "diff", "trials:diff", "Compare two trials, layer by layer."),
        (_TRIALS, "report", "trials:report", "Write charts and tables of a job to one HTML file."),
        (_TRIALS, "analysis", "results:analysis", "Show what a search has learned about its choices."),
        (
            _TRIALS,
            "finalize",
            "results:finalize",
            "Train a measured trial further and evaluate it on test data.",
        ),
        (
            _TRIALS,
            "rerun",
            "results:rerun",
            "Train a trial again by its recipe, on this machine, and compare.",
        ),
        (_TRIALS, "rescore", "results:rescore", "Rank the measured trials of a job under another goal."),
        (_UPLOADS, "upload", "uploads:upload", "Upload a model or a data set."),
        (_UPLOADS, "models", "uploads:models", "List the built-in networks and the uploaded models."),
        (_UPLOADS, "datasets", "uploads:datasets", "List the uploaded data sets."),
        (_COSTS, "cost", "costs:cost", "Show what one inference of a network costs, layer by layer."),
        (_COSTS, "profiles", "costs:profiles", "List the energy profiles, or show or check one."),
        (_ADMINISTRATION, "migrate", "service:migrate", "Upgrade the database to the newest schema."),
        (_ADMINISTRATION, "keys", "keys:app", "Manage API keys and the limits of tenants."),
        (
            _ADMINISTRATION,
            "admin",
            "admin:app",
            "Operate the service: workers, leases, sweeps, files, backups.",
        ),
        (_ADMINISTRATION, "version", "service:version", "Print the version."),
    )
)


class Commands(LazyGroup):
    """All commands."""

    entries = COMMANDS

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what keeps it from starting is explained, with exit code 1."""
        print_any_text()
        try:
            return super().invoke(ctx)
        except Exception as error:
            reason = explanation(error)
            if reason is None:
                raise
            typer.echo(reason, err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    name="fewbits",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=epilog("", uses_service=False),
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def fewbits() -> None:
    """Find the quantizer, bit width and filter count of every layer of a Keras model."""
