"""Processes that exceed a limit are ended and say so; those that die say how; the next one is not affected."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from service.processes.limited import ExceededMemory, ExceededTime, LimitedProcess, ProcessDied, Template
from service.processes.limits import Limits, machine_bytes

pytestmark = pytest.mark.usefixtures("importable_tests")

NONE = Limits()


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    """A template of obedient processes."""
    module_template = Template("tests.service.processes.obedient")
    yield module_template
    module_template.close()


def ask(process: LimitedProcess, order: str, payload: bytes = b"", **options: object) -> dict[str, object]:
    process.send({"do": order, **options}, payload)
    return process.receive()[0]


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_process_answers_until_it_is_ended(template: Template) -> None:
    process = template.fork(NONE)
    process.send({"do": "echo"}, b"\0\xff" * 100_000)
    head, payload = process.receive()
    assert head == {"pid": process.pid, "prepared": 1}
    assert payload == b"\0\xff" * 100_000
    assert process.pid != os.getpid()
    assert process.memory_bytes > 1 << 20
    assert process.end() == -signal.SIGKILL
    assert not is_alive(process.pid)
    assert process.end() is None


def test_forks_draw_different_numbers(template: Template) -> None:
    processes = [template.fork(NONE) for _ in range(3)]
    assert len({ask(process, "draw")["drawn"] for process in processes}) == 3
    for process in processes:
        process.end()


@pytest.mark.parametrize(
    ("order", "limits", "error", "text"),
    [
        ("hoard", Limits(memory_bytes=200 << 20), ExceededMemory, "may use 200 MB"),
        ("spin", Limits(cpu_s=0.2), ExceededTime, "0.2 s of processor time"),
        ("sleep", Limits(wall_s=0.2), ExceededTime, "longer than 0.2 s"),
        ("report and sleep", Limits(wall_s=0.2), ExceededTime, "longer than 0.2 s"),
        ("exit", NONE, ProcessDied, "exit code 3"),
        ("abort", NONE, ProcessDied, "SIGABRT, as when memory runs out"),
        ("close and go on", NONE, ProcessDied, "SIGKILL"),
    ],
)
def test_a_process_that_ends_says_why(
    template: Template, order: str, limits: Limits, error: type[Exception], text: str
) -> None:
    process = template.fork(limits)
    process.send({"do": order})
    with pytest.raises(error, match=text):
        while True:
            process.receive()
    assert not is_alive(process.pid)
    with pytest.raises(ProcessDied):
        process.send({"do": "echo"})
    following = template.fork(NONE)
    assert ask(following, "echo")["prepared"] == 1
    following.end()


def test_one_large_allocation_is_refused(template: Template) -> None:
    if not os.path.exists("/proc/self/status"):
        pytest.skip("only Linux says how much memory a process has")
    process = template.fork(Limits(memory_bytes=200 << 20))
    assert ask(process, "allocate", bytes=8 << 30) == {"refused": True}
    assert ask(process, "allocate", bytes=1 << 20) == {"refused": False}
    process.end()


def test_the_time_of_a_step_is_measured_anew(template: Template) -> None:
    process = template.fork(Limits(cpu_s=60))
    for _ in range(3):
        assert ask(process, "echo")["pid"] == process.pid
    process.end()


def test_processes_end_with_their_template_and_another_one_is_started() -> None:
    template = Template("tests.service.processes.obedient")
    process = template.fork(NONE)
    assert template._process is not None
    os.kill(template._process.pid, signal.SIGKILL)
    with pytest.raises(ProcessDied):
        ask(process, "sleep")
    following = template.fork(NONE)
    assert ask(following, "echo")["prepared"] == 1
    template.close()
    with pytest.raises(ProcessDied):
        following.receive()


def test_a_module_that_cannot_be_loaded_is_reported() -> None:
    template = Template("tests.service.processes.no_such_module")
    with pytest.raises(ProcessDied, match="has ended"):
        template.fork(NONE)


def test_a_machine_has_memory() -> None:
    assert 1 << 28 < machine_bytes() <= psutil.virtual_memory().total
