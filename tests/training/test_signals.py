"""Signals are recorded, obeyed later, and their handlers restored."""

import os
import signal
import threading

import pytest

from darkroom.training.signals import DeferredSignals


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def test_a_sigterm_is_recorded_and_obeyed_later() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with DeferredSignals() as signals:
        signals.obey()
        send(signal.SIGTERM)
        assert signals.received == signal.SIGTERM
        with pytest.raises(SystemExit) as exit_:
            signals.obey()
        assert exit_.value.code == 143
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_second_interrupt_does_not_wait() -> None:
    with DeferredSignals() as signals:
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signals.obey()
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


KILLED = RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated.")


def lose_a_worker(error: Exception, *, terminated: bool) -> None:
    """Leave as torch does when a loader's worker has ended."""
    with DeferredSignals():
        if terminated:
            send(signal.SIGTERM)
        raise error


@pytest.mark.parametrize("error", [KILLED, FileNotFoundError(2, "its socket"), EOFError("pid")])
def test_workers_that_the_signal_ended_first(error: Exception) -> None:
    with pytest.raises(SystemExit) as exit_:
        lose_a_worker(error, terminated=True)
    assert exit_.value.code == 143
    with pytest.raises(type(error), match=r"pid|socket"):
        lose_a_worker(error, terminated=False)


def test_outside_of_the_main_thread_nothing_is_recorded() -> None:
    before = signal.getsignal(signal.SIGTERM)
    received: list[object] = []

    def enter() -> None:
        with DeferredSignals() as signals:
            received.append(signals.received)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert received == [None]
    assert signal.getsignal(signal.SIGTERM) is before
