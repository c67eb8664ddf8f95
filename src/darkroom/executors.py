"""One function over many items, in this process or in several: results in order, memory flat.

The function is a pure function of its item, so the results are the same either way.
"""

import collections
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from darkroom.errors import ResourceError

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2  # items submitted a worker: one in work and one waiting


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def serial(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield the function of each item, worked out here."""
    return map(function, items)


def pool(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Yield the function of each item, in the order of the items, worked out by processes.

    Items are taken as workers become free, at most two a worker ahead of the results taken. When
    the iterator ends, by an error, an interrupt or its reader's leaving, so do the workers.

    Args:
        function: Importable by name (processes are spawned, which is safe beside threads).
        items: Anything that pickles.
        workers: Processes.

    Raises:
        Exception: What the function raised, as itself; the remaining items are dropped.
        ResourceError: A worker was killed, as the system does when memory runs out.
    """
    executor = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    done = False
    try:
        yield from _ordered(executor, function, iter(items), _AHEAD * workers)
        done = True
    except BrokenProcessPool:
        raise ResourceError(
            "a worker process was killed",
            expected=f"memory for {workers} workers",
            fix="free memory, or use fewer workers",
        ) from None
    finally:
        _stop(executor, at_once=not done)


def _ordered(
    executor: ProcessPoolExecutor, function: Callable[[T], R], items: Iterator[T], ahead: int
) -> Iterator[R]:
    waiting: collections.deque[Future[R]] = collections.deque(
        executor.submit(function, item) for item in itertools.islice(items, ahead)
    )
    while waiting:
        yield waiting.popleft().result()
        for item in itertools.islice(items, 1):
            waiting.append(executor.submit(function, item))


def _stop(executor: ProcessPoolExecutor, *, at_once: bool) -> None:
    # The table of processes is private until Python 3.14 gives terminate_workers().
    processes = list((getattr(executor, "_processes", None) or {}).values())
    executor.shutdown(wait=not at_once, cancel_futures=True)
    if at_once:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _start_worker() -> None:
    # Ctrl-C reaches the whole group; the parent ends the workers, without a traceback from each.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End a worker whose parent was killed: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
