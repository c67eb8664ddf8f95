"""Defer SIGTERM and SIGINT to the end of an optimizer step, so that a checkpoint can be saved."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from darkroom.errors import ResourceError

_DEFERRED = (signal.SIGTERM, signal.SIGINT)
TERMINATED = 128 + signal.SIGTERM
"""The exit code after SIGTERM, by the convention of shells."""


class DeferredSignals:
    """A context in which SIGTERM and SIGINT are recorded, and do not end the process.

    A second SIGINT raises KeyboardInterrupt at once. Outside of the main thread, where Python
    handles no signals, the context does nothing.

    Attributes:
        received: The first signal received; None: none yet.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "DeferredSignals":
        if threading.current_thread() is threading.main_thread():
            for number in _DEFERRED:
                self._handlers[number] = signal.signal(number, self._record)
        return self

    def obey(self) -> None:
        """End the process as the received signal asks, if there is one.

        Raises:
            SystemExit: 143, after SIGTERM.
            KeyboardInterrupt: After SIGINT.
        """
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is not None:
            raise SystemExit(TERMINATED)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if _is_of_a_worker(error):
            self.obey()  # the signal also went to the worker, and its end was seen first

    def _record(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received is not None:
            raise KeyboardInterrupt
        self.received = self.received or number


def _is_of_a_worker(error: BaseException | None) -> bool:
    """Return whether an error may be that of a loader that lost a worker process or its pipes."""
    if isinstance(error, RuntimeError | ResourceError):
        return "DataLoader worker" in str(error)
    return isinstance(error, ConnectionError | FileNotFoundError | EOFError)
