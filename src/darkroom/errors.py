"""The exceptions that Darkroom raises, and the exit code of each.

DarkroomError
├── ParamsError     2   params.yaml or the command line is invalid
├── DataError       3   a raw file, table, image or mask is invalid
├── RemoteError     4   Kaggle or another server refused, or could not be reached
├── ResourceError   5   the machine lacks disk, memory or a permission
│   └── LostRankError  75   another process of the same training has ended
├── ArtifactError   6   an earlier result (shard, model, submission) is missing or invalid
└── InternalError  70   Darkroom itself failed: `--debug` shows where

Code 2 is also argparse's own; 70 and 75 are EX_SOFTWARE and EX_TEMPFAIL of sysexits.h; 130 is an
interrupt.
"""

from collections.abc import Callable, Sequence
from typing import Any

MAX_CHARACTERS = 500  # of one value in a message
MAX_DETAILS = 20
MAX_DETAIL_CHARACTERS = 2000  # of all details together


class DarkroomError(Exception):
    """An error that says what was found, what was expected and what to do.

    Names and values come from archives, tables and servers: each takes one line of at most 500
    characters, so that it can neither forge a line, nor speak to the terminal, nor flood it.

    Args:
        what: What is wrong, in one line.
        file: The faulty file, as the user named it.
        row: The row of that file, counted from 1 as an editor shows it (a header is row 1).
        found: The value that was found.
        expected: The value that was expected.
        fix: What to do next.
        details: Further faults of the same kind; the first 20 are shown, or fewer if they are
            long, and the rest counted.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        file: object = None,
        row: int | None = None,
        found: object = None,
        expected: object = None,
        fix: str | None = None,
        details: Sequence[str] = (),
    ) -> None:
        place = [one_line(file)] if file is not None else []
        if row is not None:
            place.append(f"row {row}")
        lines = [f"{', '.join(place)}: {one_line(what)}" if place else one_line(what)]
        lines += [f"  {line}" for line in _bounded(details)]
        lines += [
            f"  {label}: {one_line(value)}"
            for label, value in (("found", found), ("expected", expected), ("to do", fix))
            if value is not None
        ]
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Callable[..., "DarkroomError"], tuple[Any, ...]]:
        return _unpickled, (type(self), str(self), self.__dict__)


def _unpickled(
    kind: type[DarkroomError], text: str, attributes: dict[str, object]
) -> DarkroomError:
    """Return an error that another process raised: its text is whole, and not made anew."""
    error = kind.__new__(kind, text)
    error.__dict__.update(attributes)
    return error


def one_line(value: object) -> str:
    """Return a value as one line without control or invisible characters, of bounded length.

    The lines of an error's text are joined; a line break elsewhere is part of a name, and escaped.

    Example:
        >>> one_line("a\\n  to do: b.png"), one_line(DataError("empty", found="0 bytes"))
        ('a\\\\n  to do: b.png', 'empty; found: 0 bytes')
    """
    text = f"no key {value}" if isinstance(value, KeyError) else str(value)
    if isinstance(value, Exception):
        text = "; ".join(line.strip() for line in text.splitlines() if line.strip())
        text = text or type(value).__name__
    short = text[:MAX_CHARACTERS]
    short = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in short)
    cut = len(text) > MAX_CHARACTERS or len(short) > MAX_CHARACTERS
    return short[: MAX_CHARACTERS - 1] + "…" if cut else short


def _bounded(details: Sequence[str]) -> list[str]:
    lines, left = [one_line(line) for line in details[:MAX_DETAILS]], MAX_DETAIL_CHARACTERS
    for number, line in enumerate(lines):
        left -= len(line)
        if left < 0:
            lines = lines[:number]
            break
    rest = len(details) - len(lines)
    return [*lines, f"… and {rest} more"] if rest else lines


class ParamsError(DarkroomError):
    """params.yaml or the command line is invalid."""

    exit_code = 2


class DataError(DarkroomError):
    """A raw file, table, image or mask is invalid."""

    exit_code = 3


class RemoteError(DarkroomError):
    """Kaggle or another server refused, sent an invalid response, or could not be reached."""

    exit_code = 4


class ResourceError(DarkroomError):
    """The machine lacks disk, memory or a permission."""

    exit_code = 5


class ArtifactError(DarkroomError):
    """An earlier stage's result is missing, damaged or belongs to other parameters."""

    exit_code = 6


class InternalError(DarkroomError):
    """Darkroom itself failed in a way that nobody foresaw."""

    exit_code = 70


class LostRankError(ResourceError):
    """Another process of this training has ended, so this one cannot go on.

    The exit code, EX_TEMPFAIL, tells a launcher that the cause lies elsewhere.
    """

    exit_code = 75
