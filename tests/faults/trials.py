"""Read many bad inputs one after another, each within limits, and say what became of each."""

import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.support import syscalls

LIMIT_S = 5.0  # CPU time for one input
LIMIT_BYTES = 2**32  # of memory for one input, beyond what is loaded
MOST_WORDS = 3000  # characters of a message
RESULTS = "trials.jsonl"

Read = Callable[..., str]


class Trial(NamedTuple):
    """What became of an input.

    Attributes:
        number: Of the input.
        outcome: "accepted"; "refused": with an error of ours; or a fault: "traceback",
            "too many words", "hang", "end of the process".
        words: What was read, or the message.
    """

    number: int
    outcome: str
    words: str

    @property
    def is_fault(self) -> bool:
        """Whether the input got further than a refusal should let it."""
        return self.outcome not in ("accepted", "refused")


def read_all(read: Read, *arguments: Any, root: Path, count: int) -> list[Trial]:
    """Return what became of the inputs 0 to count - 1.

    Args:
        read: Importable by name; called with the arguments and the number, in the folder
            `root`, it returns what it read.
        *arguments: For it.
        root: A folder for it.
        count: How many inputs there are. One that ends the process is tried no further.
    """
    trials: list[Trial] = []
    late = -1  # the input whose time was over, once: a machine that sleeps counts wrongly
    while len(trials) < count:
        (root / RESULTS).unlink(missing_ok=True)
        words = (read, arguments, len(trials), count)
        run = syscalls.run(_read_from, *words, root=root, verdict=None, limit_s=3600)
        lines = (root / RESULTS).read_text() if (root / RESULTS).exists() else ""
        trials += [Trial(*json.loads(line)) for line in lines.splitlines()]
        if run.code == -signal.SIGPROF and len(trials) != late:
            late = len(trials)
        elif run.code == -signal.SIGPROF:
            trials.append(Trial(len(trials), "hang", f"more than {LIMIT_S} s"))
        elif run.code:
            ending = f"{run.code}: {run.words[-500:]}"
            trials.append(Trial(len(trials), "end of the process", ending))
    return trials


def _read_from(read: Read, arguments: tuple[Any, ...], first: int, count: int) -> int:
    import torch

    torch.set_num_threads(1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + LIMIT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    with Path(RESULTS).open("a") as results:
        for number in range(first, count):
            signal.setitimer(signal.ITIMER_PROF, LIMIT_S)  # its signal ends the process
            outcome, words = _outcome(read, *arguments, number)
            signal.setitimer(signal.ITIMER_PROF, 0)
            results.write(json.dumps(Trial(number, outcome, words)) + "\n")
            results.flush()
    return 0


def _outcome(read: Read, *arguments: Any) -> tuple[str, str]:
    from darkroom.errors import DarkroomError, InternalError

    try:
        return "accepted", read(*arguments)
    except InternalError as error:  # in the place of a traceback
        return "traceback", str(error)[:500]
    except DarkroomError as error:
        words = str(error)
        return ("refused" if len(words) < MOST_WORDS else "too many words"), words[:500]
    except Exception as error:
        import traceback

        place = traceback.extract_tb(error.__traceback__)[-1]
        file = os.path.relpath(place.filename, Path(__file__).parents[2])
        return "traceback", f"{type(error).__name__}: {str(error)[:200]} in {file}:{place.lineno}"
