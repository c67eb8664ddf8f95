"""A file that is to be submitted, and the folder in which its way to Kaggle is noted."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from darkroom import files
from darkroom.errors import ResourceError


@dataclass(frozen=True)
class Parcel:
    """What is to be submitted.

    Attributes:
        competition: Kaggle's name of it.
        path: The submission.
        sha256: Of its bytes.
        folder: The competition's, kept between runs: a lock, notes about what is on its way,
            the file as named for Kaggle.
    """

    competition: str
    path: Path
    sha256: str
    folder: Path


def alone(parcel: Parcel) -> AbstractContextManager[None]:
    """Keep a second run that submits this competition out: both would find nothing, and send.

    Raises:
        ResourceError: There is one.
    """

    def refuse() -> None:
        raise ResourceError(
            "another `darkroom submit` of this competition is under way",
            fix="wait until it has ended",
        )

    return files.alone(parcel.folder / "lock", busy=refuse)
