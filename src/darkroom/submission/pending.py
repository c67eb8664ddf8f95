"""What was on its way when its answer was lost, or the run killed: a note to the next run."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from darkroom import files
from darkroom.errors import ArtifactError


@dataclass(frozen=True)
class Note:
    """A submission that Kaggle may hold although its list does not show it yet.

    Attributes:
        competition: Kaggle's name of it.
        mark: What the submission's description begins with.
        time: When it was sent, s since 1970, UTC.
        reference: Kaggle's number of it; None while the answer is out.
    """

    competition: str
    mark: str
    time: float
    reference: int | None = None


def write(path: Path, note: Note) -> None:
    """Write the note, in the place of an older one."""
    files.write(path, json.dumps(asdict(note)) + "\n")


def clear(path: Path) -> None:
    """Remove the note: how things stand is known without it."""
    path.unlink(missing_ok=True)


def read(path: Path) -> Note | None:
    """Return the note, or None if there is none.

    Raises:
        ArtifactError: It can't be read.
    """
    try:
        told = json.loads(path.read_bytes())
        reference = told["reference"]
        return Note(
            competition=str(told["competition"]),
            mark=str(told["mark"]),
            time=float(told["time"]),
            reference=None if reference is None else int(reference),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            "it is damaged, and tells no longer what was sent",
            file=path,
            found=repr(error),
            fix="look at your submissions on Kaggle, then delete this file",
        ) from error
