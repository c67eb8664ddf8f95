import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from darkroom.errors import DataError, ResourceError
from darkroom.project import processes
from darkroom.project.processes import map_ahead, pool


def square(number: int) -> int:
    time.sleep(0.002 * (number % 3))
    return number * number


def square_or_fail(number: int) -> int:
    if number == 5:
        raise DataError("cannot decode the image", file="train/5.jpg")
    return number * number


def square_or_die(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("5000 100000\n", 1),
        ("9900000 100000\n", 8),
        ("max 100000\n", 8),
        ("", 8),
        ("7 0\n", 8),
    ],
)
def test_the_quota_of_a_container_limits_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: int
) -> None:
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(processes, "CPU_MAX", tmp_path / "cpu.max")
    assert processes.cores() == expected
    monkeypatch.setattr(processes, "CPU_MAX", tmp_path / "absent")
    assert processes.cores() == 8


def test_results_come_in_order() -> None:
    assert list(pool(square, range(20), 2)) == [number**2 for number in range(20)]
    assert list(pool(square, [], 2)) == []


def test_items_are_taken_as_results_are_consumed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = pool(square, items(), 2)
    for done in range(10):
        assert next(results) == done * done
        assert len(taken) <= done + 4
    results.close()  # type: ignore[attr-defined]  # a generator
    assert children() == []


def test_a_workers_exception_is_raised_unchanged() -> None:
    results = pool(square_or_fail, range(1000), 2)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    with pytest.raises(DataError) as fault:
        next(results)
    assert str(fault.value) == "train/5.jpg: cannot decode the image"
    assert children() == []


def test_a_killed_worker_is_a_resource_error() -> None:
    with pytest.raises(ResourceError) as fault:
        list(pool(square_or_die, range(20), 2))
    assert str(fault.value) == (
        "a worker process ended early\n"
        "  found: one of 2 was killed, as the system does when memory runs out, "
        "or could not start\n"
        "  to do: free memory, or use fewer workers; if lines above say why it could not start, "
        "fix that"
    )
    assert children() == []


SCRIPT = """
    import os, signal, time
    from darkroom.project.processes import map_ahead, pool

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

    def slow(number):
        print(os.getpid(), flush=True)
        time.sleep(60)

    if __name__ == "__main__":
        list(pool(slow, range(10), 2))
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupt_leaves_no_orphans(tmp_path: Path, sent: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        workers = [psutil.Process(int(process.stdout.readline())) for _ in range(2)]
        process.send_signal(sent)
        process.wait(timeout=60)
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert alive == []


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("ahead", [0, 1, 3, 9])
def test_threads_give_results_in_order_a_few_items_ahead(ahead: int, count: int) -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(count):
            taken.append(number)
            yield number

    for place, result in enumerate(map_ahead(square, numbers(), ahead)):
        assert result == place * place
        assert place < len(taken) <= place + max(1, ahead)
    assert taken == list(range(count))


def test_a_result_does_not_wait_for_items() -> None:
    is_done = threading.Event()

    def numbers() -> Iterator[int]:
        yield 7
        assert is_done.wait(30)
        time.sleep(0.05)
        yield 8
        raise AssertionError("a third item is taken")

    def work(number: int) -> int:
        is_done.set()
        return number

    assert next(map_ahead(work, numbers(), 9)) == 7


def test_an_error_of_the_items_comes_after_the_results_before_it() -> None:
    def numbers() -> Iterator[int]:
        yield from range(3)
        raise KeyboardInterrupt

    results: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        results.extend(map_ahead(square, numbers(), 9))
    assert results == [0, 1, 4]


def test_threads_work_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 2)
    both = threading.Barrier(2, timeout=30)  # breaks if one waits alone
    assert len(list(map_ahead(lambda _: both.wait(), range(4), 2))) == 4


def test_an_error_in_a_thread_comes_in_its_turn() -> None:
    results = map_ahead(square_or_fail, range(20), 8)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    with pytest.raises(DataError, match="cannot decode the image"):
        next(results)


def test_a_handler_that_is_not_of_python_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers: list[object] = []
    monkeypatch.setattr("signal.getsignal", lambda _: None)
    monkeypatch.setattr("signal.signal", lambda _, handler: handlers.append(handler))
    with processes.exit_on_signals():
        assert handlers == []
    assert handlers == []  # least of all None, which Python refuses


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_becomes_an_exit_unless_it_is_ignored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught, processes.exit_on_signals():
        os.kill(os.getpid(), number)
    assert caught.value.code == 128 + number
    assert signal.getsignal(number) is before
    signal.signal(number, signal.SIG_IGN)
    try:
        with processes.exit_on_signals():
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
