"""The exceptions that Darkroom raises, and the exit code of each.

DarkroomError
├── ParamsError     2   params.yaml or the command line is invalid
├── DataError       3   a raw file, table, image or mask is invalid
├── RemoteError     4   Kaggle or another server refused, or could not be reached
├── ResourceError   5   the machine lacks disk, memory or a permission
│   └── LostRankError  75   another process of the same training has ended
└── ArtifactError   6   an earlier result (shard, model, submission) is missing or invalid

Code 2 is also argparse's own.
"""

from collections.abc import Sequence

MAX_DETAILS = 20


class DarkroomError(Exception):
    """An error that says what was found, what was expected and what to do.

    Args:
        what: What is wrong, in one line.
        file: The faulty file, as the user named it.
        row: The row of that file, counted from 1 as an editor shows it (a header is row 1).
        found: The value that was found.
        expected: The value that was expected.
        fix: What to do next.
        details: Further faults of the same kind; the first 20 are shown and the rest counted.
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
        place = [str(file)] if file is not None else []
        if row is not None:
            place.append(f"row {row}")
        lines = [f"{', '.join(place)}: {what}" if place else what]
        lines += [f"  {line}" for line in details[:MAX_DETAILS]]
        if len(details) > MAX_DETAILS:
            lines.append(f"  … and {len(details) - MAX_DETAILS} more")
        lines += [
            f"  {label}: {value}"
            for label, value in (("found", found), ("expected", expected), ("to do", fix))
            if value is not None
        ]
        super().__init__(_escaped("\n".join(lines)))


def _escaped(text: str) -> str:
    """Escape control and invisible characters: names come from archives and servers.

    Line breaks stay, and nothing is escaped twice: errors are pickled, and quoted in others.
    """
    return "".join(
        each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text
    )


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


class LostRankError(ResourceError):
    """Another process of this training has ended, so this one cannot go on.

    The exit code (EX_TEMPFAIL of sysexits.h) tells a launcher that the cause lies elsewhere.
    """

    exit_code = 75
