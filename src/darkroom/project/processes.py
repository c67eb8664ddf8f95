"""Map a function over many items in processes or threads: results in order, constant memory."""

import collections
import ctypes
import math
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from darkroom.errors import ResourceError

if sys.platform != "win32":
    import resource

T = TypeVar("T")
R = TypeVar("R")

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""Of cgroup v2: microseconds of processor time, or "max", and the period in microseconds."""

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h: the signal sent to a process whose parent dies
MOST_READERS = 4  # threads that read ahead of a network, which needs the other cores
MOST_AT_FULL_SIZE = 8  # threads that hold several masks of a whole picture each: gigabytes
_AHEAD = 2  # items submitted a worker: one in work and one waiting


def cores() -> int:
    """Return how many processors this process may use: a container's quota is rounded up."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        present = len(os.sched_getaffinity(0))
    else:
        present = os.cpu_count() or 1
    try:
        quota, period = map(int, CPU_MAX.read_text().split())
        return max(1, min(present, math.ceil(quota / period)))
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or no quota: "max"
        return present


def peak_memory() -> int | None:
    """Return the most memory that this process has had, in bytes; None: the system can't say."""
    peak = None
    if sys.platform != "win32":
        unit = 1 if sys.platform == "darwin" else 1024
        peak = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak


def duration(seconds: float) -> str:
    """Return a time in words, two digits of it.

    Example:
        >>> duration(0.234), duration(95), duration(4000)
        ('0.23 s', '1 min 35 s', '1 h 7 min')
    """
    if seconds < 60:
        return f"{seconds:.2g} s"
    whole = round(seconds) if seconds < 3600 else round(seconds / 60)
    units = ("min", "s") if seconds < 3600 else ("h", "min")
    return f"{whole // 60} {units[0]} {whole % 60} {units[1]}"


def is_under_torchrun() -> bool:
    """Return whether torchrun started this process, so that RANK, WORLD_SIZE ... are its own.

    Clusters and users set variables of these names too: alone they mean nothing.
    """
    numbers = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")]
    return "TORCHELASTIC_RUN_ID" in os.environ and all(map(str.isdecimal, numbers))


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise SystemExit, so that what is to be removed is.

    One that is ignored, as under nohup, stays so. Outside of the main thread, where Python handles
    no signals, the block runs as it would.
    """
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in numbers if is_main}
    for number, handler in before.items():
        if handler not in (signal.SIG_IGN, None):  # None: not of Python, which can't set it again
            signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def end_with_parent(parent: int) -> None:
    """Let this process be killed when its parent dies, which has this process id.

    Only Linux does so by itself. A parent that has died before this call has left the process
    to another parent: then it ends here.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def pool(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Yield the function's result for each item, in the order of the items, computed by processes.

    Items are taken as workers become free, at most two a worker ahead of the results. The workers
    end with the iterator: when it is exhausted or closed, and after an error or an interrupt.

    Args:
        function: Importable by name (processes are spawned, which is safe beside threads).
        items: Anything that pickles.
        workers: Processes.

    Raises:
        Exception: What the function raised, as itself; the remaining items are dropped.
        ResourceError: A worker ended early: it was killed, or could not start.
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
            "a worker process ended early",
            found=f"one of {workers} was killed, as the system does when memory runs out, "
            "or could not start",
            fix="free memory, or use fewer workers; if lines above say why it could not start, "
            "fix that",
        ) from None
    finally:
        _stop(executor, at_once=not done)


def map_ahead(
    function: Callable[[T], R], items: Iterable[T], ahead: int, *, threads: int = MOST_READERS
) -> Iterator[R]:
    """Yield the function's result for each item, in the order of the items, computed by threads.

    For what releases the interpreter's lock: reading, decoding, compressing, large arrays. Items
    are taken by the thread that asks for results.

    Args:
        function: What it raises is raised here, in the item's turn.
        items: Taken as they are needed. What they raise is raised after the results before it.
        ahead: At most as many items are taken whose results were not given yet.
        threads: At most as many, and at most one a core.
    """
    with ThreadPoolExecutor(min(threads, cores())) as executor:
        waiting = _ordered(executor, function, iter(items), max(1, ahead))
        try:
            yield from waiting
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _ordered(
    executor: Executor, function: Callable[[T], R], items: Iterator[T], ahead: int
) -> Iterator[R]:
    """Yield results as soon as they are there and in turn; an error of the items comes last."""
    waiting: collections.deque[Future[R]] = collections.deque()
    failure: BaseException | None = None
    is_more = True
    while is_more:
        try:
            waiting.append(executor.submit(function, next(items)))
        except StopIteration:
            is_more = False
        except BaseException as error:  # an interrupt too: what is computed is not lost
            is_more, failure = False, error
        while waiting and (not is_more or len(waiting) >= ahead or waiting[0].done()):
            yield waiting.popleft().result()
    if failure is not None:
        raise failure


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
    """End this worker if its parent is killed: it would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
