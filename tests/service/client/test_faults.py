"""What the clients do when the service is away, busy, refuses, or is none."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.history import JobStatus
from service.client import (
    NEVER,
    ClientError,
    Conflict,
    Damaged,
    Forbidden,
    Invalid,
    NotFound,
    NotReady,
    Refused,
    Retry,
    SearchClient,
    TooMany,
    Unauthorized,
    Unreachable,
    calls,
)
from service.schemas.problems import ProblemDocument
from tests.service.clients import AT_ONCE, Handler, answered
from tests.service.filled import Filled, Filler

JOB_ID = "0123456789abcdef"
Answering = Callable[..., Any]


@pytest.fixture(params=["blocking", "asynchronous"])
def answering(request: pytest.FixtureRequest) -> Iterator[Answering]:
    """Makes a client of a service that answers so, in this order, and then as at the end."""
    with ExitStack() as stack:

        def make(*answers: Handler, retry: Retry = AT_ONCE) -> Any:
            left = list(answers)

            def handle(asked: httpx.Request) -> httpx.Response:
                return (left.pop(0) if len(left) > 1 else left[0])(asked)

            return stack.enter_context(answered(request.param, handle, retry))

        yield make


def away(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("reset", request=request)


def refused(status: int, **headers: str) -> Handler:
    return lambda _: httpx.Response(status, json={"title": "no", "status": status}, headers=headers)


@pytest.fixture
def done(http: Any, filler: Filler) -> str:
    """A job that is done, as the service writes it."""
    filled: Filled = filler.job()
    filler.end(filled)
    return str(http.get(f"/v1/jobs/{filled.job_id}").text)


def saying(text: str) -> Handler:
    return lambda _: httpx.Response(200, text=text)


@pytest.mark.parametrize("fault", [away, broken, refused(503), refused(502), refused(429)])
def test_a_question_is_asked_again(answering: Answering, done: str, fault: Handler) -> None:
    assert answering(fault, fault, fault, saying(done)).job(JOB_ID).status == JobStatus.DONE


def test_it_is_not_asked_for_ever(answering: Answering) -> None:
    with pytest.raises(Unreachable):
        answering(away).job(JOB_ID)


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500])
def test_what_is_refused_for_good_is_not_asked_again(answering: Answering, done: str, status: int) -> None:
    with pytest.raises(Refused):
        answering(refused(status), saying(done)).job(JOB_ID)


def test_a_submission_is_repeated_with_the_same_key(answering: Answering, done: str) -> None:
    keys: list[str] = []

    def noting(then: Handler) -> Handler:
        def handle(asked: httpx.Request) -> httpx.Response:
            keys.append(asked.headers["idempotency-key"])
            return then(asked)

        return handle

    in_use = {"type": "urn:fewbits:problem:idempotency-key-in-use", "title": "x", "status": 409}
    waiting = noting(lambda _: httpx.Response(409, json=in_use))
    client = answering(noting(broken), noting(refused(502)), waiting, noting(saying(done)))
    client.submit({"model": "x"})
    assert len(keys) == 4
    assert len(set(keys)) == 1
    client.submit({"model": "x"})
    assert keys[4] != keys[0]


def test_an_extension_that_may_have_arrived_is_not_repeated(answering: Answering, done: str) -> None:
    with pytest.raises(Unreachable):
        answering(broken, saying(done)).extend(JOB_ID, {"trials": 5})
    assert answering(away, refused(503), saying(done)).extend(JOB_ID, {"trials": 5}).status == "done"


def test_a_pause_longer_than_the_longest_is_left_to_the_caller(answering: Answering, done: str) -> None:
    client = answering(refused(429, **{"retry-after": "60"}), saying(done))
    with pytest.raises(TooMany) as caught:
        client.job(JOB_ID)
    assert caught.value.retry_after_s == 60


def test_the_pause_the_service_asks_for_is_kept(answering: Answering, done: str) -> None:
    client = answering(refused(429, **{"retry-after": "0"}), saying(done), retry=Retry(2, first_s=1e9))
    assert client.job(JOB_ID).status == "done"


@given(attempt=st.integers(1, 30), first_s=st.floats(0, 10), longest_s=st.floats(0, 100))
def test_pauses_stay_below_the_longest(attempt: int, first_s: float, longest_s: float) -> None:
    retry = Retry(attempts=31, first_s=first_s, longest_s=longest_s)
    error = NotReady(ProblemDocument(title="", status=503))
    pause_s = retry.pause_s(calls.job(JOB_ID), error, attempt)
    assert pause_s is not None
    assert 0 <= pause_s <= longest_s
    assert pause_s >= min(first_s * 2.0 ** (attempt - 1), longest_s) / 2 - 1e-9
    assert retry.pause_s(calls.job(JOB_ID), error, 31) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (422, Invalid),
        (429, TooMany),
        (503, NotReady),
        (500, Refused),
    ],
)
def test_an_error_without_a_problem_document_is_typed_by_its_status(
    answering: Answering, status: int, kind: type[Refused]
) -> None:
    with pytest.raises(kind) as caught:
        answering(lambda _: httpx.Response(status, text="<html>"), retry=NEVER).job(JOB_ID)
    assert caught.value.problem.status == status


def test_an_answer_that_is_no_fewbits_answer_is_unreachable(answering: Answering) -> None:
    with pytest.raises(Unreachable):
        answering(lambda _: httpx.Response(200, text="<html>hello")).job(JOB_ID)


def test_fields_a_newer_service_adds_are_ignored(answering: Answering, done: str) -> None:
    newer = json.loads(done) | {"mood": "fine"}
    assert answering(lambda _: httpx.Response(200, json=newer)).job(JOB_ID).status == "done"


def test_the_key_is_sent_with_every_request() -> None:
    seen: list[str | None] = []

    def handle(asked: httpx.Request) -> httpx.Response:
        seen.append(asked.headers.get("authorization"))
        return httpx.Response(200, json={"items": []})

    http = httpx.Client(base_url="http://service", transport=httpx.MockTransport(handle))
    SearchClient(http=http, key="fb_secret").models()
    SearchClient(http=http).models()
    assert seen == ["Bearer fb_secret", None]


# --- waiting and downloads ---


def test_waiting_bears_with_a_service_that_restarts(answering: Answering, done: str) -> None:
    client = answering(away, refused(503), saying(done), retry=NEVER)
    assert client.wait(JOB_ID, interval_s=0).status == JobStatus.DONE


def test_a_service_without_events_is_asked_again_and_again(answering: Answering, done: str) -> None:
    running = json.dumps(json.loads(done) | {"status": "running"})
    client = answering(saying(running), refused(404), saying(running), saying(running), saying(done))
    seen: list[str] = []
    client.wait(JOB_ID, interval_s=0, progress=lambda job: seen.append(job.status))
    assert seen == ["running", "running", "running", "done"]


def test_waiting_gives_up_on_a_service_that_stays_away(answering: Answering) -> None:
    with pytest.raises(Unreachable):
        answering(away).wait(JOB_ID, interval_s=0, patience_s=0)


def test_a_download_that_breaks_off_is_gone_on_with(answering: Answering, tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    tag = f'"{hashlib.sha256(content).hexdigest()}"'
    asked: list[str | None] = []

    class Breaking(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __init__(self, start: int, stop: int) -> None:
            self.chunks = (content[at : at + 1000] for at in range(start, stop, 1000))

        def __iter__(self) -> Iterator[bytes]:
            yield from self.chunks
            raise httpx.ReadError("reset")

        async def __aiter__(self) -> Any:
            for chunk in self.chunks:
                yield chunk
            raise httpx.ReadError("reset")

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("range"))
        headers = {"etag": tag}
        if len(asked) == 1:
            return httpx.Response(200, headers=headers, stream=Breaking(0, 100_000))
        start = int(asked[-1].removeprefix("bytes=").rstrip("-"))  # type: ignore[union-attr]
        assert request.headers["if-range"] == tag
        return httpx.Response(206, headers=headers, content=content[start:])

    path = answering(handle).download(JOB_ID, 1, "weights.npz", tmp_path)
    assert path.read_bytes() == content
    assert asked[0] is None
    assert asked[1] is not None
    assert [file.name for file in tmp_path.iterdir()] == ["weights.npz"]


def test_every_error_of_the_client_is_one_family() -> None:
    assert {Unreachable, Damaged, Refused, NotFound} <= set(family(ClientError))


def family(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *itertools.chain.from_iterable(family(child) for child in kind.__subclasses__())]
