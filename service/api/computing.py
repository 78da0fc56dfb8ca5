"""What requests compute: jobs are planned, networks priced, trials ranked. Plain functions of a body.

They run in processes with limits (`compute.py`), which load this module by `service.processes.template`; or, where the
settings ask for no processes, in threads of the API. Answers are JSON.
"""

from __future__ import annotations

import gc
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, Final

from search.cost.answer import price_network
from search.cost.pricing import cost_unit
from search.errors import InvalidSpec, Problem
from search.networks import architecture as models
from search.plan import Plan
from search.process import keep_private
from search.results.rescoring import UnscoredTrial, rescore
from search.space.normalization import trial_network
from search.spec.job import SearchSpec
from search.spec.resolved import resolve_model
from service.api.infrastructure import unavailable
from service.api.planning import plan_of
from service.api.sources import check_sources
from service.errors import InvalidRequest, ServiceError, as_document
from service.json_document import parse_json
from service.observability import logs
from service.parsing import invalid_request, parse, parse_cost_request, parse_submission
from service.processes.limited import receive_message, send_message
from service.schemas.cost import NetworkCostView
from service.schemas.jobs import PointView
from service.schemas.rescore import RescoreSpec, RescoreView
from service.settings import Settings
from service.store import analysis, capacity, jobs, workers
from service.store.blob_stores import open_blobs
from service.store.blobs import BlobStore
from service.store.capacity import Request
from service.store.planned import planned_job
from service.store.references import BlobLookup, pinned
from service.store.session import Database, is_retryable
from service.views.analysis import analysis_view
from service.views.dry_run import dry_run
from service.views.weights import weights_view

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Computer:
    """What a computation may read: the settings, the rows of one tenant, and the blobs."""

    settings: Settings
    database: Database
    blobs: BlobStore

    def plan(self, body: bytes) -> Plan:
        """The plan of the job in a body, its uploads pinned. Malformed, TooLarge, InvalidRequest."""
        submission = parse_submission(body)
        pinned_job = replace(submission, spec=pinned(submission.spec, self.database))
        return plan_of(pinned_job, self.settings.data_folder, BlobLookup(self.blobs))


def _validate(computer: Computer, body: bytes) -> bytes:
    """The dry run of a job."""
    plan = computer.plan(body)
    with computer.database.reading() as session:
        count = workers.alive(session, computer.settings.heartbeat)
        answer = dry_run(session, plan.spec, plan, count)
        request = Request.of_spec(plan.spec.model_dump(include={"resources"}))
        reason = capacity.unmet(session, request, computer.settings.heartbeat)
    if reason is not None:
        answer = answer.model_copy(update={"warnings": (*answer.warnings, reason)})
    return answer.model_dump_json(by_alias=True).encode()


def _new_job(computer: Computer, body: bytes) -> bytes:
    """What is stored of a job."""
    return json.dumps(asdict(planned_job(computer.plan(body)))).encode()


def _digest(_: Computer, body: bytes) -> bytes:
    """The SHA-256 of a document, in whatever order and with whatever blanks it is written."""
    text = json.dumps(parse_json(body), sort_keys=True)
    return json.dumps(hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()).encode()


def _cost(computer: Computer, body: bytes) -> bytes:
    """The cost of a network."""
    request = parse_cost_request(body)
    spec = pinned(request.spec, computer.database)
    try:
        answer = price_network(spec, BlobLookup(computer.blobs)).answer()
    except InvalidSpec as error:
        raise invalid_request(error, request.document) from None
    return NetworkCostView.model_validate(answer).model_dump_json(by_alias=True).encode()


def _rescore(computer: Computer, body: bytes, job_id: str) -> bytes:
    """The ranking of a job's measured trials under another goal."""
    request = parse(RescoreSpec, body)
    goal = request.spec.goal
    with computer.database.reading() as session:
        job = jobs.get(session, job_id)
        spec = SearchSpec.model_validate(job.spec)
        measured = [UnscoredTrial(*trial) for trial in analysis.assignments(session, job_id)]
    try:
        model = resolve_model(spec.model, BlobLookup(computer.blobs))
        network = trial_network(spec, models.network(model))
    except InvalidSpec as error:
        reason = f"the job's network cannot be priced: {error}"
        raise InvalidRequest([Problem("", reason)]) from None
    try:
        ranking = rescore(goal, network, spec.objective.direction, measured, request.spec.k)
    except InvalidSpec as error:
        raise invalid_request(error, request.document) from None
    view = RescoreView(
        job_id=job_id,
        goal=goal.model_dump(mode="json"),
        cost_unit=cost_unit(goal),
        reference_cost=ranking.reference,
        metric_name=spec.objective.metric,
        metric_is_share=spec.objective.info.is_share,
        items=tuple(PointView(**asdict(trial)) for trial in ranking.trials),
    )
    return view.model_dump_json(by_alias=True).encode()


def _check_sources(computer: Computer, _: bytes, job_id: str) -> bytes:
    """SourcesChanged unless all that a job was searched on is there and the same."""
    check_sources(computer.database, computer.blobs, computer.settings.data_folder, job_id)
    return b"{}"


def _analysis(computer: Computer, _: bytes, job_id: str) -> bytes:
    """What a job's trials tell of its choices."""
    with computer.database.reading() as session:
        view = analysis_view(session, jobs.get(session, job_id), computer.blobs)
    return view.model_dump_json(by_alias=True).encode()


def _weights(computer: Computer, _: bytes, sha256: str, job_id: str, number: int) -> bytes:
    """How often each level occurs among the weights of a trial."""
    return weights_view(computer.blobs.path(sha256), job_id, number).model_dump_json(by_alias=True).encode()


#: Name of a computation -> what computes it, of a body and the arguments.
COMPUTATIONS: Final[Mapping[str, Callable[..., bytes]]] = {
    "validate": _validate,
    "new_job": _new_job,
    "digest": _digest,
    "cost": _cost,
    "rescore": _rescore,
    "check_sources": _check_sources,
    "analysis": _analysis,
    "weights": _weights,
}


# --- in a process ----------------------------------------------------------------------------------------------------


def prepare() -> None:
    """Called once in the template."""
    keep_private()
    logs.configure(Settings())


def serve(connection: Connection) -> None:
    """Compute what arrives until the connection is closed. The first message has the settings."""
    try:
        head, _ = receive_message(connection)
        settings = Settings.model_validate(head["settings"])
        whole = Computer(
            settings,
            Database(settings.database, settings.database_timeout.total_seconds()),
            open_blobs(settings),
        )
        while True:
            head, body = receive_message(connection)
            computer = replace(whole, database=whole.database.for_tenant(head["tenant"]))
            send_message(connection, *_answer(computer, head, body))
            del body
            gc.collect()
    except EOFError:
        return


def _answer(computer: Computer, head: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """What the computation yields, or the error that it raises, as a document."""
    try:
        return {}, COMPUTATIONS[head["name"]](computer, body, **head["arguments"])
    except MemoryError:
        return {"memory": True}, b""
    except ServiceError as error:
        return {"error": as_document(error)}, b""
    except InvalidSpec as error:
        return {"error": as_document(InvalidRequest(error.problems))}, b""
    except Exception as error:
        if is_retryable(error):
            return {"error": as_document(unavailable(error))}, b""
        log.exception("%s failed", head["name"])
        return {"failed": True}, b""
