"""The embedded broker's files, namespaces, and brokers that do not answer."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Connection

from service import file_broker
from service.queue import Queue, TaskName, make_celery
from service.settings import Settings
from tests.proxy import Proxy


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "a home with 50% and ?")


@pytest.fixture
def folder(settings: Settings) -> Path:
    """Where messages lie."""
    return settings.home / "queue" / "messages"


def received(settings: Settings) -> list[list[Any]]:
    """The arguments of all messages, oldest first, as a worker would get them."""
    arguments = []
    with make_celery(settings).connection_for_read() as connection, connection.channel() as channel:
        while True:
            try:
                message = channel._get(settings.namespace)
            except Empty:
                return arguments
            arguments.append(channel.Message(message, channel=channel).decode()[0])


def test_messages_arrive_in_order_and_once(settings: Settings) -> None:
    queue = Queue(settings)
    for number in range(3):
        assert queue.send(TaskName.RUN_TRIAL, number)
    assert received(settings) == [[0], [1], [2]]
    assert received(settings) == []
    queue.close()


NOT_MESSAGES = [
    b"",
    b"{",
    b'{"body": "half a mess',
    b"[]",
    b"{}",
    b"null",
    b"7",
    b'"text"',
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"body": 1, "headers": {}, "properties": {}}',
    b'{"body": "", "headers": [], "properties": {"delivery_info": {}, "delivery_tag": "1"}}',
    b'{"body": "", "headers": {}, "properties": {"delivery_info": null, "delivery_tag": "1"}}',
]


@pytest.mark.parametrize("content", NOT_MESSAGES)
@pytest.mark.parametrize("age_s", [0, 3600])
def test_what_is_no_message_is_passed_over_and_later_put_aside(
    settings: Settings, folder: Path, content: bytes, age_s: float
) -> None:
    queue = Queue(settings)
    foreign = folder / "0_foreign.fewbits.msg"
    foreign.write_bytes(content)
    written = time.time() - age_s
    os.utime(foreign, (written, written))
    (folder / "1_a_folder.fewbits.msg").mkdir()
    (folder / "notes.txt").write_text("a user's")
    queue.send(TaskName.RUN_TRIAL, 1)
    assert received(settings) == [[1]]
    assert foreign.exists() is (age_s == 0), "somebody may still be writing it"
    assert (folder / "notes.txt").exists()
    queue.close()


def test_a_message_is_not_seen_before_it_is_whole(
    settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(settings)
    seen = []
    rename = Path.rename

    def look_first(path: Path, target: Path) -> Path:
        seen.append(received(settings))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", look_first)
    queue.send(TaskName.RUN_TRIAL, 1)
    assert seen == [[]]
    assert received(settings) == [[1]]
    assert [path.name for path in folder.iterdir()] == []
    queue.close()


def test_a_folder_that_is_gone_is_made_again(settings: Settings, folder: Path) -> None:
    queue = Queue(settings)
    for count in (
        1,
        2,
        3,
    ):  # at the first message of a process, and at later ones; nobody has read in between
        shutil.rmtree(folder)
        assert queue.send(TaskName.RUN_TRIAL, count)
    assert received(settings) == [[3]]
    queue.close()


def test_namespaces_share_a_server_and_no_name(tmp_path: Path) -> None:
    broker = {"broker_url": "redis://127.0.0.1:1/0"}
    ours, theirs = (Settings(home=tmp_path, namespace=name, **broker) for name in ("fewbits", "staging"))
    first, second = make_celery(ours).conf, make_celery(theirs).conf
    assert first.task_default_queue == "fewbits"
    assert second.task_default_queue == "staging"
    assert "global_keyprefix" not in first.broker_transport_options
    assert second.broker_transport_options["global_keyprefix"] == "staging:"


@pytest.mark.parametrize("name", ["", "a b", "Ä", "a:b", "x" * 64, "../up", "{a}"])
def test_a_namespace_is_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        Settings(namespace=name or " ")


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_accepts_and_does_not_answer_is_given_up(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.queue.ANSWER_S", 0.2)
    with Proxy("127.0.0.1", 1) as silent:  # what it forwards to does not exist, but it never tries
        silent.hold()
        queue = Queue(Settings(home=tmp_path, broker_url=f"{scheme}://127.0.0.1:{silent.port}//"))
        assert not queue.send(TaskName.RUN_TRIAL, 1)
        connections = silent.connections
        for _ in range(100):
            assert not queue.send(TaskName.RUN_TRIAL, 1)
        assert silent.connections == connections, "it is not asked again at once"
        queue.close()


def test_the_transport_is_loaded_by_its_name(settings: Settings) -> None:
    make_celery(settings)
    assert Connection("fewbits://").transport_cls == "service.file_broker:Transport" or isinstance(
        Connection("fewbits://").transport, file_broker.Transport
    )


def test_payloads_are_plain_json(settings: Settings, folder: Path) -> None:
    queue = Queue(settings)
    queue.send(TaskName.ADVANCE_JOB, "0123456789abcdef")
    (path,) = folder.iterdir()
    assert json.loads(path.read_text())["headers"]["task"] == "fewbits.advance_job"
    queue.close()
