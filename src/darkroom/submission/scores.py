"""Waiting until Kaggle has scored a submission."""

from collections.abc import Iterator

from darkroom import kaggle
from darkroom.kaggle import Submission
from darkroom.remote.waits import Waits, again

FIRST_S, LONGEST_S = 5.0, 60.0
PATIENCE_S = 1800.0


def scored(competition: str, reference: int, *, waits: Waits) -> Submission | None:
    """Return a submission once it is scored or refused by the scorer; None after half an hour.

    Raises:
        RemoteError: Kaggle refused, or could not be reached for too long.
    """
    for pause in _pauses():
        every = again(lambda: kaggle.submissions(competition), waits, what="the score")
        there = next((each for each in every if each.ref == reference), None)
        if there is not None and there.status != "pending":
            return there
        waits.sleep(pause)
    return None


def _pauses() -> Iterator[float]:
    """Yield pauses, s, that grow by half and together last the patience."""
    pause, left = FIRST_S, PATIENCE_S
    while left > 0:
        yield min(pause, left)
        left -= pause
        pause = min(pause * 1.5, LONGEST_S)
