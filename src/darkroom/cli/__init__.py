"""The commands: what the `darkroom` on the command line starts.

Until a command has begun its work, Ctrl-C ends the process at once and without a traceback: this
file is the first to run, and importing the rest takes from 0.1 to several seconds.
"""

# Of C. `signal` imports enum first: 2 ms in which Ctrl-C would print a traceback.
import _signal as signal  # type: ignore[import-not-found]
import os


def start() -> int:
    """Run the command line, and return the exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not under nohup
        signal.signal(signal.SIGINT, _leave)
    from importlib import import_module  # noqa: PLC0415  (only now it cannot be interrupted)

    code: int = import_module("darkroom.cli.main").main()
    return code


def begin() -> None:
    """Let Ctrl-C raise KeyboardInterrupt from now on: there is something to tidy up."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, _frame: object) -> None:
    os.write(2, b"darkroom: interrupted\n")
    os._exit(128 + number)
