"""A line of words on what a network said of one image, and whether it was right."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from darkroom.images import sheets
from darkroom.tasks.table import Floats, Task


def describe(
    task: Task, truth: Any, found: Floats, names: Sequence[str], *, threshold: float = 0.5
) -> tuple[str, sheets.Colour | None]:
    """Return a line on one image's truth and prediction, and the colour of right or wrong.

    Args:
        task: Not one of masks.
        truth: A class number, or (K,) labels or values.
        found: (K,) probabilities or values.
        names: Of the classes or labels, or none.
        threshold: A label is present if its probability is greater.
    """

    def named(number: int) -> str:
        return names[number] if number < len(names) else str(number)

    answer = task.decode(found[None], threshold)[0]
    if np.ndim(answer) == 0:
        sure = f"{named(int(answer))} {found[answer]:.0%}"
        right = int(answer) == int(truth)
        line = sure if right else f"{sure}, is {named(int(truth))}"
        return line, sheets.RIGHT if right else sheets.EXCESS
    if answer.dtype != np.uint8:
        return ", ".join(f"{a:.4g} (is {t:.4g})" for a, t in zip(answer, truth, strict=True)), None
    wrong = np.flatnonzero(answer != truth)
    if not len(wrong):
        return f"{len(answer)} of {len(answer)} right", sheets.RIGHT
    # A plus for what was added, a minus for what was missed.
    faults = " ".join(f"{'+' if answer[i] else '−'}{named(int(i))}" for i in wrong)
    return f"{len(answer) - len(wrong)} of {len(answer)}: {faults}", sheets.EXCESS
