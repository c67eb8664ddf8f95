"""Signals that end a training: noted as they come, obeyed between two steps."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from darkroom.errors import ResourceError

_HEARD = (signal.SIGTERM, signal.SIGINT)
TERMINATED = 128 + signal.SIGTERM
"""The exit code of a process that a SIGTERM ended, as shells tell it."""


class Stop:
    """Hears SIGTERM and SIGINT for as long as it is entered, and keeps the process alive.

    A second SIGINT is obeyed at once. Outside of the main thread, where Python hears no signal,
    it does nothing.

    Attributes:
        asked: The signal that came first, or None.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in _HEARD}
            self.listen()
        return self

    def listen(self) -> None:
        """Take the signals back from whoever took them since."""
        for number in self._before:
            signal.signal(number, self._note)

    def obey(self) -> None:
        """Leave as the signal wants it, if one came.

        Raises:
            SystemExit: 143, after SIGTERM.
            KeyboardInterrupt: After SIGINT.
        """
        if self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        if self.asked is not None:
            raise SystemExit(TERMINATED)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None  # Lightning had made it an exit with code 1
        if isinstance(error, SystemExit) and not error.code:
            self.obey()  # Lightning heard it before `listen`, and leaves as if all were done
        if _is_of_a_worker(error):
            self.obey()  # the signal was the whole process group's, and reached a worker in time

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.asked is not None:
            raise KeyboardInterrupt
        self.asked = self.asked or number


def _is_of_a_worker(error: BaseException | None) -> bool:
    """Return whether an error may be that of a loader which has lost a worker, or its pipes."""
    if isinstance(error, RuntimeError | ResourceError):
        return "DataLoader worker" in str(error)
    return isinstance(error, ConnectionError | FileNotFoundError | EOFError)
